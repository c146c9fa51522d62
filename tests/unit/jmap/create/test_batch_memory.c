/*
 * Memory that runs out at every allocation in turn, once or from then on, of a hold on a batch that
 * sets a domain and asks for a renewal of it, and of one that finds too many tasks. Linked as
 * test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/memory.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/idle_hold.h"
#include "tests/unit/queue_server.h"

static void no_change(void *user, const struct queue_change *change)
{
    (void)user;
    (void)change;
}

#define REQUEST(head, calls) "{\"using\":[]," head "\"methodCalls\":[" calls "]}"
#define MAKE "[\"x:Domain/set\",{\"create\":{\"new\":{\"name\":\"example.org\"}}},\"d\"],"
#define SWITCH "[\"x:Domain/set\",{\"update\":{\"b\":{\"certificateManagement\":{}}}},\"d\"]"
#define CREATE(domain, more)                                                                       \
    "[\"x:Task/set\",{\"create\":{\"k\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"" domain         \
    "\"}}" more "},\"t\"]"
#define READ ",[\"x:Task/get\",{\"ids\":[\"#k\"]},\"g\"]"
#define QUERY "[\"x:Task/query\",{},\"q\"],"
#define FOUND ",\"#destroy\":{\"resultOf\":\"q\",\"name\":\"x:Task/query\",\"path\":\"/ids\"}"
#define RETRY(due)                                                                                 \
    "{\"@type\":\"Retry\",\"due\":\"" due "\",\"attemptNumber\":3,\"failureReason\":\"Rate "       \
    "limited. Retry after 600 seconds\"}"
#define LATER "{\"@type\":\"Pending\",\"due\":\"2026-12-23T12:00:00Z\"}"

static const char plain[] = REQUEST("", CREATE("b", ""));

static const struct scenario {
    const char *name;
    const char *body;
    size_t calls;
    const char *statuses[3];
    bool manual, queues_none, refuses_destroy;
    unsigned creates_allowed;
} scenarios[] = {
    {"made and read", REQUEST("", MAKE CREATE("#new", "") READ), 3, {NULL}, .creates_allowed = 0},
    {"made, ids asked for",
     REQUEST("\"createdIds\":{\"x\":\"c\"},", MAKE CREATE("#new", "") READ),
     3,
     {NULL},
     .creates_allowed = 0},
    {"made, none queued",
     REQUEST("", MAKE CREATE("#new", "") READ),
     3,
     {NULL},
     .queues_none = true,
     .creates_allowed = 1},
    {"made, by reference",
     REQUEST("", QUERY MAKE CREATE("#new", FOUND) READ),
     4,
     {LATER},
     .creates_allowed = 0},
    {"switched and read",
     REQUEST("", SWITCH "," CREATE("b", "") READ),
     3,
     {NULL},
     .manual = true,
     .creates_allowed = 0},
    {"switched afterwards",
     REQUEST("", CREATE("b", "") "," SWITCH),
     2,
     {NULL},
     .manual = true,
     .creates_allowed = 0},
    {"read, then switched",
     REQUEST("", CREATE("b", "") READ "," SWITCH),
     3,
     {NULL},
     .manual = true,
     .creates_allowed = 1},
    {"many, destroyed",
     plain,
     1,
     {RETRY("2026-11-30T12:00:00Z"), RETRY("2026-11-30T12:00:01Z"), LATER},
     .creates_allowed = 0},
    {"many, none destroyed",
     plain,
     1,
     {RETRY("2026-11-30T12:00:00Z"), RETRY("2026-11-30T12:00:01Z"), LATER},
     .refuses_destroy = true,
     .creates_allowed = 0},
    {"many due", plain, 1, {QUEUE_NOW, QUEUE_NOW}, .creates_allowed = 0},
};

static void fill(struct queue_server *server, const struct scenario *scenario)
{
    static const char *const ids[] = {"ka", "kb", "kc"};

    *server = (struct queue_server){.tasks = json_object(),
                                    .refuses_destroy = scenario->refuses_destroy,
                                    .manual = scenario->manual,
                                    .queues_none = scenario->queues_none,
                                    .least_live = SIZE_MAX};
    for (size_t i = 0; i < 3 && scenario->statuses[i]; i++)
        queue_add(server, ids[i], scenario->statuses[i]);
}

/* Drives the hold to its end; the answer that the client gets, the caller's, or NULL for a 503. */
static char *drive(struct queue_server *server, struct hold *hold)
{
    char *received = NULL;

    while (hold_step(hold) == HOLD_SEND) {
        struct hold_request request = hold_request(hold);
        assert_non_null(request.body);
        hold_sent(hold);
        paused = true;
        char *text = queue_serve(server, request.body, request.len);
        paused = false;
        hold_feed(hold, 200, text, strlen(text));
        if (request.keep_headers)
            received = text;
        else
            free(text);
    }
    assert_int_equal(hold_step(hold), HOLD_DONE);
    struct hold_answer answer = hold_answer(hold);
    paused = true;
    char *got = answer.own_status    ? NULL
                : answer.as_received ? strdup(received)
                                     : strndup(answer.body, answer.len);
    paused = false;
    free(received);
    assert_true(answer.own_status == 0 || answer.own_status == 503);
    return got;
}

