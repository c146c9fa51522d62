/*
 * A hold from its request's bytes to its answer's, against a server in a few lines.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/create/domain_lock.h"
#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/memory.h"
#include "jmap/wire/endpoint.h"
#include "tests/unit/task_server.h"

#define NOW "2026-11-23T12:00:00Z"

#define LEASES 8

/* A domain's lease in the test's hand. */
struct lease {
    char domain_id[16];
    enum lease_state state;
    bool given;
};

struct world {
    struct hold_settings settings;
    struct domain_lock lock;
    struct lease leases[LEASES];
    size_t lease_count;
    struct hold_context context;
    struct server server;
    char outcome[32];
    unsigned row;
    unsigned unknown; /* outcomes */
    unsigned woken;
    int64_t passed; /* seconds since NOW */
    int64_t ticks;  /* the flights' clock */
};

static wall_time own_now(void *user)
{
    wall_time now;

    assert_true(wall_time_parse(NOW, &now));
    return wall_time_add(now, ((const struct world *)user)->passed);
}

static void count_wake(void *user)
{
    ((struct world *)user)->woken++;
}

static void keep_report(void *user, const struct hold_report *report)
{
    struct world *world = user;

    snprintf(world->outcome, sizeof world->outcome, "%s", outcome_name(report->outcome));
    world->row = report->row;
    world->unknown += report->outcome == OUTCOME_UNKNOWN;
}

/* Drives a hold to its end, or to where it waits; the answer is the caller's to free. */
static char *drive(struct world *world, struct hold *hold)
{
    char *received = NULL;

    while (hold_step(hold) == HOLD_SEND) {
        struct hold_request request = hold_request(hold);
        char *text = serve(&world->server, request.body, request.len);
        world->server.lookups += request.is_lookup;
        hold_sent(hold);
        if (request.keep_headers) {
            free(received);
            received = strdup(text);
            snprintf(world->server.last_request, sizeof world->server.last_request, "%.*s",
                     (int)request.len, request.body);
        }
        if (!request.keep_headers && !request.is_lookup)
            snprintf(world->server.last_own, sizeof world->server.last_own, "%.*s",
                     (int)request.len, request.body);
        hold_feed(hold, 200, text, strlen(text));
        free(text);
    }
    if (hold_step(hold) == HOLD_DONE && !hold_answer(hold).as_received) {
        free(received);
        received = strndup(hold_answer(hold).body, hold_answer(hold).len);
    }
    return received;
}

static char *ask(struct world *world, const char *body)
{
    struct hold *hold = hold_open(&world->context, body, strlen(body));

    assert_non_null(hold);
    char *answer = drive(world, hold);
    assert_int_equal(hold_step(hold), HOLD_DONE);
    hold_close(hold);
    return answer;
}

static void expect(struct world *world, const char *body, const char *answer)
{
    char *got = ask(world, body);

    assert_string_equal(got, answer);
    free(got);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->settings =
        (struct hold_settings){.blind_interval_seconds = 3600, .max_request = 10000000};
    world->context = (struct hold_context){
        .settings = &world->settings,
        .flights = flight_table_create(),
        .memory = task_memory_create(),
        .now = own_now,
        .wake = count_wake,
        .report = keep_report,
        .user = world,
    };
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    flight_table_destroy(world->context.flights);
    task_memory_destroy(world->context.memory);
    free(world);
    return 0;
}

#define CREATE                                                                                     \
    "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"create\":{\"k\":{\"@type\":"                \
    "\"AcmeRenewal\",\"domainId\":\"b\"}}},\"t\"]]}"
#define CREATED(id)                                                                                \
    "{\"methodResponses\":[[\"x:Task/set\",{\"accountId\":\"d\",\"created\":{\"k\":{\"id\":\"" id  \
    "\"}}},\"t\"]],\"sessionState\":\"s\"}"

#define TWO_PARTS                                                                                  \
    "{\"using\":[],\"methodCalls\":[[\"x:Domain/set\",{\"update\":{\"b\":{}}},\"s\"],"             \
    "[\"x:Task/set\",{\"create\":{\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"}}},\"t\"]]}"

static void make_fresh(struct server *server)
{
    server->not_before = "2026-11-20T12:00:00Z";
    server->not_after = "2027-02-18T12:00:00Z";
}

static void a_due_domain_is_forwarded_with_the_clients_bytes(void **state)
{
    struct world *world = *state;

    expect(world, CREATE, CREATED("jpnew"));
    assert_string_equal(world->server.last_request, CREATE);
    assert_string_equal(world->outcome, "forward");
    assert_int_equal(world->server.creates, 1);
}

static void a_fresh_domain_gets_the_same_no_op_each_time(void **state)
{
    struct world *world = *state;

    make_fresh(&world->server);
    char *first = ask(world, CREATE), *second = ask(world, CREATE);
    assert_string_equal(first, second);
    assert_non_null(strstr(first, "\"created\":{\"k\":{\"id\":\"p33"));
    assert_null(strstr(first, "notCreated"));
    assert_null(strstr(first, "createdIds"));
    assert_int_equal(world->server.creates, 0);
    assert_int_equal(world->row, 4);
    free(first);
    free(second);
}

static void a_queued_task_is_the_answer(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T11:59:00Z\"}}";
    expect(world, CREATE, CREATED("jpold"));
    assert_int_equal(world->server.creates, 0);
}

static void a_later_task_is_pulled_forward(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2027-11-23T11:59:00Z\"}}";
    expect(world, CREATE, CREATED("jpold"));
    assert_int_equal(world->server.moves, 1);
    world->server.refuses_moves = true;
    expect(world, CREATE, CREATED("jpnew"));
    assert_int_equal(world->server.creates, 1);
}

static void nothing_is_moved_for_who_may_not_create(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2027-11-23T11:59:00Z\"}}";
    world->server.create_error = "forbidden";
    expect(world, CREATE,
           "{\"methodResponses\":[[\"x:Task/set\",{\"accountId\":\"d\",\"notCreated\":{\"k\":"
           "{\"type\":\"forbidden\"}}},\"t\"]],\"sessionState\":\"s\"}");
    assert_int_equal(world->server.moves, 0);
    assert_string_equal(world->outcome, "rejected");
}

#define FORBIDDEN "\"notCreated\":{\"k\":{\"type\":\"forbidden\"}}"

/* Whom the server refuses gets its answer, and nothing is read; however many parts there are. */
static void a_stranger_without_rights_costs_no_lookup(void **state)
{
    struct world *world = *state;

    world->context.stranger = true;
    world->settings.has_service_credential = true;
    world->server.create_error = "forbidden";
    for (int i = 0; i < 2; i++) {
        char *got = ask(world, CREATE);
        assert_non_null(strstr(got, FORBIDDEN));
        free(got);
        assert_int_equal(world->server.lookups, 0);
        assert_non_null(strstr(world->server.last_request, IMPOSSIBLE_DOMAIN_ID));
        assert_string_equal(world->outcome, "rejected");
    }
    char *got = ask(world, TWO_PARTS);
    assert_non_null(strstr(got, FORBIDDEN));
    free(got);
    assert_int_equal(world->server.lookups, 1);
    assert_null(strstr(world->server.last_request, "Core/echo"));
    assert_non_null(strstr(world->server.last_request, IMPOSSIBLE_DOMAIN_ID));
    assert_int_equal(world->server.creates, 0);
}

