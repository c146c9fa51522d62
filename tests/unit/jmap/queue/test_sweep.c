/* Sweeps of one domain, on a server in a few lines: what is foretold, what is done, what goes
 * wrong. */

#include "jmap/queue/sweep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/create/flight.h"
#include "jmap/facts/memory.h"
#include "jmap/queue/audit.h"
#include "jmap/tidy/queue_change.h"
#include "tests/unit/queue_server.h"

#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW INT64_C(1795435200) /* 2026-11-23T12:00:00Z */
#define STATES 400
#define CHANGES_MAX 16

static wall_time fixed_now(void *user)
{
    (void)user;
    return (wall_time){NOW};
}

static void no_wake(void *user)
{
    (void)user;
}

/* What was told. */
struct told {
    size_t moved, scheduled, removed, cleared, skipped;
    wall_time due;
    unsigned status; /* of what was passed over last */
};

static void note_change(void *user, const struct queue_change *change)
{
    struct told *told = user;

    if (change->action == QUEUE_POSTPONED || change->action == QUEUE_ADVANCED) {
        told->moved++;
        told->due = change->due;
        assert_int_equal(change->action == QUEUE_ADVANCED,
                         wall_time_before(change->due, change->old_due));
    } else if (change->action == QUEUE_SCHEDULED) {
        told->scheduled++;
        told->due = change->due;
    } else if (change->action == QUEUE_CLEARED) {
        told->cleared++;
    } else {
        told->removed++;
    }
}

static void note_skip(void *user, const struct sweep_skip *skip)
{
    struct told *told = user;

    assert_string_equal(skip->domain_id, "b");
    told->skipped++;
    told->status = skip->status;
}

static const struct hold_settings settings = {
    .blind_hold_seconds = HOUR, .issue_limit = {5, 7 * DAY}, .table.stuck_after_seconds = 3 * HOUR};

/* An answer that is not the server's own, to what asks so: NULL, all of the server's. */
struct fault {
    const char *match;
    unsigned status;
};

static unsigned status_of(const struct fault *fault, const char *body)
{
    return fault->match && strstr(body, fault->match) ? fault->status : 200;
}

/* Why it ended early; NULL where it did not. */
static const char *run_sweep(struct queue_server *server, bool dry_run, const struct fault *fault,
                             struct sweep_place *place, struct told *told)
{
    struct sweep_context context = {
        .settings = &settings,
        .flights = flight_table_create(),
        .memory = task_memory_create(),
        .dry_run = dry_run,
        .now = fixed_now,
        .wake = no_wake,
        .changed = note_change,
        .skipped = note_skip,
        .place = place,
        .user = told,
    };
    struct sweep *sweep = sweep_create(&context);

    *told = (struct told){.due = WALL_TIME_NEVER};
    while (sweep_machine.step(sweep) == MACHINE_SEND) {
        struct machine_order order = sweep_machine.order(sweep);
        unsigned status = status_of(fault, order.body);
        char *text = status == 200 ? queue_serve(server, order.body, order.len) : strdup("");
        sweep_machine.feed(sweep, status, text, strlen(text));
        free(text);
    }
    assert_int_equal(sweep_machine.step(sweep), MACHINE_DONE);
    const char *error = sweep_error(sweep);
    sweep_destroy(sweep);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return error;
}

static bool note_audit(void *user, const struct audit_domain *domain)
{
    const struct audit_sweep *sweep = &domain->verdict.sweep;

    *(struct told *)user = (struct told){
        .moved = sweep->moved,
        .scheduled = sweep->scheduled,
        .removed = sweep->removed,
        .cleared = sweep->cleared,
        .due = sweep->moved || sweep->scheduled ? sweep->due : WALL_TIME_NEVER,
    };
    return true;
}

static void run_audit(struct queue_server *server, struct told *told)
{
    struct audit_context context = {
        .settings = &settings,
        .memory = task_memory_create(),
        .every_certificate = true,
        .now = fixed_now,
        .judged = note_audit,
        .user = told,
    };
    struct audit *audit = audit_create(&context);

    *told = (struct told){.due = WALL_TIME_NEVER};
    while (audit_machine.step(audit) == MACHINE_SEND) {
        struct machine_order order = audit_machine.order(audit);
        char *text = queue_serve(server, order.body, order.len);
        audit_machine.feed(audit, 200, text, strlen(text));
        free(text);
    }
    assert_null(audit_error(audit));
    audit_destroy(audit);
    task_memory_destroy(context.memory);
}

/* States of a server. */

static int64_t any(int64_t least, int64_t most)
{
    return least + random() % (most - least + 1);
}

static char *text_of(int64_t offset, char text[static WALL_TIME_TEXT_SIZE])
{
    wall_time_format((wall_time){NOW + offset}, text);
    return text;
}