static void assert_true_to(const struct queue_server *server, const struct scenario *scenario,
                           const char *answer, const char *when)
{
    json_t *root = json_loads(answer, 0, NULL), *response, *object;
    json_t *responses = json_object_get(root, "methodResponses");
    const char *key;
    size_t i;

    if (json_array_size(responses) != scenario->calls)
        fail_msg("%s, %s: not all calls are answered: %s", scenario->name, when, answer);
    json_array_foreach(responses, i, response)
    {
        const json_t *arguments = json_array_get(response, 1);
        bool tasks = strcmp(json_string_value(json_array_get(response, 0)), "x:Task/set") == 0;
        if (strstr(answer, "invalidForeignKey"))
            fail_msg("%s, %s: an error of a placeholder: %s", scenario->name, when, answer);
        json_object_foreach(json_object_get(arguments, "created"), key, object)
        {
            const char *id = json_string_value(json_object_get(object, "id"));
            if (tasks && !json_object_get(server->tasks, id))
                fail_msg("%s, %s: no such task: %s", scenario->name, when, answer);
        }
    }
    json_decref(root);
}

static char *ask(struct queue_server *server, const struct hold_context *context, const char *body)
{
    struct hold *hold = hold_open(context, body, strlen(body));

    assert_non_null(hold);
    char *got = drive(server, hold);
    hold_close(hold);
    return got;
}

/* Whoever asks next finds one task, whatever was left. */
static void assert_one_in_the_end(struct queue_server *server, const struct hold_context *context,
                                  const struct scenario *scenario, const char *when)
{
    /* Where an answer was lost, once the server has had its time. */
    for (int64_t now = 1; now < 4; now++)
        flight_table_tick(context->flights, now * FLIGHT_AFTERMATH_MILLISECONDS, INT64_MAX);
    free(ask(server, context, plain));
    if (queue_live(server) != 1 && scenario->statuses[0] && scenario->calls == 1)
        fail_msg("%s, %s: %zu tasks in the end", scenario->name, when, queue_live(server));
}

/* INT_MAX: none fails. Whether one did. */
static bool run(const void *user, int allocations, bool persistent)
{
    const struct scenario *scenario = user;
    struct queue_server server;
    struct hold_settings settings = {
        .blind_interval_seconds = 3600, .blind_hold_seconds = 3600, .max_request = 10000000};
    struct hold_context context = {.settings = &settings,
                                   .flights = flight_table_create(),
                                   .memory = task_memory_create(),
                                   .now = fixed_now,
                                   .wake = no_wake,
                                   .report = no_report,
                                   .changed = no_change};
    char when[64];

    snprintf(when, sizeof when, "allocation %d%s", allocations, persistent ? " and on" : "");
    fill(&server, scenario);
    memory_fails(allocations, persistent);
    char *got = ask(&server, &context, scenario->body);
    bool failed = memory_is_back();
    if (got)
        assert_true_to(&server, scenario, got, when);
    else if (!failed)
        fail_msg("%s, %s: no answer", scenario->name, when);
    if (server.created > scenario->creates_allowed)
        fail_msg("%s, %s: %u creates", scenario->name, when, server.created);
    if (scenario->statuses[1] && server.least_live == 0)
        fail_msg("%s, %s: the last task was gone", scenario->name, when);
    assert_one_in_the_end(&server, &context, scenario, when);
    free(got);
    json_decref(server.tasks);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return failed;
}

static void no_memory_costs_no_order_and_is_no_success(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        fail_each_place(run, &scenarios[i], true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_costs_no_order_and_is_no_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
