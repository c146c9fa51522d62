/* What is read from an object's text is what a parser finds in it, or it is left to the parser. */

#include "jmap/wire/object_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "tests/unit/object_rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct object_row rows[] = {
    {"{\"id\":\"b\",\"in\":{\"@type\":\"Automatic\",\"names\":{\"mail\":true,\"\":null}}}", true},
    {" { \"in\" : { \"names\" : { } ,\n\"@type\" : 12 } ,\t\"id\" : null }", true},
    {"{\"other\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"id\":\"a\\\"b\",\"in\":\"text\",\"n\":123456789}",
     true},
    {"{\"in\":{\"names\":{\"a\\\\b\":true,\"c\":\"d\"}}}", true},
    {"{}", true},
    {"{\"in\":{\"names\":{\"a\":{}}}}", false},
    {"{\"id\":{}}", false},
    {"{\"other\":{}}", false},
    {"{\"id\":[]}", false},
    {"{\"id\":\"b\",\"id\":\"c\"}", false},
    {"{\"in\":{},\"in\":null}", false},
    {"{\"id\":\"\\u0062\"}", false},
    {"{\"id\":\"\xc3\xa4\"}", false},
    {"{\"n\":-1}", false},
    {"{\"n\":1.5}", false},
    {"{\"n\":01}", false},
    {"{\"n\":1234567890}", false},
    {"{\"id\":\"b\",}", false},
    {"{\"id\" \"b\"}", false},
    {"{\"id\":}", false},
    {"[]", false},
    {"{", false},
    {"", false},
};

/* Of what was read. */
struct wanted {
    struct text_slice id, in, type, names;
};

static const char *read_wanted(const char *text, const char *end, struct wanted *wanted)
{
    const struct text_member of_in[] = {{"@type", &wanted->type, NULL, 0},
                                        {"names", &wanted->names, object_text_any, 0}};
    const struct text_member of_object[] = {{"id", &wanted->id, NULL, 0},
                                            {"in", &wanted->in, of_in, COUNT(of_in)}};

    *wanted = (struct wanted){0};
    return object_text_read(text, end, of_object, COUNT(of_object));
}

static bool is_same(const struct text_slice *slice, const json_t *value)
{
    char copy[64];

    if (!slice->text || !value)
        return !slice->text && !value;
    switch (slice->kind) {
    case TEXT_OBJECT:
        return json_is_object(value);
    case TEXT_WORD:
        return !json_is_object(value) && !json_is_string(value);
    case TEXT_ESCAPED:
        return json_is_string(value) && json_string_length(value) < slice->len &&
               !object_text_copy(slice, copy, sizeof copy);
    case TEXT_STRING:
        break;
    }
    return json_is_string(value) && object_text_copy(slice, copy, sizeof copy) &&
           strcmp(copy, json_string_value(value)) == 0 &&
           object_text_is(slice, json_string_value(value));
}

/* Where all of them are read, each is one, and none is missing. */
static bool are_same_names(struct text_slice names, const json_t *object)
{
    struct text_slice name;
    json_t *seen = json_object();
    char copy[64];

    while (object_text_next_name(&names, &name)) {
        if (!object_text_copy(&name, copy, sizeof copy) || !json_object_get(object, copy))
            fail_msg("no name: %.*s", (int)name.len, name.text);
        json_object_set_new(seen, copy, json_true());
    }
    bool same = names.len > 0 || json_object_size(seen) == json_object_size(object);
    json_decref(seen);
    return same;
}

/* Where it is plain it has to be what a parser finds. */
static const char *check(const char *text, const char *end)
{
    struct wanted wanted;
    const char *behind = read_wanted(text, end, &wanted);

    if (behind) {
        json_t *object = json_loadb(text, (size_t)(behind - text), JSON_ALLOW_NUL, NULL);
        const json_t *in = json_object_get(object, "in");
        if (!object || !is_same(&wanted.id, json_object_get(object, "id")) ||
            !is_same(&wanted.in, in) || !is_same(&wanted.type, json_object_get(in, "@type")) ||
            !is_same(&wanted.names, json_object_get(in, "names")) ||
            (wanted.names.kind == TEXT_OBJECT &&
             !are_same_names(wanted.names, json_object_get(in, "names"))))
            fail_msg("%.*s", (int)(end - text), text);
        json_decref(object);
    }
    return behind;
}

static void reads_what_the_server_writes(void **state)
{
    (void)state;
    objects_are_read(rows, COUNT(rows), check);
}

static void never_disagrees_with_a_parser(void **state)
{
    (void)state;
    changed_objects_are_read(rows, COUNT(rows), check);
}

static void names_are_read_one_after_the_other(void **state)
{
    (void)state;
    static const struct {
        const char *text, *names;
        bool all;
    } names[] = {
        {"", "", true},
        {"\"a\":true,\"b\":\"c,d\" , \"e\":1", "abe", true},
        {"\"a\":true,\"b\\\\\":true,\"c\":true", "a", false},
    };

    for (size_t i = 0; i < COUNT(names); i++) {
        struct text_slice object = {names[i].text, strlen(names[i].text), TEXT_OBJECT}, name;
        char read[8] = "";
        while (object_text_next_name(&object, &name))
            strncat(read, name.text, name.len);
        assert_string_equal(read, names[i].names);
        assert_int_equal(object.len == 0, names[i].all);
    }
}

static void times_are_read(void **state)
{
    (void)state;
    const struct text_slice time = {"1970-01-01T00:00:05Z\"", 20, TEXT_STRING}, none = {0};
    const struct text_slice word = {"1970", 4, TEXT_WORD}, text = {"soon", 4, TEXT_STRING};
    wall_time read = {0};

    assert_true(object_text_time(&time, &read));
    assert_int_equal(read.seconds, 5);
    assert_false(object_text_time(&none, &read) || object_text_time(&word, &read) ||
                 object_text_time(&text, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_writes),
        cmocka_unit_test(never_disagrees_with_a_parser),
        cmocka_unit_test(names_are_read_one_after_the_other),
        cmocka_unit_test(times_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