static void a_stranger_with_rights_is_decided_as_any_other(void **state)
{
    struct world *world = *state;

    world->context.stranger = true;
    expect(world, CREATE, CREATED("jpnew"));
    assert_string_equal(world->server.last_request, CREATE);
    assert_string_equal(world->outcome, "forward");
    assert_int_equal(world->server.creates, 1);
    make_fresh(&world->server);
    char *got = ask(world, TWO_PARTS);
    assert_null(strstr(got, "invalidForeignKey"));
    free(got);
    assert_string_equal(world->outcome, "noop");
    assert_int_equal(world->server.creates, 1);
}

/* While the server has not answered, others decide. */
static void a_stranger_leads_no_flight(void **state)
{
    struct world *world = *state;

    world->context.stranger = true;
    struct hold *stranger = hold_open(&world->context, CREATE, strlen(CREATE));
    world->context.stranger = false;
    assert_int_equal(hold_step(stranger), HOLD_SEND);
    assert_true(hold_request(stranger).keep_headers);
    hold_sent(stranger);
    assert_false(hold_is_committed(stranger));
    expect(world, CREATE, CREATED("jpnew"));
    hold_close(stranger);
}

static void a_proof_without_an_answer_makes_nothing(void **state)
{
    struct world *world = *state;

    world->context.stranger = true;
    struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
    hold_sent(hold);
    hold_feed_failure(hold, "no answer");
    assert_int_equal(hold_step(hold), HOLD_DONE);
    hold_close(hold);
    assert_int_equal(world->server.creates, 0);
    hold = hold_open(&world->context, TWO_PARTS, strlen(TWO_PARTS));
    assert_true(hold_request(hold).is_lookup);
    hold_sent(hold);
    hold_feed_failure(hold, "no answer");
    free(drive(world, hold));
    assert_int_equal(hold_step(hold), HOLD_DONE);
    hold_close(hold);
    assert_int_equal(world->server.creates, 1);
}

static void a_task_that_the_request_destroys_is_never_the_answer(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T11:59:00Z\"}}";
    char *got = ask(world, "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"destroy\":[\"jpold\"]"
                           ",\"create\":{\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"}}},"
                           "\"t\"]]}");
    assert_non_null(strstr(got, "jpnew"));
    free(got);
}

static void twins_in_one_request_get_one_task(void **state)
{
    struct world *world = *state;

    char *got = ask(world, "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"create\":{"
                           "\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"},"
                           "\"l\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"ab\"}}},\"t\"],"
                           "[\"x:Task/get\",{\"ids\":[\"#l\"]},\"g\"]]}");
    assert_non_null(strstr(got, "\"k\":{\"id\":\"jpnew\"}"));
    assert_non_null(strstr(got, "\"l\":{\"id\":\"jpnew\"}"));
    assert_int_equal(world->server.creates, 1);
    free(got);
}

static void failed_lookups_forward_once_or_refuse(void **state)
{
    struct world *world = *state;

    world->server.forbids_reads = true;
    expect(world, CREATE, CREATED("jpnew"));
    assert_int_equal(world->row, 9);
    expect(world, CREATE, CREATED("jpnew"));
    assert_int_equal(world->server.creates, 1);

    world->settings.table.on_lookup_failure = LOOKUP_FAILURE_REFUSE;
    char *got = ask(world, CREATE);
    assert_non_null(strstr(got, "serverUnavailable"));
    assert_int_equal(world->row, 10);
    free(got);
}

static void a_forwarded_create_stands_in_for_an_interval(void **state)
{
    struct world *world = *state;

    world->server.forbids_reads = true;
    for (world->passed = 0; world->passed < 7200; world->passed += 1200) {
        free(ask(world, CREATE));
        assert_int_equal(world->server.creates, 1 + world->passed / 3600);
    }
}

static void observing_changes_no_byte(void **state)
{
    struct world *world = *state;

    make_fresh(&world->server);
    world->settings.observe = true;
    expect(world, CREATE, CREATED("jpnew"));
    assert_string_equal(world->server.last_request, CREATE);
    assert_string_equal(world->outcome, "noop");
}

static void a_domain_is_decided_once_at_a_time(void **state)
{
    struct world *world = *state;
    struct hold *leader = hold_open(&world->context, CREATE, strlen(CREATE));
    struct hold *waiter = hold_open(&world->context, CREATE, strlen(CREATE));

    assert_int_equal(hold_step(waiter), HOLD_WAIT);
    free(drive(world, leader));
    assert_int_equal(world->woken, 1);
    hold_close(leader);
    assert_int_equal(hold_woken(waiter), HOLD_SEND);
    char *got = drive(world, waiter);
    assert_string_equal(got, CREATED("jpnew"));
    assert_int_equal(world->server.creates, 1);
    free(got);
    hold_close(waiter);
}

/* With replicas. */

#define LATER_TASK                                                                                 \
    "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\",\"status\":{\"@type\":"        \
    "\"Pending\",\"due\":\"2027-11-23T11:59:00Z\"}}"

static struct lease *take_lease(void *user, const char *domain_id, void (*wake)(void *wake_user),
                                void *wake_user)
{
    struct world *world = user;

    assert_true(world->lease_count < LEASES);
    assert_ptr_equal(wake_user, world);
    assert_non_null(wake);
    struct lease *lease = &world->leases[world->lease_count++];
    *lease = (struct lease){.state = LEASE_WAITING};
    snprintf(lease->domain_id, sizeof lease->domain_id, "%s", domain_id);
    return lease;
}

static enum lease_state lease_state(void *user, const struct lease *lease)
{
    (void)user;
    assert_false(lease->given);
    return lease->state;
}

static void give_lease(void *user, struct lease *lease, const char *domain_id)
{
    (void)user;
    assert_string_equal(lease->domain_id, domain_id);
    assert_false(lease->given);
    lease->given = true;
}

/* A hold that waits for the lease of its domain, with `world->leases[0]`. */
static struct hold *hold_with_a_lock(struct world *world)
{
    world->lock = (struct domain_lock){
        .take = take_lease, .state = lease_state, .give = give_lease, .user = world};
    world->context.lock = &world->lock;
    struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
    assert_int_equal(hold_step(hold), HOLD_WAIT);
    assert_string_equal(world->leases[0].domain_id, "b");
    return hold;
}

static enum hold_step wake_with(struct world *world, struct hold *hold, enum lease_state state)
{
    world->leases[world->lease_count - 1].state = state;
    return hold_woken(hold);
}

