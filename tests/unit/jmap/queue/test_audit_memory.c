/*
 * Memory that runs out at every allocation of an audit in turn, once or from then on. Linked as
 * test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jmap/queue/audit.h"
#include "jmap/facts/memory.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/queue_server.h"

struct seen {
    unsigned domains, texts;
};

static bool judged(void *user, const struct audit_domain *domain)
{
    struct seen *seen = user;

    assert_int_equal(domain->task_count, 2);
    assert_int_equal(domain->verdict.live, 2);
    seen->domains++;
    return true;
}

static void text(void *user, const struct lookup_domain *domain,
                 const struct lookup_certificate *certificate, const char *pem)
{
    struct seen *seen = user;

    (void)pem;
    assert_string_equal(domain->id, "b");
    assert_true(certificate->id[0] != '\0');
    seen->texts++;
}

/* Why it ended early, or NULL. */
static const char *audit_all(struct queue_server *server, const struct audit_context *context)
{
    struct audit *audit = audit_create(context);
    if (!audit)
        return "out of memory";

    while (audit_machine.step(audit) == MACHINE_SEND) {
        struct machine_order order = audit_machine.order(audit);
        paused = true;
        assert_non_null(order.body);
        char *answer = queue_serve(server, order.body, order.len);
        paused = false;
        audit_machine.feed(audit, 200, answer, strlen(answer));
        free(answer);
    }
    const char *error = audit_error(audit);
    audit_destroy(audit);
    return error;
}

/* INT_MAX: none fails. Whether one did. */
static bool run(const void *none, int allocations, bool persistent)
{
    (void)none;
    static const char pending[] = "{\"@type\":\"Pending\",\"due\":\"2027-01-19T12:00:00Z\"}";
    static const char retry[] = "{\"@type\":\"Retry\",\"due\":\"2026-11-24T12:00:00Z\","
                                "\"attemptNumber\":3,\"failureReason\":\"DNS error\"}";
    struct queue_server server = {.tasks = json_object(),
                                  .not_before = "2026-11-20T12:00:00Z",
                                  .not_after = "2027-02-18T12:00:00Z"};
    struct hold_settings settings = {.blind_hold_seconds = 3600};
    struct seen seen = {0};
    const struct audit_context context = {.settings = &settings,
                                          .memory = task_memory_create(),
                                          .every_certificate = true,
                                          .now = fixed_now,
                                          .judged = judged,
                                          .text = text,
                                          .user = &seen};

    queue_add(&server, "ka", pending);
    queue_add(&server, "kb", retry);
    memory_fails(allocations, persistent);
    const char *error = audit_all(&server, &context);
    bool failed = memory_is_back();
    if (!error && (seen.domains != 1 || seen.texts != 1))
        fail_msg("allocation %d: %u domains, %u texts", allocations, seen.domains, seen.texts);
    if (error && !failed)
        fail_msg("allocation %d: %s", allocations, error);
    assert_int_equal(server.writes, 0);
    json_decref(server.tasks);
    task_memory_destroy(context.memory);
    return failed;
}

static void no_memory_is_an_error_and_no_half_audit(void **state)
{
    (void)state;
    fail_each_place(run, NULL, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error_and_no_half_audit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
