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
        assert_true(answer_set_created_id(&answer, "k", "jp2"));
        json_t *ids = json_object_get(answer.root, rows[i][1]);
        assert_string_equal(json_string_value(json_object_get(ids, "k")), "jp2");
        assert_true(answer_set_created_id(&answer, "l", "jp3"));
        assert_true(answer_set_created_id(&answer, "l", NULL));
        answer_drop_created_ids(&answer);
        assert_null(json_object_get(answer.root, "createdIds"));
        assert_null(json_object_get(answer.root, "created_ids"));
        answer_clear(&answer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_may_have_more_than_one_response),
        cmocka_unit_test(members_stand_where_the_server_puts_them),
        cmocka_unit_test(created_ids_have_the_servers_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
