/* Few objects of a long list, without reading the others. */

#include "jmap/wire/json_list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_walk.h"

static const char *take_other_words(void *user, size_t lists, const char *element, const char *end)
{
    const char *behind = json_walk_value(element, end);
    (void)user, (void)lists;

    if (!behind || behind == element || memmem(element, (size_t)(behind - element), "\"b\"", 3) ||
        memmem(element, (size_t)(behind - element), "\"c\"", 3))
        return NULL;
    return behind;
}

static const struct {
    const char *text, *picked; /* NULL: it has no such form */
} rows[] = {
    {"", ""},
    {"{\"list\":[]}", "{\"list\":[]}"},
    {"{\"list\":[{\"d\":\"a\"}]}", "{\"list\":[]}"},
    {"{\"list\":[{\"d\":\"b\"}]}", "{\"list\":[{\"d\":\"b\"}]}"},
    {"{\"list\":[{\"d\":\"a\"},{\"d\":\"b\"},{\"d\":\"a\"},{\"d\":\"c\",\"e\":[{}]}],\"x\":1}",
     "{\"list\":[{\"d\":\"b\"},{\"d\":\"c\",\"e\":[{}]}],\"x\":1}"},
    {"{ \"list\" : [ {\"d\":\"a\"} , {\"d\":\"b\"}\n] }", "{ \"list\" : [{\"d\":\"b\"}] }"},
    /* Brackets, quotes and lists in strings. */
    {"{\"list\":[{\"d\":\"a\",\"t\":\"]}\\\"\\\\\"},{\"d\":\"b\",\"t\":\"{[\\\"\"}]}",
     "{\"list\":[{\"d\":\"b\",\"t\":\"{[\\\"\"}]}"},
    {"[\"a \\\"list\\\":[{}]\",\"list\",[{}]]", "[\"a \\\"list\\\":[{}]\",\"list\",[{}]]"},
    /* Several lists, as several gets answer; one within an object belongs to that. */
    {"[[\"g\",{\"list\":[{\"d\":\"a\"}]},\"0\"],[\"g\",{\"list\":[{\"d\":\"c\"}]},\"1\"]]",
     "[[\"g\",{\"list\":[]},\"0\"],[\"g\",{\"list\":[{\"d\":\"c\"}]},\"1\"]]"},
    {"{\"list\":[{\"d\":\"b\",\"list\":[{\"d\":\"a\"}]}]}",
     "{\"list\":[{\"d\":\"b\",\"list\":[{\"d\":\"a\"}]}]}"},
    {"{\"list\":{\"d\":\"a\"}}", "{\"list\":{\"d\":\"a\"}}"},
    {"{\"lists\":[{\"d\":\"a\"}]}", "{\"lists\":[{\"d\":\"a\"}]}"},
    {"{\"ids\":[\"a\",\"b\",\"\\\"]\"],\"ids\":null}", "{\"ids\":[\"b\"],\"ids\":null}"},
    {"{\"list\":[ 1 , [\"b\"],null,true ]}", "{\"list\":[[\"b\"]]}"},
    {"{\"list\":[\"b\",1]x}", "{\"list\":[\"b\"]x}"},
    {"{\"list\":[,]}", NULL},
    {"{\"list\":[{\"d\":\"a\"},]}", NULL},
    {"{\"list\":[{\"d\":\"b\"} , ]}", NULL},
    {"{\"ids\":[\"a\",,\"a\"]}", NULL},
    {"{\"list\":[}]}", NULL},
    {"{\"list\":[{\"d\":\"a\"} {\"d\":\"b\"}]}", NULL},
    {"{\"list\":[{\"d\":\"a\"}", NULL},
    {"{\"list\":[{\"d\":\"a", NULL},
    {"{\"list\":[", NULL},
    {"{\"list", NULL},
    {"{\"list\\", NULL},
};

static void picks_what_has_one_of_the_words(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text), picked_len;
        char *text = malloc(len + 1); /* so that a look beyond its end shows */
        memcpy(text, rows[i].text, len);
        text = realloc(text, len > 0 ? len : 1);
        char *picked = json_list_pick(text, len, take_other_words, NULL, &picked_len);

        if (!picked != !rows[i].picked ||
            (picked && (picked_len != strlen(rows[i].picked) ||
                        memcmp(picked, rows[i].picked, picked_len) != 0)))
            fail_msg("%s: %.*s", rows[i].text, picked ? (int)picked_len : 4,
                     picked ? picked : "none");
        free(picked);
        free(text);
    }
}

static const char *note_list(void *user, size_t lists, const char *element, const char *end)
{
    char **at = user;

    (void)end;
    *(*at)++ = *element;
    *(*at)++ = (char)('0' + lists);
    return NULL;
}

static void says_how_many_lists_are_before(void **state)
{
    static const char text[] = "[[\"q\",{\"ids\":[1,2]}],[\"g\",{\"list\":[]}],[\"list\"],"
                               "[\"g\",{\"list\":[3,[{\"list\":[4]}]],\"ids\":[5]}]]";
    char noted[16], *at = noted;
    size_t len;
    (void)state;

    free(json_list_pick(text, sizeof text - 1, note_list, &at, &len));
    *at = '\0';
    assert_string_equal(noted, "102032[253");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_what_has_one_of_the_words),
        cmocka_unit_test(says_how_many_lists_are_before),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
