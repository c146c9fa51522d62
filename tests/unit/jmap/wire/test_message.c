#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "jmap/wire/message.h"

static void messages_are_told_apart_by_their_type(void **state)
{
    static const struct {
        const char *text;
        enum message_kind kind;
        const char *id;
        unsigned status;
    } rows[] = {
        {"{\"@type\":\"Request\",\"id\":\"R1\"}", MESSAGE_REQUEST, "R1", 0},
        {"{\"@type\":\"Request\",\"requestId\":\"R1\"}", MESSAGE_REQUEST, NULL, 0},
        {"{\"@type\":\"Request\",\"id\":null}", MESSAGE_REQUEST, NULL, 0},
        {"{\"@type\":\"x\",\"@type\":\"Request\"}", MESSAGE_REQUEST, NULL, 0},
        {"{\"@type\":\"Response\",\"requestId\":\"R1\"}", MESSAGE_RESPONSE, "R1", 200},
        {"{\"@type\":\"RequestError\",\"status\":403}", MESSAGE_REQUEST_ERROR, NULL, 403},
        {"{\"@type\":\"RequestError\",\"status\":200}", MESSAGE_REQUEST_ERROR, NULL, 400},
        {"{\"@type\":\"RequestError\"}", MESSAGE_REQUEST_ERROR, NULL, 400},
        {"{\"@type\":\"StateChange\",\"changed\":{}}", MESSAGE_OTHER, NULL, 0},
        {"{\"@type\":\"request\"}", MESSAGE_OTHER, NULL, 0},
        {"[]", MESSAGE_OTHER, NULL, 0},
        {"{\"@type\":\"Request\"", MESSAGE_UNREADABLE, NULL, 0},
        {"", MESSAGE_UNREADABLE, NULL, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message message = message_read(rows[i].text, strlen(rows[i].text));
        const char *id = json_string_value(message.id);
        if (message.kind != rows[i].kind || message.status != rows[i].status ||
            (id != NULL) != (rows[i].id != NULL) || (id && strcmp(id, rows[i].id) != 0))
            fail_msg("%s", rows[i].text);
        message_clear(&message);
    }
}

static void an_answer_belongs_to_its_request(void **state)
{
    static const struct {
        const char *text;
        const char *id;
        bool answers;
    } rows[] = {
        {"{\"@type\":\"Response\",\"requestId\":\"R1\"}", "R1", true},
        {"{\"@type\":\"Response\",\"requestId\":\"R2\"}", "R1", false},
        {"{\"@type\":\"Response\",\"requestId\":\"R1\"}", NULL, false},
        {"{\"@type\":\"Response\"}", NULL, true},
        {"{\"@type\":\"Response\"}", "R1", false},
        {"{\"@type\":\"RequestError\"}", "R1", true},
        {"{\"@type\":\"RequestError\",\"requestId\":\"R1\"}", "R1", true},
        {"{\"@type\":\"RequestError\",\"requestId\":\"R2\"}", "R1", false},
        {"{\"@type\":\"StateChange\"}", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct message message = message_read(rows[i].text, strlen(rows[i].text));
        json_t *id = rows[i].id ? json_string(rows[i].id) : NULL;
        if (message_answers(&message, id) != rows[i].answers)
            fail_msg("%s", rows[i].text);
        json_decref(id);
        message_clear(&message);
    }
}

static void the_gates_own_errors_have_the_servers_shape(void **state)
{
    static const char problem[] = "{\"type\":\"about:blank\",\"status\":503,"
                                  "\"title\":\"Service Unavailable\",\"detail\":\"Why.\"}";
    json_t *id = json_string("R1");
    char *with_id = message_of_problem(problem, strlen(problem), id);
    char *without = message_of_problem(problem, strlen(problem), NULL);
    char *large = message_too_large(1024);

    (void)state;
    assert_string_equal(with_id, "{\"@type\":\"RequestError\",\"type\":\"about:blank\","
                                 "\"status\":503,\"detail\":\"Why.\",\"requestId\":\"R1\"}");
    assert_string_equal(without, "{\"@type\":\"RequestError\",\"type\":\"about:blank\","
                                 "\"status\":503,\"detail\":\"Why.\"}");
    assert_string_equal(large, "{\"@type\":\"RequestError\","
                               "\"type\":\"urn:ietf:params:jmap:error:limit\","
                               "\"limit\":\"maxSizeRequest\",\"status\":400,"
                               "\"detail\":\"A request may have up to 1024 bytes.\"}");
    free(large);
    free(without);
    free(with_id);
    json_decref(id);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_told_apart_by_their_type),
        cmocka_unit_test(an_answer_belongs_to_its_request),
        cmocka_unit_test(the_gates_own_errors_have_the_servers_shape),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
