/*
 * Memory that runs out at every allocation of a hold in turn, once or from then on. Linked with
 * -Wl,--wrap for malloc, calloc, realloc and strdup; jansson allocates through
 * jmap/wire/json_text.c.
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
#include "tests/unit/task_server.h"

#define TASK(due)                                                                                  \
    "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\",\"status\":{\"@type\":"        \
    "\"Pending\",\"due\":\"" due "\"}}"
#define RENEWAL(key, more) "\"" key "\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"b\"" more "}"
#define DNS_TASK(key, more)                                                                        \
    "\"" key "\":{\"@type\":\"DnsManagement\",\"domainId\":\"b\",\"onSuccessRenewCertificate\":"   \
    "true" more "}"
#define PLAIN(creates)                                                                             \
    "{\"using\":[],\"methodCalls\":[[\"x:Task/set\",{\"create\":{" creates "}},\"t\"]]}"
#define BATCH(head, creates)                                                                       \
    "{\"using\":[]," head "\"methodCalls\":[[\"x:Task/set\",{\"create\":{" creates                 \
    "}},\"t\"],[\"x:Task/get\",{\"ids\":[\"#l\"]},\"g\"]]}"
#define FRESH .not_before = "2026-11-20T12:00:00Z", .not_after = "2027-02-18T12:00:00Z"

static const struct scenario {
    const char *name;
    struct server server;
    const char *body;
    unsigned creates_allowed;
    bool stranger, observe, service;
    enum not_due_mode not_due;
} scenarios[] = {
    {"due", {.task = NULL}, BATCH("", RENEWAL("k", "")), 1, false, false, false, NOT_DUE_NOOP},
    {"fresh", {FRESH}, BATCH("", RENEWAL("k", "")), 0, false, false, false, NOT_DUE_NOOP},
    {"fresh, scheduled",
     {FRESH},
     BATCH("", RENEWAL("k", "")),
     1,
     false,
     false,
     false,
     NOT_DUE_SCHEDULE},
    {"fresh, own key",
     {FRESH},
     BATCH("\"createdIds\":{\"k\":\"c\"},", RENEWAL("k", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"queued",
     {.task = TASK("2026-11-23T11:00:00Z")},
     BATCH("\"createdIds\":{},", RENEWAL("k", "") "," RENEWAL("l", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"moved",
     {.task = TASK("2027-11-23T11:00:00Z")},
     BATCH("", RENEWAL("k", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"move refused",
     {.task = TASK("2027-11-23T11:00:00Z"), .refuses_moves = true},
     BATCH("", RENEWAL("k", "") "," RENEWAL("l", "")),
     1,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"twins, the first rejected",
     {.task = NULL},
     BATCH("", RENEWAL("k", ",\"bogus\":1") "," RENEWAL("l", "") "," RENEWAL("m", "")),
     1,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"repeated",
     {.task = NULL},
     BATCH("", RENEWAL("k", "") "," RENEWAL("k", "")),
     1,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"rate limited",
     {.task = "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\",\"status\":{"
              "\"@type\":\"Retry\",\"due\":\"2026-11-30T11:00:00Z\",\"attemptNumber\":3,"
              "\"failureReason\":\"Rate limited. Retry after 5 seconds\"}}"},
     BATCH("", RENEWAL("k", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"after a DNS task",
     {FRESH},
     BATCH("", "\"k\":{\"@type\":\"DnsManagement\",\"domainId\":\"b\","
               "\"onSuccessRenewCertificate\":true}," RENEWAL("l", "")),
     1,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"unreadable",
     {FRESH},
     BATCH("\"a\":1e999,", RENEWAL("k", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"no reads",
     {.forbids_reads = true},
     BATCH("", RENEWAL("k", "")),
     1,
     false,
     false,
     true,
     NOT_DUE_NOOP},
    {"a remembered task that nobody can read",
     {FRESH, .unreadable = "jpbad"},
     PLAIN(RENEWAL("k", "")),
     0,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"a stranger, due",
     {.task = NULL},
     BATCH("", RENEWAL("k", "")),
     1,
     true,
     false,
     true,
     NOT_DUE_NOOP},
    {"a stranger, fresh", {FRESH}, PLAIN(RENEWAL("k", "")), 0, true, false, false, NOT_DUE_NOOP},
    {"a stranger who may not read",
     {.forbids_reads = true},
     PLAIN(RENEWAL("k", "") "," RENEWAL("l", ",\"bogus\":1")),
     1,
     true,
     false,
     true,
     NOT_DUE_NOOP},
    {"a stranger without rights",
     {.create_error = "forbidden"},
     BATCH("", RENEWAL("k", "") "," DNS_TASK("d", "")),
     0,
     true,
     false,
     false,
     NOT_DUE_NOOP},
    {"DNS tasks, the first rejected",
     {.task = NULL},
     PLAIN(DNS_TASK("k", ",\"bogus\":1") "," DNS_TASK("l", "") "," DNS_TASK("m", "")),
     3,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"a DNS task that is held",
     {.task =
          "{\"id\":\"jpold\",\"@type\":\"AcmeRenewal\",\"domainId\":\"b\",\"status\":{"
          "\"@type\":\"Failed\",\"failedAt\":\"2026-11-23T11:00:00Z\",\"failedAttemptNumber\":1,"
          "\"failureReason\":\"Rate limited. Retry after 86400 seconds\"}}"},
     PLAIN(DNS_TASK("k", "")),
     2,
     false,
     false,
     false,
     NOT_DUE_NOOP},
    {"observed", {FRESH}, BATCH("", RENEWAL("k", "")), 1, false, true, false, NOT_DUE_NOOP},
};

static void drive(const struct scenario *scenario, struct server *server, struct hold *hold,
                  const char *when)
{
    while (hold_step(hold) == HOLD_SEND) {
        struct hold_request request = hold_request(hold);
        if (!request.is_session && !request.body)
            fail_msg("%s, %s: nothing to send", scenario->name, when);
        hold_sent(hold);
        paused = true;
        char *text = serve(server, request.body, request.len);
        unsigned status = strcmp(text, "not JSON") == 0 ? 400 : 200;
        paused = false;
        hold_feed(hold, status, text, strlen(text));
        free(text);
    }
    struct hold_answer answer = hold_answer(hold);
    if (answer.own_status != 0 && answer.own_status != 503)
        fail_msg("%s, %s: %u", scenario->name, when, answer.own_status);
    if (scenario->observe && !answer.as_received)
        fail_msg("%s, %s: not as received", scenario->name, when);
    if (answer.body && memmem(answer.body, answer.len, "invalidForeignKey", 17))
        fail_msg("%s, %s: an error of a placeholder: %.*s", scenario->name, when, (int)answer.len,
                 answer.body);
}

/* What the gate remembers of the domain before. */
enum remembered {
    REMEMBERS_NOTHING,
    REMEMBERS_CERTIFICATE, /* by its names; it was fresh */
    REMEMBERS_RENEWAL,     /* it was due */
    REMEMBERED,
};