/* Answers one request of the hold. */
static enum hold_step serve_one(struct world *world, struct hold *hold)
{
    struct hold_request request = hold_request(hold);
    char *text = serve(&world->server, request.body, request.len);
    enum hold_step step = hold_feed(hold, 200, text, strlen(text));

    free(text);
    return step;
}

static void a_domain_is_looked_up_once_no_other_replica_has_it(void **state)
{
    static const enum lease_state states[] = {LEASE_MINE, LEASE_ALONE};
    struct world *world = *state;

    for (size_t i = 0; i < 2; i++) {
        world->lease_count = 0;
        struct hold *hold = hold_with_a_lock(world);
        assert_int_equal(wake_with(world, hold, LEASE_WAITING), HOLD_WAIT);
        assert_int_equal(wake_with(world, hold, states[i]), HOLD_SEND);
        assert_true(hold_request(hold).is_lookup);
        free(drive(world, hold));
        assert_int_equal(hold_step(hold), HOLD_DONE);
        assert_true(world->leases[0].given);
        hold_close(hold);
    }
    assert_int_equal(world->server.creates, 2);
    assert_int_equal(world->lease_count, 1);
}

static void who_leaves_gives_its_lease(void **state)
{
    struct world *world = *state;

    hold_close(hold_with_a_lock(world));
    assert_true(world->leases[0].given);
}

static void leases_are_taken_in_ascending_order(void **state)
{
    struct world *world = *state;
    static const char body[] = "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"create\":{"
                               "\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"d\"},"
                               "\"l\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"c\"},"
                               "\"m\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#new\"}}},\"t\"]]}";

    hold_close(hold_with_a_lock(world));
    world->lease_count = 0;
    struct hold *hold = hold_open(&world->context, body, strlen(body));
    assert_string_equal(world->leases[0].domain_id, "c");
    assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_WAIT);
    assert_string_equal(world->leases[1].domain_id, "d");
    assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_SEND);
    assert_int_equal(world->lease_count, 2);
    hold_close(hold);
    assert_true(world->leases[0].given && world->leases[1].given);
}

static void a_lease_that_is_lost_while_looking_is_taken_anew(void **state)
{
    struct world *world = *state;
    struct hold *hold = hold_with_a_lock(world);

    assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_SEND);
    world->leases[0].state = LEASE_OTHERS;
    while (hold_step(hold) == HOLD_SEND)
        serve_one(world, hold);
    assert_int_equal(hold_step(hold), HOLD_WAIT);
    assert_true(world->leases[0].given);
    assert_int_equal(world->server.creates, 0);

    /* Meanwhile, the other replica has made a task. */
    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T11:59:00Z\"}}";
    assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_SEND);
    char *got = drive(world, hold);
    assert_string_equal(got, CREATED("jpold"));
    assert_int_equal(world->server.creates, 0);
    free(got);
    hold_close(hold);
}

static void a_lease_that_is_lost_again_and_again_makes_it_undecidable(void **state)
{
    struct world *world = *state;
    struct hold *hold = hold_with_a_lock(world);
    char *got = NULL;

    while (hold_step(hold) == HOLD_WAIT) {
        wake_with(world, hold, LEASE_MINE);
        world->leases[world->lease_count - 1].state = LEASE_OTHERS;
        free(got);
        got = drive(world, hold);
    }
    assert_non_null(strstr(got, "serverUnavailable"));
    assert_int_equal(world->server.creates, 0);
    assert_int_equal(world->row, 10);
    free(got);
    hold_close(hold);
}

static void who_has_lost_its_lease_moves_nothing_and_makes_nothing(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    world->server.refuses_moves = true;
    for (unsigned writes = 0; writes < 2; writes++) {
        world->lease_count = 0;
        struct hold *hold = hold_with_a_lock(world);
        assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_SEND);
        while (!hold_request(hold).keep_headers)
            serve_one(world, hold);
        /* Lost while the client's request is under way, or the move that follows. */
        if (writes == 1)
            assert_int_equal(serve_one(world, hold), HOLD_SEND);
        world->leases[0].state = LEASE_OTHERS;
        assert_int_equal(serve_one(world, hold), HOLD_DONE);
        assert_non_null(strstr(hold_answer(hold).body, "serverUnavailable"));
        assert_int_equal(world->server.moves, writes);
        assert_int_equal(world->server.creates, 0);
        hold_close(hold);
    }
}

/* A request waits for its turn at the server, and its leases run out meanwhile. */
static void what_is_sent_too_late_writes_nothing(void **state)
{
    struct world *world = *state;

    for (unsigned writes = 0; writes < 2; writes++) {
        world->lease_count = 0;
        struct hold *hold = hold_with_a_lock(world);
        assert_int_equal(wake_with(world, hold, LEASE_MINE), HOLD_SEND);
        assert_int_equal(hold_recheck(hold), HOLD_SEND);
        while (!hold_request(hold).keep_headers)
            serve_one(world, hold);
        assert_int_equal(hold_recheck(hold), HOLD_SEND);
        if (writes == 1)
            assert_int_equal(serve_one(world, hold), HOLD_SEND);
        world->leases[0].state = LEASE_OTHERS;
        assert_int_equal(hold_recheck(hold), writes == 0 ? HOLD_SEND : HOLD_DONE);
        if (writes == 0)
            assert_int_equal(serve_one(world, hold), HOLD_DONE);
        assert_non_null(strstr(hold_answer(hold).body, "serverUnavailable"));
        assert_int_equal(world->server.creates, 0);
        assert_int_equal(world->server.moves, 0);
        hold_close(hold);
        world->server.task = LATER_TASK;
    }
}

static void a_waiter_may_leave_and_a_leader_may_die(void **state)
{
    struct world *world = *state;
    struct hold *leader = hold_open(&world->context, CREATE, strlen(CREATE));
    struct hold *gone = hold_open(&world->context, CREATE, strlen(CREATE));
    struct hold *waiter = hold_open(&world->context, CREATE, strlen(CREATE));

    hold_close(gone);
    hold_close(leader);
    assert_int_equal(world->woken, 1);
    assert_int_equal(hold_woken(waiter), HOLD_SEND);
    free(drive(world, waiter));
    assert_int_equal(world->server.creates, 1);
    hold_close(waiter);
}

#define CREATE_LATER                                                                               \
    "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"create\":{\"k\":{\"@type\":"                \
    "\"AcmeRenewal\",\"domainId\":\"b\",\"status\":{\"@type\":\"Pending\",\"due\":"                \
    "\"2027-11-23T12:00:00Z\"}}}},\"t\"]]}"
#define CREATE_AND_DESTROY                                                                         \
    "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"destroy\":[\"jpold\"],\"create\":{"         \
    "\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"}}},\"t\"]]}"

