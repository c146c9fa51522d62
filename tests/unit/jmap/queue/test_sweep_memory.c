/*
 * Memory that runs out at every allocation of a sweep in turn, once or from then on: collapses and
 * the list of all tasks included. Linked as test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "jmap/create/domain_lock.h"
#include "jmap/create/flight.h"
#include "jmap/facts/memory.h"
#include "jmap/queue/sweep.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/queue_server.h"

static void no_wake(void *user)
{
    (void)user;
}

static void no_change(void *user, const struct queue_change *change)
{
    (void)user;
    (void)change;
}

static void no_skip(void *user, const struct sweep_skip *skip)
{
    (void)user;
    (void)skip;
}

#define RETRY(due)                                                                                 \
    "{\"@type\":\"Retry\",\"due\":\"" due "\",\"attemptNumber\":3,\"failureReason\":\"Rate "       \
    "limited. Retry after 600 seconds\"}"
#define NOT_DUE                                                                                    \
    "{\"@type\":\"Failed\",\"failedAt\":\"2026-11-23T11:00:00Z\",\"failedAttemptNumber\":0,"       \
    "\"failureReason\":\"Certificate for domain example.org is still valid; renewal is not due "   \
    "until 2027-01-19T12:00:00Z\"}"

#define STUCK "{\"@type\":\"Pending\",\"due\":\"2026-11-23T06:00:00Z\"}"

static const struct scenario {
    const char *name;
    const char *statuses[4];
    bool refuses_destroy, fresh;
    size_t live; /* in the end */
} scenarios[] = {
    {"twins", {RETRY("2026-11-30T12:00:00Z"), RETRY("2026-11-30T12:00:01Z")}, false, false, 1},
    {"twins, none destroyed",
     {RETRY("2026-11-30T12:00:00Z"), RETRY("2026-11-30T12:00:01Z"), RETRY("2026-11-30T12:00:02Z")},
     true,
     false,
     1},
    {"lost", {NOT_DUE}, false, true, 1},
    {"nothing", {NULL}, false, false, 1},
    {"stuck", {STUCK}, false, true, 1},
};

static struct sweep_context context_of(struct hold_settings *settings, struct sweep_place *place)
{
    return (struct sweep_context){
        .settings = settings,
        .flights = flight_table_create(),
        .memory = task_memory_create(),
        .remembers = true,
        .now = fixed_now,
        .wake = no_wake,
        .changed = no_change,
        .skipped = no_skip,
        .place = place,
    };
}

static void fill(struct queue_server *server, const struct scenario *scenario)
{
    static const char *const ids[] = {"ka", "kb", "kc", "kd"};

    *server = (struct queue_server){.tasks = json_object(),
                                    .refuses_destroy = scenario->refuses_destroy,
                                    .least_live = SIZE_MAX};
    if (scenario->fresh) {
        server->not_before = "2026-11-20T12:00:00Z";
        server->not_after = "2027-02-18T12:00:00Z";
    }
    for (size_t i = 0; i < 4 && scenario->statuses[i]; i++)
        queue_add(server, ids[i], scenario->statuses[i]);
}

static void answer(struct sweep *sweep, struct queue_server *server)
{
    struct machine_order request = sweep_machine.order(sweep);

    paused = true;
    assert_non_null(request.body);
    char *text = queue_serve(server, request.body, request.len);
    paused = false;
    sweep_machine.feed(sweep, 200, text, strlen(text));
    free(text);
}

static void drive(struct sweep *sweep, struct queue_server *server)
{
    while (sweep_machine.step(sweep) == MACHINE_SEND)
        answer(sweep, server);
    assert_int_equal(sweep_machine.step(sweep), MACHINE_DONE);
}

static void sweep_once(struct queue_server *server, const struct sweep_context *context)
{
    struct sweep *sweep = sweep_create(context);

    if (sweep)
        drive(sweep, server);
    sweep_destroy(sweep);
}