static void remember(struct task_memory *memory, enum remembered remembered)
{
    static const char name[] = "mail.example.org";
    struct indexed_certificate certificate = {.id = "jpcert",
                                              .begins = fixed_now(NULL),
                                              .ends = wall_time_add(fixed_now(NULL), 90 * 86400)};
    struct san_set names = SAN_SET_EMPTY;

    if (remembered == REMEMBERS_CERTIFICATE && san_set_add(&names, name, strlen(name)))
        memory_note_certificate(memory, &names, &certificate);
    if (remembered == REMEMBERS_RENEWAL)
        memory_note_renewal(memory, "b", "jpother", WALL_TIME_NEVER, name);
    san_set_clear(&names);
}

/* INT_MAX: none fails. Whether one did. */
struct trial {
    const struct scenario *scenario;
    enum remembered remembered;
};

static bool run(const void *user, int allocations, bool persistent)
{
    const struct trial *trial = user;
    const struct scenario *scenario = trial->scenario;
    enum remembered remembered = trial->remembered;
    struct server server = scenario->server;
    struct hold_settings settings = {.observe = scenario->observe,
                                     .max_request = 10000000,
                                     .has_service_credential = scenario->service,
                                     .table.not_due = scenario->not_due,
                                     .blind_interval_seconds = 3600};
    struct hold_context context = {.settings = &settings,
                                   .flights = flight_table_create(),
                                   .memory = task_memory_create(),
                                   .stranger = scenario->stranger,
                                   .now = fixed_now,
                                   .wake = no_wake,
                                   .report = no_report};
    char when[64];

    snprintf(when, sizeof when, "allocation %d%s", allocations, persistent ? " and on" : "");
    remember(context.memory, remembered);
    if (server.unreadable)
        memory_note_task(context.memory, "b", server.unreadable);
    memory_fails(allocations, persistent);
    struct hold *hold = hold_open(&context, scenario->body, strlen(scenario->body));
    if (hold)
        drive(scenario, &server, hold, when);
    else if (!scenario->observe)
        fail_msg("%s, %s: passes", scenario->name, when);
    hold_close(hold);
    bool failed = memory_is_back();
    if (server.creates > scenario->creates_allowed)
        fail_msg("%s, %s: %u creates", scenario->name, when, server.creates);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return failed;
}

static void no_memory_costs_no_order_and_shows_no_error_of_a_placeholder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        for (enum remembered known = REMEMBERS_NOTHING; known < REMEMBERED; known++) {
            fail_each_place(run, &(struct trial){&scenarios[i], known}, known == REMEMBERS_NOTHING);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_memory_costs_no_order_and_shows_no_error_of_a_placeholder),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