/* Whether a request that came meanwhile takes the answer that another one got. */
static bool is_served_by_the_flight_of(struct world *world, const char *leading,
                                       const char *waiting, bool forced)
{
    struct hold_context context = world->context;
    struct hold *leader = hold_open(&world->context, leading, strlen(leading));

    context.forced = forced;
    struct hold *waiter = hold_open(&context, waiting, strlen(waiting));
    assert_int_equal(hold_step(waiter), HOLD_WAIT);
    free(drive(world, leader));
    hold_close(leader);

    unsigned lookups = world->server.lookups;
    hold_woken(waiter);
    free(drive(world, waiter));
    assert_int_equal(hold_step(waiter), HOLD_DONE);
    hold_close(waiter);
    return world->server.lookups == lookups;
}

static void a_flight_serves_who_asked_for_the_same(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T11:59:00Z\"}}";
    world->settings.force_allowed = true;
    assert_true(is_served_by_the_flight_of(world, CREATE, CREATE, false));
    assert_true(is_served_by_the_flight_of(world, CREATE_LATER, CREATE_LATER, false));
    assert_false(is_served_by_the_flight_of(world, CREATE, CREATE, true));
    assert_false(is_served_by_the_flight_of(world, CREATE, CREATE_LATER, false));
    assert_false(is_served_by_the_flight_of(world, CREATE_LATER, CREATE, false));
    assert_false(is_served_by_the_flight_of(world, CREATE, CREATE_AND_DESTROY, false));
}

/* The row is that of who decided, whichever it was. */
static void who_is_served_by_a_flight_tells_the_row_that_was_decided(void **state)
{
    struct world *world = *state;

    assert_true(is_served_by_the_flight_of(world, CREATE, CREATE, false));
    assert_string_equal(world->outcome, "existing");
    assert_int_equal(world->row, 8);
    make_fresh(&world->server);
    assert_true(is_served_by_the_flight_of(world, CREATE, CREATE, false));
    assert_string_equal(world->outcome, "noop");
    assert_int_equal(world->row, 4);
    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2027-01-23T11:59:00Z\"}}";
    assert_true(is_served_by_the_flight_of(world, CREATE, CREATE, false));
    assert_string_equal(world->outcome, "existing");
    assert_int_equal(world->row, 3);
}

static void a_refusal_without_a_time_counts_from_when_it_was_first_seen(void **state)
{
    struct world *world = *state;

    world->settings.blind_hold_seconds = 7200;
    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Retry\",\"due\":\"2026-11-23T12:30:00Z\","
                         "\"failureReason\":\"Rate limited. Retry after some time\"}}";
    expect(world, CREATE, CREATED("jpold"));
    world->passed = 3600;
    free(ask(world, CREATE_AND_DESTROY));
    assert_int_equal(world->row, 6);
    assert_non_null(strstr(world->server.last_own, "2026-11-23T14:00:00Z"));
}

static void who_waited_asks_for_the_time_after_the_wait(void **state)
{
    struct world *world = *state;
    struct hold *leader = hold_open(&world->context, CREATE, strlen(CREATE));
    struct hold *waiter = hold_open(&world->context, CREATE, strlen(CREATE));

    hold_close(leader);
    world->passed = 3600;
    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\","
                         "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T12:59:00Z\"}}";
    hold_woken(waiter);
    free(drive(world, waiter));
    hold_close(waiter);
    assert_string_equal(world->outcome, "existing");
    assert_int_equal(world->server.moves, 0);
}

static void created_ids_are_told_only_to_who_asks(void **state)
{
    struct world *world = *state;

    make_fresh(&world->server);
    char *got = ask(world, "{\"using\":[],\"createdIds\":{},\"methodCalls\":[[\"x:Task/set\",{"
                           "\"create\":{\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"}}},"
                           "\"t\"]]}");
    assert_non_null(strstr(got, "\"createdIds\":{\"k\":\"p33"));
    free(got);
    got = ask(world, CREATE);
    assert_null(strstr(got, "createdIds"));
    assert_null(strstr(world->server.last_request, "createdIds"));
    free(got);
}

static void requests_without_a_create_are_no_holds(void **state)
{
    struct world *world = *state;
    static const char *const bodies[] = {
        "",
        "{",
        "[]",
        "{\"methodCalls\":7}",
        "{\"methodCalls\":[[\"x:Task/get\",{\"ids\":[\"AcmeRenewal\"]},\"g\"]]}",
        "{\"methodCalls\":[[\"x:Task/"
        "set\",{\"create\":{\"k\":{\"@type\":\"AcmeRenewal\"}}},\"t\"]]}",
        "{\"methodCalls\":[[\"x:Task/set\",{\"create\":{\"k\":{\"@type\":\"AcmeRenewal\","
        "\"domainId\":\"!!\"}}},\"t\"]]}",
        "{\"methodCalls\":[[\"x:Task/set\",{\"create\":[]},\"t\"],7,[],[\"x:Task/set\"]]}",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        assert_null(hold_open(&world->context, bodies[i], strlen(bodies[i])));
}

#define RENEWAL(key, more) "\"" key "\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"" more "}"
#define SET(creates) "[\"x:Task/set\",{\"create\":{" creates "}},\"t\"]"
#define BATCH(calls) "{\"using\":[],\"methodCalls\":[" calls "]}"

static void twins_of_a_rejected_create_make_one_task(void **state)
{
    struct world *world = *state;
    char *got = ask(
        world, BATCH(SET(RENEWAL("k", ",\"bogus\":1") "," RENEWAL("l", "") "," RENEWAL("m", ""))));

    assert_int_equal(world->server.creates, 1);
    assert_non_null(strstr(got, "\"k\":{\"type\":\"invalidProperties\"}"));
    assert_non_null(strstr(got, "\"l\":{\"id\":\"jpnew\"}"));
    assert_non_null(strstr(got, "\"m\":{\"id\":\"jpnew\"}"));
    free(got);
}

#define DUE(time) ",\"status\":{\"@type\":\"Pending\",\"due\":\"" time "\"}"
#define FOR_NOW RENEWAL("now", "")
#define FOR_LATER RENEWAL("later", DUE("2026-12-23T12:00:00Z"))
#define FOR_LATEST RENEWAL("latest", DUE("2027-01-23T12:00:00Z"))
#define IN_ONE(a, b, c) BATCH(SET(a "," b "," c))
#define IN_TWO(a, b, c) BATCH(SET(a "," b) "," SET(c))
#define ORDERS(batch)                                                                              \
    batch(FOR_NOW, FOR_LATER, FOR_LATEST), batch(FOR_NOW, FOR_LATEST, FOR_LATER),                  \
        batch(FOR_LATER, FOR_NOW, FOR_LATEST), batch(FOR_LATER, FOR_LATEST, FOR_NOW),              \
        batch(FOR_LATEST, FOR_NOW, FOR_LATER), batch(FOR_LATEST, FOR_LATER, FOR_NOW)

static const char *const orders[] = {ORDERS(IN_ONE), ORDERS(IN_TWO)};

#define ORDER_COUNT (sizeof orders / sizeof *orders)

static void expect_id(const char *answer, const char *key, const char *id)
{
    char member[64];

    snprintf(member, sizeof member, "\"%s\":{\"id\":\"%s", key, id);
    assert_non_null(strstr(answer, member));
}

/* What the creates for now, for later and for the latest time are answered, in each order. */
static void expect_ids(const char *answer, const char *now, const char *later, const char *latest)
{
    expect_id(answer, "now", now);
    expect_id(answer, "later", later);
    expect_id(answer, "latest", latest);
}

static void the_earliest_of_a_domains_creates_decides(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ORDER_COUNT; i++) {
        world->server.creates = 0;
        char *got = ask(world, orders[i]);
        expect_ids(got, "jpnew", "jpnew", "jpnew");
        assert_int_equal(world->server.creates, 1);
        assert_non_null(strstr(world->server.last_request, FOR_NOW));
        free(got);
    }
}

