/* Result references resolved here find what the server would have found, and no more than there is
 * room for. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/result_reference.h"

static const char responses_text[] =
    "[[\"x:Task/query\",{\"ids\":[\"jp1\",\"jp2\"]},\"q\"],"
    "[\"error\",{\"ids\":[\"jp3\"]},\"e\"],"
    "[\"x:Domain/"
    "get\",{\"list\":[{\"id\":\"b\",\"name\":\"example.org\",\"certificateManagement\":{"
    "\"acmeProviderId\":\"jp4\"}},{\"id\":\"c\",\"name\":\"c.test\"}],\"notFound\":[\"d\"]},\"g\"],"
    "[\"x:Task/set\",{\"destroyed\":[\"jp5\"]},\"s\"],"
    "[\"Email/changes\",{\"created\":[\"m1\"],\"updatedProperties\":[\"keywords\"]},\"c\"],"
    "[\"Email/queryChanges\",{\"added\":[{\"id\":\"m2\",\"index\":0}]},\"a\"]]";

#define REFERENCE(of, name, path)                                                                  \
    "{\"resultOf\":\"" of "\",\"name\":\"" name "\",\"path\":\"" path "\"}"

static char *resolved(const char *arguments_text, size_t *room)
{
    json_t *responses = json_loads(responses_text, 0, NULL);
    json_t *arguments = json_loads(arguments_text, 0, NULL);

    assert_non_null(responses);
    assert_non_null(arguments);
    result_references_resolve(arguments, responses, room);
    char *text = json_dumps(arguments, JSON_COMPACT);
    json_decref(arguments);
    json_decref(responses);
    return text;
}

static void they_find_what_the_server_finds(void **state)
{
    static const struct {
        const char *reference, *found; /* NULL: it stays */
    } rows[] = {
        {REFERENCE("q", "x:Task/query", "/ids"), "[\"jp1\",\"jp2\"]"},
        {REFERENCE("q", "x:Task/query", "/ids/*"), "[\"jp1\",\"jp2\"]"},
        {REFERENCE("q", "x:Task/query", "/ids/1"), "[\"jp2\"]"},
        {REFERENCE("q", "x:Task/query", "/ids/7"), "[]"},
        {REFERENCE("g", "x:Domain/get", "/list/*/id"), "[\"b\",\"c\"]"},
        {REFERENCE("g", "x:Domain/get", "/list/0/certificateManagement/acmeProviderId"),
         "[\"jp4\"]"},
        {REFERENCE("g", "x:Domain/get", "/list/*/*"), "[\"b\",\"c\"]"},
        {REFERENCE("g", "x:Domain/get", "/list/*/name"), "[]"},
        {REFERENCE("g", "x:Domain/get", "/list"), "[]"},
        {REFERENCE("c", "Email/changes", "/created"), "[\"m1\"]"},
        {REFERENCE("c", "Email/changes", "/updatedProperties"), "[\"keywords\"]"},
        {REFERENCE("a", "Email/queryChanges", "/added/*/id"), "[\"m2\"]"},
        {REFERENCE("g", "x:Domain/get", "/notFound"), NULL},
        {REFERENCE("g", "x:Domain/get", "/lists"), NULL},
        {REFERENCE("g", "x:Domain/get", ""), NULL},
        {REFERENCE("g", "x:Task/query", "/ids"), NULL},
        {REFERENCE("e", "x:Task/query", "/ids"), NULL},
        {REFERENCE("s", "x:Task/set", "/destroyed"), NULL},
        {REFERENCE("none", "x:Task/query", "/ids"), NULL},
        {"7", NULL},
        {"{\"resultOf\":7,\"name\":8,\"path\":9}", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char arguments[512], expected[512];
        size_t room = 1000;
        snprintf(arguments, sizeof arguments, "{\"#ids\":%s}", rows[i].reference);
        snprintf(expected, sizeof expected, "{\"%s\":%s}", rows[i].found ? "ids" : "#ids",
                 rows[i].found ? rows[i].found : rows[i].reference);
        char *text = resolved(arguments, &room);
        assert_string_equal(text, expected);
        free(text);
    }
}

#define QUERY REFERENCE("q", "x:Task/query", "/ids")

static void only_where_the_server_reads_them(void **state)
{
    static const char *const rows[][2] = {
        {"{\"#destroy\":" QUERY "}", "{\"destroy\":[\"jp1\",\"jp2\"]}"},
        {"{\"#other\":" QUERY "}", "{\"#other\":" QUERY "}"},
        {"{\"ids\":[\"b\"],\"#ids\":" QUERY "}", "{\"ids\":[\"jp1\",\"jp2\"]}"},
        {"{\"#ids\":" QUERY ",\"ids\":[\"b\"]}", "{\"#ids\":" QUERY ",\"ids\":[\"b\"]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t room = 1000;
        char *text = resolved(rows[i][0], &room);
        assert_string_equal(text, rows[i][1]);
        free(text);
    }
}

static void what_has_no_room_is_not_built(void **state)
{
    static const char first[] = "{\"#ids\":" QUERY ",\"#destroy\":" QUERY "}";
    size_t room = 12;

    (void)state;
    char *text = resolved(first, &room);
    assert_int_equal(room, 0);
    assert_string_equal(text, "{\"#destroy\":" QUERY ",\"ids\":[\"jp1\",\"jp2\"]}");
    free(text);
    room = 11;
    text = resolved(first, &room);
    assert_int_equal(room, 11);
    assert_string_equal(text, first);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_find_what_the_server_finds),
        cmocka_unit_test(only_where_the_server_reads_them),
        cmocka_unit_test(what_has_no_room_is_not_built),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