/* INT_MAX: none fails. Whether one did. */
static bool run(const void *user, int allocations, bool persistent)
{
    const struct scenario *scenario = user;
    struct queue_server server;
    struct hold_settings settings = {.blind_hold_seconds = 3600,
                                     .table.stuck_after_seconds = 3 * 3600};
    struct sweep_place place = {0};
    struct sweep_context context = context_of(&settings, &place);

    fill(&server, scenario);
    memory_fails(allocations, persistent);
    sweep_once(&server, &context);
    bool failed = memory_is_back();
    if (scenario->statuses[1] && server.least_live == 0)
        fail_msg("%s, allocation %d: the last task was gone", scenario->name, allocations);
    /* Where an answer was lost, once the server has had its time. */
    for (int64_t now = 1; now < 4; now++)
        flight_table_tick(context.flights, now * FLIGHT_AFTERMATH_MILLISECONDS, INT64_MAX);
    sweep_once(&server, &context);
    if (queue_live(&server) != scenario->live || server.created > 1)
        fail_msg("%s, allocation %d: %zu tasks in the end", scenario->name, allocations,
                 queue_live(&server));
    json_decref(server.tasks);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return failed;
}

static void no_memory_costs_no_task(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        fail_each_place(run, &scenarios[i], true);
}

static void it_waits_for_a_create_that_decides_on_the_domain(void **state)
{
    (void)state;
    static const struct flight_result nothing = {.settled = false};
    struct queue_server server;
    struct hold_settings settings = {0};
    struct sweep_place place = {0};
    struct sweep_context context = context_of(&settings, &place);
    struct flight_place create = {.wake = no_wake};

    fill(&server, &scenarios[0]);
    assert_int_equal(flight_join(context.flights, "b", &create), FLIGHT_LEADING);
    struct sweep *sweep = sweep_create(&context);
    while (sweep_machine.step(sweep) == MACHINE_SEND)
        answer(sweep, &server);
    assert_int_equal(sweep_machine.step(sweep), MACHINE_WAIT);
    assert_int_equal(server.writes, 0);
    flight_leave(context.flights, &create, &nothing);
    sweep_woken(sweep);
    drive(sweep, &server);
    assert_int_equal(queue_live(&server), 1);
    sweep_destroy(sweep);
    json_decref(server.tasks);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
}

static void make_another_task(struct queue_server *server)
{
    queue_add(server, "kz", "{\"@type\":\"Pending\",\"due\":\"2027-01-19T12:00:00Z\"}");
}

static void lose_the_certificate(struct queue_server *server)
{
    server->not_before = NULL;
}

/* The domain is looked over, something happens, and then it is decided about. */
static void it_decides_on_what_is_there_once_it_has_the_domain(void **state)
{
    (void)state;
    static const struct {
        void (*happens)(struct queue_server *server);
        unsigned created;
    } happenings[] = {{make_another_task, 0}, {lose_the_certificate, 1}};

    for (size_t i = 0; i < sizeof happenings / sizeof *happenings; i++) {
        struct queue_server server;
        struct hold_settings settings = {.blind_hold_seconds = 3600,
                                         .table.stuck_after_seconds = 3 * 3600};
        struct sweep_place place = {0};
        struct sweep_context context = context_of(&settings, &place);

        fill(&server, &scenarios[2]);
        struct sweep *sweep = sweep_create(&context);
        while (!sweep_machine.order(sweep).is_awaited)
            answer(sweep, &server);
        assert_int_equal(sweep_machine.step(sweep), MACHINE_SEND);
        happenings[i].happens(&server);
        drive(sweep, &server);
        assert_null(sweep_error(sweep));
        assert_int_equal(server.created, happenings[i].created);
        sweep_destroy(sweep);
        json_decref(server.tasks);
        flight_table_destroy(context.flights);
        task_memory_destroy(context.memory);
    }
}

/* Another replica's lease, and then this one's. */
struct lease {
    enum lease_state state;
    unsigned given, left;
};

static struct lease *take_lease(void *user, const char *domain_id, void (*wake)(void *wake_user),
                                void *wake_user)
{
    (void)wake;
    (void)wake_user;
    assert_string_equal(domain_id, "b");
    return user;
}