static void the_earliest_of_a_domains_creates_moves_the_task(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        world->server.moves = 0;
        char *got = ask(world, orders[i]);
        expect_ids(got, "jpold", "jpold", "jpold");
        assert_int_equal(world->server.moves, 1);
        assert_non_null(strstr(world->server.last_own, "\"status/due\":\"" NOW "\""));
        free(got);
    }
}

/* The certificate is due between the second and the third, for which alone a task is made. */
static void what_is_asked_for_behind_a_no_op_is_decided_by_itself(void **state)
{
    struct world *world = *state;

    make_fresh(&world->server);
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        world->server.creates = 0;
        char *got = ask(world, orders[i]);
        expect_ids(got, "p33", "p33", "jpnew");
        assert_int_equal(world->server.creates, 1);
        assert_non_null(strstr(world->server.last_request, FOR_LATEST));
        free(got);
    }
}

/* The creates, and a call that may change what decisions about them rest on. */
static char *ask_late(struct world *world, const char *batch)
{
    char body[4096];

    snprintf(body, sizeof body, "%.*s,[\"x:Domain/set\",{\"update\":{\"b\":{}}},\"s\"]]}",
             (int)strlen(batch) - 2, batch);
    world->server.creates = 0;
    return ask(world, body);
}

static void late_decisions_begin_with_the_earliest(void **state)
{
    struct world *world = *state;

    for (size_t i = 0; i < ORDER_COUNT; i++) {
        char *got = ask_late(world, orders[i]);
        expect_ids(got, "jpnew", "jpnew", "jpnew");
        assert_int_equal(world->server.creates, 1);
        assert_null(strstr(world->server.last_own, "\"due\""));
        free(got);
    }
    make_fresh(&world->server);
    for (size_t i = 0; i < ORDER_COUNT; i++) {
        char *got = ask_late(world, orders[i]);
        expect_ids(got, "p33", "p33", "jpnew");
        assert_int_equal(world->server.creates, 1);
        assert_non_null(strstr(world->server.last_own, "2027-01-23T12:00:00Z"));
        free(got);
    }
}

static void who_follows_a_rejected_create_is_decided_by_its_own_time(void **state)
{
    struct world *world = *state;

    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"" DUE(
        "2026-12-01T00:00:00Z") "}";
    char *got = ask(world, BATCH(SET(FOR_LATER "," RENEWAL("now", ",\"bogus\":1"))));
    assert_int_equal(world->server.moves, 0);
    assert_non_null(strstr(got, "\"now\":{\"type\":\"invalidProperties\"}"));
    expect_id(got, "later", "jpold");
    free(got);
}

#define DNS_TASK(key)                                                                              \
    "\"" key "\":{\"@type\":\"DnsManagement\",\"onSuccessRenewCertificate\":true,"                 \
    "\"domainId\":\"b\"}"

static void a_dns_task_for_now_goes_before_a_renewal_for_later(void **state)
{
    static const char *const bodies[] = {
        BATCH(SET(FOR_LATER "," DNS_TASK("now"))),
        BATCH(SET(DNS_TASK("now") "," FOR_LATER)),
        BATCH(SET(FOR_LATER) "," SET(DNS_TASK("now"))),
    };
    struct world *world = *state;

    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        world->server.creates = 0;
        char *got = ask(world, bodies[i]);
        assert_int_equal(world->server.creates, 1);
        assert_non_null(strstr(world->server.last_request, DNS_TASK("now")));
        expect_id(got, "later", "jpnew");
        free(got);
    }
    /* Beside a renewal for the same time none follows. */
    free(ask(world, BATCH(SET(DNS_TASK("dns") "," FOR_NOW))));
    assert_non_null(strstr(world->server.last_request, FOR_NOW));
    assert_non_null(strstr(world->server.last_request, "\"onSuccessRenewCertificate\":false"));
}

static void a_twin_of_a_rejected_create_moves_the_task(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    char *got = ask(world, BATCH(SET(RENEWAL("k", ",\"bogus\":1") "," RENEWAL("l", ""))));
    assert_int_equal(world->server.moves, 1);
    assert_non_null(strstr(got, "\"l\":{\"id\":\"jpold\"}"));
    free(got);
}

static void twins_share_what_replaces_a_refused_move(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    world->server.refuses_moves = true;
    char *got = ask(world, BATCH(SET(RENEWAL("k", "") "," RENEWAL("l", ""))));
    assert_int_equal(world->server.creates, 1);
    assert_non_null(strstr(got, "\"k\":{\"id\":\"jpnew\"}"));
    assert_non_null(strstr(got, "\"l\":{\"id\":\"jpnew\"}"));
    free(got);
}

static void a_running_task_is_the_answer_and_a_vanished_one_is_read_anew(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    world->server.refuses_moves = true;
    world->server.move_refusal = "{\"type\":\"forbidden\",\"description\":\"Task is currently "
                                 "being processed and cannot be updated\"}";
    expect(world, CREATE, CREATED("jpold"));
    world->server.move_refusal = "{\"type\":\"notFound\"}";
    char *got = ask(world, CREATE);
    assert_non_null(strstr(got, "serverUnavailable"));
    assert_int_equal(world->server.creates, 0);
    free(got);
}

static void an_unanswered_move_makes_no_second_task(void **state)
{
    struct world *world = *state;

    world->server.task = LATER_TASK;
    struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
    while (!strstr(hold_request(hold).body, "status/due")) {
        struct hold_request request = hold_request(hold);
        char *text = serve(&world->server, request.body, request.len);
        hold_feed(hold, 200, text, strlen(text));
        free(text);
    }
    assert_int_equal(hold_feed_failure(hold, "no answer"), HOLD_DONE);
    assert_non_null(strstr(hold_answer(hold).body, "serverUnavailable"));
    hold_close(hold);
}

/* Opens a request, and goes on to where the client's own is under way. */
static struct hold *send_own(struct world *world, const char *body)
{
    struct hold *hold = hold_open(&world->context, body, strlen(body));

