/*
 * Memory that runs out at every allocation of an explanation in turn, once or from then on. Linked
 * as test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "jmap/facts/domain_facts.h"
#include "jmap/facts/memory.h"
#include "jmap/queue/explain.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/queue_server.h"

static void explain_all(struct queue_server *server, struct explain *explain)
{
    while (explain && explain_machine.step(explain) == MACHINE_SEND) {
        struct machine_order order = explain_machine.order(explain);
        paused = true;
        assert_non_null(order.body);
        char *answer = queue_serve(server, order.body, order.len);
        paused = false;
        explain_machine.feed(explain, 200, answer, strlen(answer));
        free(answer);
    }
}

/* False when the explanation needed fewer than `allocations`. */
static bool run(int allocations, bool persistent)
{
    static const char pending[] = "{\"@type\":\"Pending\",\"due\":\"2027-01-19T12:00:00Z\"}";
    struct queue_server server = {.tasks = json_object(),
                                  .not_before = "2026-11-20T12:00:00Z",
                                  .not_after = "2027-02-18T12:00:00Z"};
    struct hold_settings settings = {.blind_hold_seconds = 3600, .account_limit = {300, 10800}};
    const struct explain_context context = {.settings = &settings,
                                            .memory = task_memory_create(),
                                            .name = "Example.org",
                                            .now = fixed_now};

    queue_add(&server, "ka", pending);
    for_good = persistent;
    left = allocations;
    struct explain *explain = explain_create(&context);
    explain_all(&server, explain);
    const struct explanation *result = explain ? explain_result(explain) : NULL;
    bool failed = persistent ? left == 0 : left == INT_MAX;
    left = INT_MAX;
    if (result && result->found && result->decision.row != 3)
        fail_msg("allocation %d: row %u", allocations, result->decision.row);
    if (!failed && (!result || !result->found))
        fail_msg("allocation %d: %s", allocations, explain ? explain_error(explain) : "none");
    assert_int_equal(server.writes, 0);
    explain_destroy(explain);
    json_decref(server.tasks);
    task_memory_destroy(context.memory);
    return failed;
}

static void no_memory_is_an_error_and_no_wrong_explanation(void **state)
{
    (void)state;
    for (int allocations = 0; run(allocations, false); allocations++)
        ;
    for (int allocations = 0; run(allocations, true); allocations++)
        ;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_is_an_error_and_no_wrong_explanation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
