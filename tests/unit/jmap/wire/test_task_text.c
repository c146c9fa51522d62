/* A task that is read from its text is what a parser finds in it, or is left to the parser. */

#include "jmap/wire/task_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "jmap/wire/own_request.h"
#include "tests/unit/object_rows.h"
#include "tests/unit/renewal_tasks.h"

#define TASK(status)                                                                               \
    "{\"domainId\":\"cb\",\"status\":" status ",\"@type\":\"AcmeRenewal\",\"id\":\"jpt\"}"
#define CREATED "\"createdAt\":\"2026-11-29T11:37:47Z\","
#define DUE CREATED "\"due\":\"2026-12-29T11:37:47Z\","

static const struct object_row rows[] = {
    {TASK("{" DUE "\"@type\":\"Pending\"}"), true},
    {TASK("{" DUE "\"@type\":\"Pending\",\"attemptNumber\":3,\"failedAttemptNumber\":4,"
          "\"failedAt\":\"2026-11-29T11:37:47Z\"}"),
     true},
    {"{ \"id\" : \"jpt\",\n\"status\": { \"@type\": \"Pending\", \"due\":\"2026-12-29T11:37:47Z\" "
     "},"
     "\"due\":\"2026-12-29T11:37:47Z\",\"other\":null,\"domainId\":\"cb\",\t\"@type\":"
     "\"AcmeRenewal\"}",
     true},
    {TASK("{" DUE "\"@type\":\"Retry\",\"attemptNumber\":2,\"failureReason\":\"" LIMITED "\"}"),
     true},
    {TASK("{" DUE "\"@type\":\"Retry\",\"attemptNumber\":0,\"failureReason\":"
          "\"Rate limited. Retry after 99999999999999 seconds\"}"),
     true},
    {TASK("{" DUE "\"@type\":\"Retry\",\"attemptNumber\":1,\"failureReason\":"
          "\"Rate limited. Retry after 99999999999999 seconds\"}"),
     true},
    {TASK("{" DUE "\"@type\":\"Retry\",\"attemptNumber\":12,\"failureReason\":\"a \\\"b\\\"\"}"),
     false},
    {TASK("{" CREATED "\"@type\":\"Failed\",\"failedAt\":\"2026-11-29T11:37:47Z\","
          "\"failedAttemptNumber\":1,\"failureReason\":\"a \\\"b\\\" \\n\"}"),
     true},
    {TASK("{\"@type\":\"Failed\",\"failureReason\":\"\\u0041\"}"), false},
    {TASK("{\"@type\":\"Failed\",\"failureReason\":\"\xc3\xa4\"}"), false},
    {TASK("{\"@type\":\"Failed\",\"a\":{}}"), false},
    {TASK("{\"@type\":\"Failed\",\"a\":[]}"), false},
    {TASK("{\"@type\":\"Failed\",\"a\":-1}"), false},
    {TASK("{\"@type\":\"Failed\",\"a\":1.5}"), false},
    {TASK("{\"@type\":\"Failed\",\"a\":12345678901}"), false},
    {TASK("{\"@type\":\"Failed\",\"@type\":\"Pending\"}"), false},
    {TASK("{" CREATED "\"@type\":\"Pending\"}"), false},
    {TASK("{\"due\":\"soon\",\"@type\":\"Pending\"}"), false},
    {TASK("{\"due\":1,\"@type\":\"Pending\"}"), false},
    {TASK("\"Pending\""), false},
    {"{\"domainId\":\"cb\",\"@type\":\"AcmeRenewal\",\"id\":\"jpt\"}", false},
    {"{\"domainId\":\"cb\",\"status\":{\"@type\":\"Failed\"},\"@type\":\"DnsManagement\",\"id\":"
     "\"j\"}",
     false},
    {"{\"domainId\":\"cb\",\"status\":{\"@type\":\"Failed\"},\"@type\":\"AcmeRenewal\","
     "\"id\":\"jpt2345678901234567890123456789\"}",
     false},
    {"{\"id\":\"jp1\",\"challengeType\":\"Http01\"}", false},
    {"{}", false},
    {"{", false},
    {"", false},
};

static bool is_waiting(const struct renewal_task *task, wall_time now)
{
    const struct renewal_task waiting = renewal_task_waiting(task->id, task->due, now);

    return task->state == waiting.state && wall_time_equal(task->failed_at, waiting.failed_at) &&
           wall_time_equal(task->seen, waiting.seen) && !task->failure_reason && !task->restarted &&
           task->attempts == 0 && wall_time_equal(task->tried, waiting.tried);
}

/* Where it is plain it has to be what a parser finds. */
static const char *check(const char *text, const char *end)
{
    const wall_time now = AT(0);
    struct task_text read;
    struct renewal_task task;
    const char *domain_id;
    const char *behind = task_text_read(text, end, now, &read);

    if (behind) {
        json_t *object = json_loadb(text, (size_t)(behind - text), JSON_ALLOW_NUL, NULL);
        if (!object || !own_request_task(object, now, &task, &domain_id) ||
            strcmp(task.id, read.id) != 0 || strcmp(domain_id, read.domain_id) != 0 ||
            task.state != read.state ||
            (task.state != TASK_FAILED && !wall_time_equal(task.due, read.due)))
            fail_msg("%.*s", (int)(end - text), text);
        if (read.waits && !is_waiting(&task, now))
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

static void says_which_only_wait(void **state)
{
    static const struct {
        const char *text;
        bool waits;
    } tasks[] = {
        {TASK("{" DUE "\"@type\":\"Pending\"}"), true},
        {TASK("{" DUE "\"@type\":\"Pending\",\"attemptNumber\":0}"), false},
        {TASK("{" DUE "\"@type\":\"Pending\",\"failedAttemptNumber\":1}"), false},
        {TASK("{" DUE "\"@type\":\"Pending\",\"failureReason\":\"a\"}"), false},
        {TASK("{" DUE "\"@type\":\"Pending\",\"failedAt\":\"2026-11-29T11:37:47Z\"}"), false},
        {TASK("{" DUE "\"@type\":\"Retry\"}"), false},
        {TASK("{\"@type\":\"Failed\"}"), false},
    };
    const wall_time now = AT(0);
    (void)state;

    for (size_t i = 0; i < COUNT(tasks); i++) {
        struct task_text read;
        const char *end = tasks[i].text + strlen(tasks[i].text);
        assert_ptr_equal(task_text_read(tasks[i].text, end, now, &read), end);
        if (read.waits != tasks[i].waits)
            fail_msg("%s", tasks[i].text);
    }
}

static void says_what_is_behind(void **state)
{
    static const char text[] = TASK("{\"@type\":\"Failed\"}") ",{\"id\":\"jpt\"}]";
    const wall_time now = AT(0);
    struct task_text read;
    const char *behind = task_text_read(text, text + sizeof text - 1, now, &read);
    (void)state;

    assert_non_null(behind);
    assert_string_equal(behind, ",{\"id\":\"jpt\"}]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_writes),
        cmocka_unit_test(never_disagrees_with_a_parser),
        cmocka_unit_test(says_which_only_wait),
        cmocka_unit_test(says_what_is_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