    world->outcome[0] = '\0';
    while (!hold_request(hold).keep_headers)
        serve_one(world, hold);
    hold_sent(hold);
    return hold;
}

static void what_makes_nothing_is_not_unknown(void **state)
{
    struct world *world = *state;
    static const unsigned lost[] = {0, 200, 502};

    make_fresh(&world->server);
    for (size_t i = 0; i < 3; i++) {
        struct hold *hold = send_own(world, CREATE);
        if (lost[i])
            hold_feed(hold, lost[i], "no", 2);
        else
            hold_feed_failure(hold, "no answer");
        assert_string_equal(world->outcome, "rejected");
        hold_close(hold);
    }
    hold_close(send_own(world, CREATE));
    assert_string_equal(world->outcome, "");
    world->context.stranger = true;
    hold_close(send_own(world, CREATE));
    assert_string_equal(world->outcome, "");
    assert_int_equal(world->server.creates, 0);
}

static void what_may_have_been_made_is_unknown_for_its_twins_too(void **state)
{
    struct world *world = *state;
    static const char two[] = BATCH(SET(FOR_LATER "," FOR_NOW));

    struct hold *hold = send_own(world, two);
    hold_feed_failure(hold, "no answer");
    assert_int_equal(world->unknown, 2);
    hold_close(hold);
    flight_table_destroy(world->context.flights);
    world->context.flights = flight_table_create();
    hold_close(send_own(world, two));
    assert_int_equal(world->unknown, 4);
    flight_table_destroy(world->context.flights);
    world->context.flights = flight_table_create();
    /* Of two domains one is made, and the reference means none. */
    make_fresh(&world->server);
    hold_close(send_own(world, BATCH(SET(FOR_NOW ",\"dangling\":{\"@type\":\"AcmeRenewal\","
                                                 "\"domainId\":\"#x\"},\"other\":{\"@type\":"
                                                 "\"AcmeRenewal\",\"domainId\":\"c\"}"))));
    assert_int_equal(world->unknown, 5);
}

/* The first time that the account of another domain has. */
static int64_t time_left(const struct world *world)
{
    wall_time now = own_now((void *)world);
    wall_time next = memory_foresee_time(world->context.memory, "z", "jp1",
                                         world->settings.account_limit, now, now);

    return next.seconds - now.seconds;
}

/* Of its domain, nothing was made or moved for which it was taken. */
static void a_time_that_comes_to_nothing_is_given_back(void **state)
{
    struct world *world = *state;

    world->settings.account_limit = (struct issue_limit){1, 3600};
    world->server.task = LATER_TASK;
    hold_close(send_own(world, CREATE));
    assert_int_equal(time_left(world), 0);
    world->server.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"" DUE(
        "2026-12-01T00:00:00Z") "}";
    free(ask(world, BATCH(SET(FOR_LATER "," RENEWAL("now", ",\"bogus\":1")))));
    assert_int_equal(time_left(world), 0);
    world->server.task = NULL;
    free(ask(world, CREATE));
    assert_int_equal(time_left(world), 3600);
}

static wall_time unanswered_since(const struct world *world)
{
    struct domain_memory known;

    memory_recall(world->context.memory, "b", &known);
    return known.unanswered_since;
}

/* As one that has to wait for room at the server has not. */
static void what_did_not_go_out_is_not_remembered(void **state)
{
    struct world *world = *state;
    struct hold *hold = send_own(world, CREATE);

    assert_true(wall_time_equal(unanswered_since(world), own_now(world)));
    hold_unsent(hold);
    assert_true(wall_time_equal(unanswered_since(world), WALL_TIME_NEVER));
    hold_close(hold);
    assert_string_equal(world->outcome, "");
}

/* Opens a create for a domain that another is deciding about, and lets it wait for too long. */
static char *ask_alone(struct world *world, const char *body)
{
    struct hold *leader = hold_open(&world->context, CREATE, strlen(CREATE));
    struct hold *waiter = hold_open(&world->context, body, strlen(body));

    assert_int_equal(hold_step(waiter), HOLD_WAIT);
    for (unsigned second = 0; second < 2; second++)
        flight_table_tick(world->context.flights, world->ticks += 1000, 1000);
    assert_int_equal(hold_woken(waiter), HOLD_SEND);
    char *got = drive(world, waiter);
    assert_int_equal(hold_step(waiter), HOLD_DONE);
    hold_close(waiter);
    hold_close(leader);
    return got;
}

/* The other may be changing them: who does not lead makes, moves and tidies up nothing. */
static void who_decides_by_itself_only_looks(void **state)
{
    struct world *world = *state;

    /* A renewal that waits until after its certificate is due would be moved: a look more, at all
     * of the certificates, and one more to move it. */
    make_fresh(&world->server);
    world->server.task = LATER_TASK;
    free(ask(world, CREATE));
    world->server.lookups = 0;
    char *got = ask_alone(world, CREATE);
    assert_string_equal(got, CREATED("jpold"));
    free(got);
    assert_int_equal(world->server.lookups, 2);
    expect(world, CREATE, CREATED("jpold"));
    assert_int_equal(world->server.lookups, 2 + 3);
    world->server.not_before = NULL;

    for (unsigned late = 0; late < 2; late++) {
        world->server.task = LATER_TASK;
        world->server.moves = 0;
        got = ask_alone(world, late ? BATCH(SET(RENEWAL("k", "")) ",[\"x:Domain/set\",{\"update\":"
                                                                  "{\"b\":{}}},\"s\"]")
                                    : CREATE);
        assert_non_null(strstr(got, "serverUnavailable"));
        free(got);
        assert_int_equal(world->server.moves, 0);
    }
    assert_int_equal(world->server.creates, 0);
}

static void a_clients_own_reference_keeps_its_meaning(void **state)
{
    struct world *world = *state;
    static const char body[] = "{\"using\":[],\"createdIds\":{\"k\":\"c\"},\"methodCalls\":[" SET(
        RENEWAL("k", "")) ",[\"x:Task/get\",{\"ids\":[\"#k\"]},\"g\"]]}";

    make_fresh(&world->server);
    char *got = ask(world, body);
    assert_non_null(strstr(world->server.last_request, "\"createdIds\":{\"k\":\"c\"}"));
    assert_null(strstr(world->server.last_request, "x:Task/get"));
    assert_non_null(strstr(world->server.last_own, "\"createdIds\":{\"k\":\"p33"));
    assert_non_null(strstr(got, "\"createdIds\":{\"k\":\"p33"));
    free(got);
    world->server.create_error = "forbidden";
    got = ask(world, body);
    assert_non_null(strstr(got, "\"createdIds\":{\"k\":\"c\"}"));
    free(got);
}

