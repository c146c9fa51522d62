/*
 * A hold from its request's bytes to its answer's, against a server in a few lines: it answers
 * look-ups from a table and a masked create as the recording set-create-errors does.
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

#include "jmap/flight.h"
#include "jmap/hold.h"
#include "jmap/memory.h"
#include "policy/no_op_id.h"

#define NOW "2026-11-23T12:00:00Z"

struct server {
    const char *task;       /* a task object as JSON, or NULL */
    const char *not_before; /* of the one certificate, or NULL */
    const char *not_after;
    const char *create_error; /* type of the error that every create gets, or NULL */
    bool forbids_reads;
    bool refuses_moves;
    unsigned lookups, creates, moves;
    char last_request[4096];
};

struct world {
    struct hold_settings settings;
    struct hold_context context;
    struct server server;
    char outcome[32];
    unsigned row;
    unsigned woken;
};

static wall_time fixed_now(void *user)
{
    wall_time now;

    (void)user;
    assert_true(wall_time_parse(NOW, &now));
    return now;
}

static void count_wake(void *user)
{
    ((struct world *)user)->woken++;
}

static void keep_report(void *user, const struct hold_report *report)
{
    struct world *world = user;

    snprintf(world->outcome, sizeof world->outcome, "%s", report->outcome);
    world->row = report->row;
}

static json_t *answer_get(const struct server *server, const char *name, const char *call_id,
                          const json_t *arguments)
{
    json_t *list = json_array();

    if (strcmp(name, "x:Task/get") == 0 && strcmp(call_id, "T") == 0 && server->task)
        json_array_append_new(list, json_loads(server->task, 0, NULL));
    if (strcmp(name, "x:Domain/get") == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:b}}}", "id", "b",
                                              "name", "example.org", "certificateManagement",
                                              "@type", "Automatic", "acmeProviderId", "jp1",
                                              "subjectAlternativeNames", "mail", 1));
    if (strcmp(name, "x:AcmeProvider/get") == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", "jp1", "challengeType",
                                              "Http01", "renewBefore", "R23"));
    if (strcmp(name, "x:Certificate/get") == 0 && server->not_before &&
        json_array_size(json_object_get(arguments, "ids")) == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:b}}", "id", "jpcert",
                                              "notValidBefore", server->not_before, "notValidAfter",
                                              server->not_after, "subjectAlternativeNames",
                                              "mail.example.org", 1));
    return json_pack("{s:s, s:o, s:[]}", "accountId", "d", "list", list, "notFound");
}

static json_t *answer_create(struct server *server, const json_t *create)
{
    const char *domain = json_string_value(json_object_get(create, "domainId"));

    if (server->create_error)
        return json_pack("{s:s}", "type", server->create_error);
    if (strcmp(domain, IMPOSSIBLE_DOMAIN_ID) == 0)
        return json_pack("{s:s, s:{s:s, s:s}}", "type", "invalidForeignKey", "objectId", "object",
                         "Domain", "id", domain);
    server->creates++;
    return NULL;
}

static json_t *answer_set(struct server *server, const json_t *arguments)
{
    json_t *answer = json_pack("{s:s}", "accountId", "d"), *value;
    json_t *created = json_object(), *not_created = json_object();
    const char *key;

    json_object_foreach(json_object_get(arguments, "create"), key, value)
    {
        json_t *error = answer_create(server, value);
        if (error)
            json_object_set_new(not_created, key, error);
        else
            json_object_set_new(created, key, json_pack("{s:s}", "id", "jpnew"));
    }
    json_object_foreach(json_object_get(arguments, "update"), key, value)
    {
        server->moves++;
        json_object_set_new(answer, server->refuses_moves ? "notUpdated" : "updated",
                            json_pack("{s:n}", key));
    }
    if (json_object_size(created))
        json_object_set(answer, "created", created);
    if (json_object_size(not_created))
        json_object_set(answer, "notCreated", not_created);
    json_decref(created);
    json_decref(not_created);
    return answer;
}

