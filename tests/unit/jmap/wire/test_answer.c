/* The server's answer, found again by call and written in the server's order. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/answer.h"

static struct jmap_answer parse(const char *calls, const char *text)
{
    struct jmap_answer answer;
    json_t *asked = json_loads(calls, 0, NULL);

    assert_non_null(asked);
    assert_true(answer_parse(text, strlen(text), asked, &answer));
    json_decref(asked);
    return answer;
}

static void a_call_may_have_more_than_one_response(void **state)
{
    struct jmap_answer answer =
        parse("[[\"EmailSubmission/set\",{},\"c\"],[\"x:Task/set\",{},\"c\"]]",
              "{\"methodResponses\":[[\"EmailSubmission/set\",{},\"c\"],[\"Email/set\",{},\"c\"],"
              "[\"x:Task/set\",{\"created\":{\"k\":{\"id\":\"jp1\"}}},\"c\"]]}");

    (void)state;
    assert_string_equal(answer_created_id(&answer, 1, "k"), "jp1");
    assert_null(answer_created_id(&answer, 0, "k"));
    answer_clear(&answer);
}

static void members_stand_where_the_server_puts_them(void **state)
{
    struct jmap_answer answer = parse(
        "[[\"x:Task/set\",{},\"c\"]]",
        "{\"methodResponses\":[[\"x:Task/set\",{\"accountId\":\"d\",\"updated\":{\"jp1\":null},"
        "\"notCreated\":{\"k\":{\"type\":\"x\"},\"l\":{\"type\":\"x\"}},"
        "\"notDestroyed\":{\"jp2\":{\"type\":\"y\"}}},\"c\"]]}");
    size_t len;

    (void)state;
    assert_true(answer_set_created(&answer, 0, "k", "jp3"));
    char *text = answer_text(&answer, &len);
    assert_string_equal(
        text, "{\"methodResponses\":[[\"x:Task/set\",{\"accountId\":\"d\",\"created\":{\"k\":{"
              "\"id\":\"jp3\"}},\"updated\":{\"jp1\":null},\"notCreated\":{\"l\":{\"type\":\"x\"}},"
              "\"notDestroyed\":{\"jp2\":{\"type\":\"y\"}}},\"c\"]]}");
    free(text);
    answer_clear(&answer);
}

/* Over WebSocket the server, v0.16.5 to v0.16.19, says created_ids; what RFC 8887 says may come. */
static void created_ids_have_the_servers_name(void **state)
{
    static const char *const rows[][2] = {
        {"{\"createdIds\":{\"k\":\"jp1\"},\"methodResponses\":[]}", "createdIds"},
        {"{\"@type\":\"Response\",\"created_ids\":{\"k\":\"jp1\"},\"methodResponses\":[]}",
         "created_ids"},
        {"{\"@type\":\"Response\",\"createdIds\":{\"k\":\"jp1\"},\"methodResponses\":[]}",
         "createdIds"},
        {"{\"@type\":\"Response\",\"methodResponses\":[]}", "created_ids"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct jmap_answer answer = parse("[]", rows[i][0]);
        json_t *id = json_string("jp2");
        assert_true(answer_set_created_id(&answer, "k", id));
        json_decref(id);
        json_t *ids = json_object_get(answer.root, rows[i][1]);
        assert_string_equal(json_string_value(json_object_get(ids, "k")), "jp2");
        assert_ptr_equal(answer_created_ids(&answer), ids);
        answer_drop_created_ids(&answer);
        assert_null(json_object_get(answer.root, "createdIds"));
        assert_null(json_object_get(answer.root, "created_ids"));
        answer_clear(&answer);
    }
}

/* Only what can make something gives a key its meaning, and the last one does. */
static void a_key_means_what_was_made_last(void **state)
{
    struct jmap_answer answer = parse(
        "[]", "{\"methodResponses\":["
              "[\"x:Domain/set\",{\"created\":{\"a\":{\"id\":\"b\"},\"k\":{\"id\":\"c\"}}},\"0\"],"
              "[\"x:Task/set\",{\"created\":{\"k\":{\"id\":\"jp1\"},\"l\":7}},\"1\"],"
              "[\"Core/echo\",{\"created\":{\"k\":{\"id\":\"d\"},\"e\":{\"id\":\"e\"}}},\"2\"],"
              "[\"Email/copy\",{\"created\":{\"k\":{\"id\":\"f\"}}},\"3\"],"
              "[\"Email/changes\",{\"created\":[\"k\"]},\"4\"],7,[7],[]]}");
    json_t *made = answer_made(&answer), *expected = json_pack("{s:s, s:s}", "a", "b", "k", "jp1");

    (void)state;
    assert_true(json_equal(made, expected));
    json_decref(expected);
    json_decref(made);
    answer_clear(&answer);
}

static void no_response_belongs_to_a_call_behind_one_without(void **state)
{
    struct jmap_answer answer = parse(
        "[[\"x:Task/set\",{},\"a\"],[\"x:Task/set\",{},\"b\"],[\"x:Task/set\",{},\"c\"]]",
        "{\"methodResponses\":[[\"error\",{},\"a\"],[\"x:Task/set\",{\"destroyed\":[\"jp1\"]},"
        "\"c\"]]}");

    (void)state;
    assert_null(answer.sets[0]);
    assert_null(answer.sets[1]);
    assert_null(answer.sets[2]);
    answer_clear(&answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_may_have_more_than_one_response),
        cmocka_unit_test(members_stand_where_the_server_puts_them),
        cmocka_unit_test(created_ids_have_the_servers_name),
        cmocka_unit_test(a_key_means_what_was_made_last),
        cmocka_unit_test(no_response_belongs_to_a_call_behind_one_without),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