static void what_only_the_server_might_read_is_json_to_neither(void **state)
{
    struct world *world = *state;
    static const char *const members[] = {
        "\"a\":18446744073709551615",
        "\"a\":1e999",
        "\"a\":\"\\ud800\"",
        "\"a\\u0000\":1",
        "\"a\":\"\xff\"",
    };

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char body[512];
        snprintf(body, sizeof body, "{%s,\"methodCalls\":[%s]}", members[i],
                 SET("\"k\":{\"@type\":\"\\u0041cmeRenewal\",\"domainId\":\"b\"}"));
        struct hold *hold = hold_open(&world->context, body, strlen(body));
        assert_non_null(hold);
        assert_int_equal(hold_request(hold).body[0], '!');
        assert_true(hold_request(hold).keep_headers);
        assert_int_equal(hold_feed(hold, 400, "{}", 2), HOLD_DONE);
        assert_true(hold_answer(hold).as_received);
        hold_close(hold);
        world->settings.observe = true;
        assert_null(hold_open(&world->context, body, strlen(body)));
        world->settings.observe = false;
    }
}

static void of_repeated_keys_one_create_is_left(void **state)
{
    struct world *world = *state;

    expect(world, BATCH(SET(RENEWAL("k", "") "," RENEWAL("k", ""))), CREATED("jpnew"));
    assert_int_equal(world->server.creates, 1);
    assert_string_equal(world->server.last_request, CREATE);
    free(
        ask(world, BATCH(SET(RENEWAL("k", "") ",\"k\":{\"@type\":\"Other\",\"domainId\":\"b\"}"))));
    assert_null(strstr(world->server.last_request, "AcmeRenewal"));
}

static void an_answer_that_cannot_be_read_is_a_503_where_ids_are_missing_in_it(void **state)
{
    struct world *world = *state;
    unsigned status[2];

    for (size_t fresh = 0; fresh < 2; fresh++) {
        if (fresh)
            make_fresh(&world->server);
        struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
        while (!hold_request(hold).keep_headers) {
            struct hold_request request = hold_request(hold);
            char *text = serve(&world->server, request.body, request.len);
            hold_feed(hold, 200, text, strlen(text));
            free(text);
        }
        assert_int_equal(hold_feed(hold, 200, "[", 1), HOLD_DONE);
        status[fresh] = hold_answer(hold).own_status;
        hold_close(hold);
    }
    assert_int_equal(status[0], 0);
    assert_int_equal(status[1], 503);
}

static void nonsense_in_a_lookup_is_a_failed_lookup(void **state)
{
    struct world *world = *state;
    static const char *const answers[] = {
        "",
        "7",
        "[]",
        "{}",
        "{\"methodResponses\":{}}",
        "{\"methodResponses\":[7,[],[[]]]}",
        "{\"methodResponses\":[[\"x:Task/query\",{\"ids\":7},\"t\"]]}",
        "{\"methodResponses\":[[\"x:Task/get\",{\"list\":{}},\"T\"]]}",
    };

    world->settings.table.on_lookup_failure = LOOKUP_FAILURE_REFUSE;
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
        hold_feed(hold, 200, answers[i], strlen(answers[i]));
        char *got = drive(world, hold);
        if (!strstr(got, "serverUnavailable"))
            fail_msg("%s: %s", answers[i], got);
        free(got);
        hold_close(hold);
    }
}

static void an_answer_without_its_list_is_a_failed_lookup(void **state)
{
    struct world *world = *state;
    static const char *const methods[] = {"x:Task/query", "x:Task/get", "x:Domain/get",
                                          "x:Certificate/query", "x:Certificate/get"};

    world->settings.table.on_lookup_failure = LOOKUP_FAILURE_REFUSE;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        world->server.without_list = methods[i];
        free(ask(world, CREATE));
        assert_int_equal(world->row, 10);
    }
}

static void a_lookup_counts_only_with_200(void **state)
{
    struct world *world = *state;
    static const unsigned statuses[] = {201, 204, 301, 400, 401, 403, 429, 500, 503};

    world->settings.table.on_lookup_failure = LOOKUP_FAILURE_REFUSE;
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        struct hold *hold = hold_open(&world->context, CREATE, strlen(CREATE));
        struct hold_request request = hold_request(hold);
        char *text = serve(&world->server, request.body, request.len);
        hold_feed(hold, statuses[i], text, strlen(text));
        free(drive(world, hold));
        assert_int_equal(world->row, 10);
        free(text);
        hold_close(hold);
    }
}

/* The search of the fast path against the plainest one, with every cut of the words. */
static void a_create_is_not_overlooked(void **state)
{
    (void)state;
    static const char *const words[] = {
        "AcmeRenewal", "onSuccessRenewCertificate", "\\u", "w", "\\\\uw",
        "Renewal",     "AcmeRenewaAcmeRenewal"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t len = strlen(words[i]);
        for (size_t begin = 0; begin <= len; begin++) {
            for (size_t end = begin; end <= len; end++) {
                char *body = malloc(end - begin + 1);
                memcpy(body, words[i] + begin, end - begin);
                bool there = memmem(body, end - begin, words[0], strlen(words[0])) != NULL ||
                             memmem(body, end - begin, words[1], strlen(words[1])) != NULL ||
                             memmem(body, end - begin, words[2], strlen(words[2])) != NULL;
                /* Exactly so many bytes, so that a read behind them is seen. */
                char *exact = malloc(end - begin > 0 ? end - begin : 1);
                memcpy(exact, body, end - begin);
                assert_int_equal(endpoint_may_contain_create(exact, end - begin), there);
                free(exact);
                free(body);
            }
        }
    }
}

/* What is taken from the client's request, or put off: the shapes that once went wrong. */
static void references_to_what_is_no_domain_are_the_servers_to_refuse(void **state)
{
    struct world *world = *state;
    static const char *const bodies[] = {
        BATCH(SET("\"a\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#k\"},"
                  "\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#k\"}")),
        BATCH(SET("\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#e\"}") "," SET(
            "\"d\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#e\"}")),
    };
    static const char refusal[] = "{\"methodResponses\":[[\"error\",{\"type\":"
                                  "\"invalidArguments\"},\"t\"],[\"error\",{\"type\":"
                                  "\"invalidResultReference\"},\"t\"]]}";

    for (size_t i = 0; i < 2; i++) {
        struct hold *hold = hold_open(&world->context, bodies[i], strlen(bodies[i]));
        while (hold_step(hold) == HOLD_SEND)
            hold_feed(hold, 200, refusal, sizeof refusal - 1);
        assert_string_equal(world->outcome, "rejected");
        assert_int_equal(hold_answer(hold).own_status, 0);
        hold_close(hold);
    }
}

/*
 * The one task that is there may be destroyed by the call of the create: that must be seen first.
 */
static void a_create_waits_for_what_its_call_takes_away(void **state)
{
    struct world *world = *state;
    struct hold *hold;

    world->server.task = LATER_TASK;
    hold = hold_open(&world->context, CREATE_AND_DESTROY, strlen(CREATE_AND_DESTROY));
    while (hold_step(hold) == HOLD_SEND) {
        if (hold_request(hold).keep_headers)
            assert_non_null(strstr(hold_request(hold).body, IMPOSSIBLE_DOMAIN_ID));
        serve_one(world, hold);
    }
    assert_int_equal(world->server.creates, 1);
    assert_non_null(strstr(hold_answer(hold).body, "jpnew"));
    hold_close(hold);
}

