/* Where strings, values and white space end. */

#include "jmap/wire/json_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define LONGEST 20

/* So that a look beyond its end shows. */
static char *exact_copy(const char *text, size_t len)
{
    char *copy = malloc(len > 0 ? len : 1);

    if (len > 0)
        memcpy(copy, text, len);
    return len > 0 ? copy : realloc(copy, 1);
}

/* Each byte at each place of each length, with one that is plain or is not right behind it. */
static void plain_letters_end_with_any_other(void **state)
{
    static const char behind[] = {'a', '"', ' ', '!', '\x80', '\0'};
    (void)state;

    for (size_t len = 1; len <= LONGEST; len++) {
        char *text = malloc(len);
        for (size_t place = 0; place < len; place++) {
            for (unsigned byte = 0; byte <= UINT8_MAX; byte++) {
                bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
                memset(text, behind[byte % sizeof behind], len);
                memset(text, 'a', place);
                text[place] = (char)byte;
                const char *at = json_walk_plain(text, text + len);
                if (plain ? at <= text + place : at != text + place)
                    fail_msg("byte %u at %zu of %zu: %td", byte, place, len, at - text);
            }
        }
        free(text);
    }
}

static const struct {
    const char *text;
    int string, value; /* how long it is; -1: it does not end */
} rows[] = {
    {"\"\"", 2, 2},
    {"\"a\",", 3, 3},
    {"\"a\\\"b\":1", 6, 6},
    {"\"\\\\\",1", 4, 4},
    {"\"longer than a word \\\" and another one\" ", 39, 39},
    {"\"\xc3\xa4 beyond ASCII \x01\"}", 19, 19},
    {"\"a", -1, -1},
    {"\"a\\", -1, -1},
    {"\"a\\\"", -1, -1},
    {"\"", -1, -1},
    {"{\"a\":[1,{\"}\":\"]\"}]},", 0, 19},
    {"[[],[\"\\\"]\"]]]", 0, 12},
    {"[", 0, -1},
    {"{\"a\":\"", 0, -1},
    {"12, 3", 0, 2},
    {"null]", 0, 4},
    {"true}", 0, 4},
    {"1\n", 0, 1},
};

static int length(const char *text, const char *behind)
{
    return behind ? (int)(behind - text) : -1;
}

static void strings_and_values_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t len = strlen(rows[i].text);
        char *text = exact_copy(rows[i].text, len);
        if (*text == '"')
            assert_int_equal(length(text, json_walk_string(text, text + len)), rows[i].string);
        if (length(text, json_walk_value(text, text + len)) != rows[i].value)
            fail_msg("%s: %d", rows[i].text, length(text, json_walk_value(text, text + len)));
        free(text);
    }
}

static void white_space_ends(void **state)
{
    static const char text[] = " \t\r\n\va ";
    (void)state;

    assert_ptr_equal(json_walk_space(text, text + 4), text + 4);
    assert_ptr_equal(json_walk_space(text, text + sizeof text - 1), text + 4);
    assert_ptr_equal(json_walk_space(text + 5, text + sizeof text - 1), text + 5);
    assert_ptr_equal(json_walk_space(text, text), text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_letters_end_with_any_other),
        cmocka_unit_test(strings_and_values_end),
        cmocka_unit_test(white_space_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