static void add_any_task(struct queue_server *server, const char *id)
{
    static const int64_t dues[] = {-DAY, -4 * HOUR, -HOUR,    0,        20,
                                   HOUR, DAY,       57 * DAY, 58 * DAY, 900 * DAY};
    static const char *const reasons[] = {
        "DNS error: timeout",
        "Rate limited. Retry after 518400 seconds",
        "Rate limited. Retry after some time",
        ("Certificate for domain example.org is still valid; renewal is not due until "
         "2027-01-19T12:00:00Z"),
    };
    char due[WALL_TIME_TEXT_SIZE], status[400];
    int64_t due_in = dues[any(0, COUNT(dues) - 1)];
    /* What a stuck one says of the CA, without a time, goes with it. */
    const char *reason = reasons[due_in > -3 * HOUR ? any(0, 2) : any(0, 1)];

    text_of(due_in, due);
    switch (any(0, 3)) {
    case 0:
        snprintf(
            status, sizeof status,
            "{\"@type\":\"Retry\",\"due\":\"%s\",\"attemptNumber\":%d,\"failureReason\":\"%s\"}",
            due, (int)any(0, 3), reason);
        break;
    case 1:
        snprintf(status, sizeof status,
                 "{\"@type\":\"Failed\",\"failedAt\":\"%s\",\"failedAttemptNumber\":1,"
                 "\"failureReason\":\"%s\"}",
                 text_of(-any(0, DAY), due), reasons[any(0, COUNT(reasons) - 1)]);
        break;
    default:
        snprintf(status, sizeof status, "{\"@type\":\"Pending\",\"due\":\"%s\"}", due);
        break;
    }
    queue_add(server, id, status);
}

/* `begins` and `ends` are the server's for as long as it lives. */
static void fill(struct queue_server *server, char *begins, char *ends)
{
    static const char *const ids[] = {"ka", "kb", "kc", "kd"};
    static const int64_t issued[] = {-3 * DAY, -64 * DAY, -100 * DAY};
    int64_t certificate = any(0, COUNT(issued)), tasks = any(0, COUNT(ids));

    *server = (struct queue_server){.tasks = json_object(),
                                    .refuses_destroy = any(0, 1),
                                    .manual = any(0, 19) == 0,
                                    .least_live = SIZE_MAX};
    if (certificate < (int64_t)COUNT(issued)) {
        server->not_before = text_of(issued[certificate], begins);
        server->not_after = text_of(issued[certificate] + 90 * DAY, ends);
    }
    for (int64_t i = 0; i < tasks; i++)
        add_any_task(server, ids[i]);
}

static void assert_alike(const char *what, int number, const struct told *a, const struct told *b)
{
    if (a->moved != b->moved || a->scheduled != b->scheduled || a->removed != b->removed ||
        a->cleared != b->cleared || !wall_time_equal(a->due, b->due))
        fail_msg("state %d: %s: %zu %zu moved, %zu %zu made, %zu %zu removed, %zu %zu cleared",
                 number, what, a->moved, b->moved, a->scheduled, b->scheduled, a->removed,
                 b->removed, a->cleared, b->cleared);
}

static void dry_run_and_audit_foretell_what_a_sweep_does(void **state)
{
    (void)state;
    static const struct fault none = {NULL, 0};
    const struct told nothing = {.due = WALL_TIME_NEVER};

    srandom(13);
    for (int number = 0; number < STATES; number++) {
        struct queue_server server;
        struct told foretold, audited, told;
        struct sweep_place place = {0};
        char begins[WALL_TIME_TEXT_SIZE], ends[WALL_TIME_TEXT_SIZE];

        fill(&server, begins, ends);
        run_audit(&server, &audited);
        assert_null(run_sweep(&server, true, &none, &place, &foretold));
        assert_int_equal(server.writes, 0);
        if (!server.manual)
            assert_alike("audit and dry run", number, &audited, &foretold);
        assert_null(run_sweep(&server, false, &none, &place, &told));
        if (server.refuses_destroy)
            told.cleared = foretold.cleared;
        assert_alike("dry run and sweep", number, &foretold, &told);
        if (!server.manual && queue_live(&server) == 0)
            fail_msg("state %d: no task is left", number);
        run_sweep(&server, false, &none, &place, &told);
        assert_alike("once more", number, &told, &nothing);
        json_decref(server.tasks);
    }
}

/* What goes wrong. */

static const struct trouble {
    struct fault fault;
    size_t skipped;
    bool ends;
    const char *after; /* where the next one begins */
} troubles[] = {
    {{"x:Task/query", 503}, 0, true, ""},        {{"x:AcmeProvider/get", 500}, 1, false, ""},
    {{"x:AcmeProvider/get", 429}, 1, false, ""}, {{"x:AcmeProvider/get", 404}, 1, false, ""},
    {{"x:AcmeProvider/get", 401}, 0, true, "b"}, {{"x:AcmeProvider/get", 403}, 0, true, "b"},
    {{"x:AcmeProvider/get", 0}, 0, true, "b"},   {{"\"update\"", 500}, 1, false, ""},
    {{"\"update\"", 404}, 1, false, ""},         {{"\"update\"", 401}, 0, true, "b"},
    {{"\"update\"", 0}, 0, true, "b"},
};

static void one_bad_domain_is_passed_over(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(troubles); i++) {
        const struct trouble *trouble = &troubles[i];
        struct queue_server server = {.tasks = json_object(), .least_live = SIZE_MAX};
        struct sweep_place place = {0};
        struct told told;

        queue_add(&server, "ka", "{\"@type\":\"Pending\",\"due\":\"2026-12-23T12:00:00Z\"}");
        const char *error = run_sweep(&server, false, &trouble->fault, &place, &told);
        if ((error != NULL) != trouble->ends || told.skipped != trouble->skipped ||
            told.status != (trouble->skipped ? trouble->fault.status : 0) ||
            strcmp(place.after, trouble->after) != 0)
            fail_msg("%s, %u: %zu passed over, %s, behind \"%s\"", trouble->fault.match,
                     trouble->fault.status, told.skipped, error ? error : "done", place.after);
        json_decref(server.tasks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dry_run_and_audit_foretell_what_a_sweep_does),
        cmocka_unit_test(one_bad_domain_is_passed_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