static void no_more_is_cut_than_a_request_may_have_calls(void **state)
{
    struct world *world = *state;
    char body[8192] = "{\"using\":[],\"methodCalls\":[", *end = body + strlen(body);

    for (size_t i = 0; i < 40; i++)
        end += sprintf(end, "%s%s", i ? "," : "",
                       SET("\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"#x\"}"));
    strcpy(end, "]}");
    char *got = ask(world, body);
    assert_non_null(strstr(got, "serverPartialFail"));
    free(got);
}

static void the_endpoint_has_an_empty_second_segment(void **state)
{
    static const struct {
        const char *target;
        bool endpoint;
    } rows[] = {
        {"/jmap", true},
        {"/jmap/", true},
        {"/jmap/?a=b", true},
        {"/jmap?a=b", true},
        {"/jmap//", true},
        {"/jmap//any/thing", true},
        {"/JMAP/", false},
        {"//jmap/", false},
        {"/./jmap/", false},
        {"/%6amap/", false},
        {"/jmap/session", false},
        {"/jmapx", false},
        {"/", false},
        {"", false},
        {"http://h/jmap/", true},
        {"http://h", false},
        {"/x?/jmap/", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (endpoint_is_api(rows[i].target, strlen(rows[i].target)) != rows[i].endpoint)
            fail_msg("%s", rows[i].target);
    }
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void the_sockets_second_segment_is_ws(void **state)
{
    static const struct {
        const char *target;
        bool socket;
    } rows[] = {
        {"/jmap/ws", true},     {"/jmap/ws/", true},
        {"/jmap/ws?a=b", true}, {"/jmap/ws/any/thing", true},
        {"/jmap/wss", false},   {"/jmap/w", false},
        {"/jmap//ws", false},   {"/JMAP/ws", false},
        {"/jmap/%77s", false},  {"/jmap", false},
        {"/x?/jmap/ws", false}, {"http://h/jmap/ws", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (endpoint_is_socket(rows[i].target, strlen(rows[i].target)) != rows[i].socket)
            fail_msg("%s", rows[i].target);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_due_domain_is_forwarded_with_the_clients_bytes),
        WORLD_TEST(a_fresh_domain_gets_the_same_no_op_each_time),
        WORLD_TEST(a_queued_task_is_the_answer),
        WORLD_TEST(a_later_task_is_pulled_forward),
        WORLD_TEST(nothing_is_moved_for_who_may_not_create),
        WORLD_TEST(a_stranger_without_rights_costs_no_lookup),
        WORLD_TEST(a_stranger_with_rights_is_decided_as_any_other),
        WORLD_TEST(a_stranger_leads_no_flight),
        WORLD_TEST(a_proof_without_an_answer_makes_nothing),
        WORLD_TEST(a_task_that_the_request_destroys_is_never_the_answer),
        WORLD_TEST(twins_in_one_request_get_one_task),
        WORLD_TEST(failed_lookups_forward_once_or_refuse),
        WORLD_TEST(a_forwarded_create_stands_in_for_an_interval),
        WORLD_TEST(observing_changes_no_byte),
        WORLD_TEST(a_domain_is_decided_once_at_a_time),
        WORLD_TEST(a_waiter_may_leave_and_a_leader_may_die),
        WORLD_TEST(a_flight_serves_who_asked_for_the_same),
        WORLD_TEST(who_is_served_by_a_flight_tells_the_row_that_was_decided),
        WORLD_TEST(a_refusal_without_a_time_counts_from_when_it_was_first_seen),
        WORLD_TEST(who_waited_asks_for_the_time_after_the_wait),
        WORLD_TEST(a_domain_is_looked_up_once_no_other_replica_has_it),
        WORLD_TEST(who_leaves_gives_its_lease),
        WORLD_TEST(leases_are_taken_in_ascending_order),
        WORLD_TEST(a_lease_that_is_lost_while_looking_is_taken_anew),
        WORLD_TEST(a_lease_that_is_lost_again_and_again_makes_it_undecidable),
        WORLD_TEST(who_has_lost_its_lease_moves_nothing_and_makes_nothing),
        WORLD_TEST(what_is_sent_too_late_writes_nothing),
        WORLD_TEST(created_ids_are_told_only_to_who_asks),
        WORLD_TEST(requests_without_a_create_are_no_holds),
        WORLD_TEST(what_makes_nothing_is_not_unknown),
        WORLD_TEST(a_time_that_comes_to_nothing_is_given_back),
        WORLD_TEST(what_did_not_go_out_is_not_remembered),
        WORLD_TEST(who_decides_by_itself_only_looks),
        WORLD_TEST(what_may_have_been_made_is_unknown_for_its_twins_too),
        WORLD_TEST(twins_of_a_rejected_create_make_one_task),
        WORLD_TEST(the_earliest_of_a_domains_creates_decides),
        WORLD_TEST(the_earliest_of_a_domains_creates_moves_the_task),
        WORLD_TEST(what_is_asked_for_behind_a_no_op_is_decided_by_itself),
        WORLD_TEST(late_decisions_begin_with_the_earliest),
        WORLD_TEST(who_follows_a_rejected_create_is_decided_by_its_own_time),
        WORLD_TEST(a_dns_task_for_now_goes_before_a_renewal_for_later),
        WORLD_TEST(a_twin_of_a_rejected_create_moves_the_task),
        WORLD_TEST(twins_share_what_replaces_a_refused_move),
        WORLD_TEST(a_running_task_is_the_answer_and_a_vanished_one_is_read_anew),
        WORLD_TEST(an_unanswered_move_makes_no_second_task),
        WORLD_TEST(a_clients_own_reference_keeps_its_meaning),
        WORLD_TEST(what_only_the_server_might_read_is_json_to_neither),
        WORLD_TEST(of_repeated_keys_one_create_is_left),
        WORLD_TEST(an_answer_that_cannot_be_read_is_a_503_where_ids_are_missing_in_it),
        WORLD_TEST(nonsense_in_a_lookup_is_a_failed_lookup),
        WORLD_TEST(an_answer_without_its_list_is_a_failed_lookup),
        WORLD_TEST(a_lookup_counts_only_with_200),
        cmocka_unit_test(a_create_is_not_overlooked),
        WORLD_TEST(references_to_what_is_no_domain_are_the_servers_to_refuse),
        WORLD_TEST(a_create_waits_for_what_its_call_takes_away),
        WORLD_TEST(no_more_is_cut_than_a_request_may_have_calls),
        cmocka_unit_test(the_endpoint_has_an_empty_second_segment),
        cmocka_unit_test(the_sockets_second_segment_is_ws),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