static json_t *answer_call(struct server *server, const json_t *call)
{
    const char *name = json_string_value(json_array_get(call, 0));
    const char *call_id = json_string_value(json_array_get(call, 2));
    json_t *arguments = json_array_get(call, 1), *answer;

    if (server->forbids_reads && strcmp(name, "x:Task/set") != 0)
        return json_pack("[s, {s:s}, s]", "error", "type", "forbidden", call_id);
    if (strcmp(name, "x:Task/set") == 0)
        answer = answer_set(server, arguments);
    else if (strstr(name, "/query"))
        answer = json_pack("{s:[]}", "ids");
    else
        answer = answer_get(server, name, call_id, arguments);
    return json_pack("[s, o, s]", name, answer, call_id);
}

static char *serve(struct server *server, const char *body, size_t len)
{
    json_t *request = json_loadb(body, len, 0, NULL), *call, *responses = json_array();
    size_t i;

    assert_non_null(request);
    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        json_array_append_new(responses, answer_call(server, call));
    }
    json_t *answer = json_pack("{s:o, s:s}", "methodResponses", responses, "sessionState", "s");
    json_t *ids = json_object_get(request, "createdIds");
    if (ids)
        json_object_set(answer, "createdIds", ids);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(request);
    return text;
}

/* Drives a hold to its end, or to where it waits; the answer is the caller's to free. */
static char *drive(struct world *world, struct hold *hold)
{
    char *received = NULL;

    while (hold_step(hold) == HOLD_SEND) {
        struct hold_request request = hold_request(hold);
        char *text = serve(&world->server, request.body, request.len);
        world->server.lookups += request.is_lookup;
        if (request.keep_headers) {
            free(received);
            received = strdup(text);
            snprintf(world->server.last_request, sizeof world->server.last_request, "%.*s",
                     (int)request.len, request.body);
        }
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

    world->settings = (struct hold_settings){.blind_interval_seconds = 3600};
    world->context = (struct hold_context){
        .settings = &world->settings,
        .flights = flight_table_create(),
        .memory = task_memory_create(),
        .now = fixed_now,
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
    assert_non_null(strstr(world->server.last_request, "\"ids\":[\"#k\"]"));
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

    world->settings.on_lookup_failure = LOOKUP_FAILURE_REFUSE;
    char *got = ask(world, CREATE);
    assert_non_null(strstr(got, "serverUnavailable"));
    assert_int_equal(world->row, 10);
    free(got);
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

static void references_are_seeded_and_taken_out_again(void **state)
{
    struct world *world = *state;

    make_fresh(&world->server);
    free(ask(world, CREATE));
    assert_non_null(strstr(world->server.last_request, "\"createdIds\":{\"k\":\"p33"));

    char *got = ask(world, "{\"using\":[],\"createdIds\":{},\"methodCalls\":[[\"x:Task/set\",{"
                           "\"create\":{\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"}}},"
                           "\"t\"]]}");
    assert_non_null(strstr(got, "\"createdIds\":{\"k\":\"p33"));
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
        if (hold_is_endpoint(rows[i].target, strlen(rows[i].target)) != rows[i].endpoint)
            fail_msg("%s", rows[i].target);
    }
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_due_domain_is_forwarded_with_the_clients_bytes),
        WORLD_TEST(a_fresh_domain_gets_the_same_no_op_each_time),
        WORLD_TEST(a_queued_task_is_the_answer),
        WORLD_TEST(a_later_task_is_pulled_forward),
        WORLD_TEST(nothing_is_moved_for_who_may_not_create),
        WORLD_TEST(a_task_that_the_request_destroys_is_never_the_answer),
        WORLD_TEST(twins_in_one_request_get_one_task),
        WORLD_TEST(failed_lookups_forward_once_or_refuse),
        WORLD_TEST(observing_changes_no_byte),
        WORLD_TEST(a_domain_is_decided_once_at_a_time),
        WORLD_TEST(a_waiter_may_leave_and_a_leader_may_die),
        WORLD_TEST(references_are_seeded_and_taken_out_again),
        WORLD_TEST(requests_without_a_create_are_no_holds),
        cmocka_unit_test(the_endpoint_has_an_empty_second_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