static enum lease_state state_of_lease(void *user, const struct lease *lease)
{
    (void)user;
    return lease->state;
}

static void give_lease(void *user, struct lease *lease, const char *domain_id)
{
    (void)user;
    (void)domain_id;
    lease->given++;
}

static void leave_lease(void *user, struct lease *lease, const char *domain_id)
{
    (void)user;
    (void)domain_id;
    lease->left++;
}

/* The server may have made the task, or make it yet; what it has refused it has not made. */
static void a_create_without_an_answer_keeps_others_away_for_a_while(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        bool is_closed, is_lost;
    } rows[] = {{0, false, true}, {502, false, true},  {200, false, true},
                {0, true, true},  {400, false, false}, {429, false, false}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lease lease = {.state = LEASE_MINE};
        const struct domain_lock lock = {.take = take_lease,
                                         .state = state_of_lease,
                                         .give = give_lease,
                                         .leave = leave_lease,
                                         .user = &lease};
        struct queue_server server;
        struct hold_settings settings = {0};
        struct sweep_place place = {0};
        struct sweep_context context = context_of(&settings, &place);
        struct flight_place create = {.wake = no_wake};
        struct domain_memory known;

        context.lock = &lock;
        fill(&server, &scenarios[2]);
        lose_the_certificate(&server);
        struct sweep *sweep = sweep_create(&context);
        while (!sweep_machine.order(sweep).once) {
            if (sweep_machine.step(sweep) == MACHINE_WAIT)
                sweep_woken(sweep);
            else
                answer(sweep, &server);
        }
        if (!rows[i].is_closed)
            sweep_machine.feed(sweep, rows[i].status, "!", 1);
        sweep_destroy(sweep);
        if (lease.left != rows[i].is_lost)
            fail_msg("row %zu", i);
        assert_int_equal(lease.given, !rows[i].is_lost);
        memory_recall(context.memory, "b", &known);
        assert_int_equal(wall_time_equal(known.unanswered_since, fixed_now(NULL)), rows[i].is_lost);
        assert_int_equal(flight_join(context.flights, "b", &create),
                         rows[i].is_lost ? FLIGHT_WAITING : FLIGHT_LEADING);
        flight_leave(context.flights, &create, &(struct flight_result){.settled = false});
        json_decref(server.tasks);
        flight_table_destroy(context.flights);
        task_memory_destroy(context.memory);
    }
}

static void it_waits_for_another_replica_and_does_not_write_without_a_lease(void **state)
{
    (void)state;
    struct lease lease = {.state = LEASE_WAITING};
    const struct domain_lock lock = {
        .take = take_lease, .state = state_of_lease, .give = give_lease, .user = &lease};
    struct queue_server server;
    struct hold_settings settings = {0};
    struct sweep_place place = {0};
    struct sweep_context context = context_of(&settings, &place);

    context.lock = &lock;
    for (int lost = 0; lost < 2; lost++) {
        fill(&server, &scenarios[0]);
        lease = (struct lease){.state = LEASE_WAITING};
        struct sweep *sweep = sweep_create(&context);
        while (sweep_machine.step(sweep) == MACHINE_SEND)
            answer(sweep, &server);
        assert_int_equal(sweep_machine.step(sweep), MACHINE_WAIT);
        assert_int_equal(sweep_woken(sweep), MACHINE_WAIT);
        lease.state = LEASE_MINE;
        sweep_woken(sweep);
        if (lost)
            lease.state = LEASE_OTHERS;
        drive(sweep, &server);
        assert_int_equal(queue_live(&server), lost ? 2 : 1);
        assert_int_equal(lease.given, 1);
        sweep_destroy(sweep);
        json_decref(server.tasks);
    }
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_costs_no_task),
        cmocka_unit_test(it_waits_for_a_create_that_decides_on_the_domain),
        cmocka_unit_test(it_decides_on_what_is_there_once_it_has_the_domain),
        cmocka_unit_test(a_create_without_an_answer_keeps_others_away_for_a_while),
        cmocka_unit_test(it_waits_for_another_replica_and_does_not_write_without_a_lease),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
