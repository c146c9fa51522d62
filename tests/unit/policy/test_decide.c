#include "policy/decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/renewal_tasks.h"

#define TASKS_MAX 5

/* The state of most rows: looked up, renewable, asked now, no certificate, no refusal. */
#define DUE                                                                                        \
    .now = AT(0), .asked = AT(0), .looked_up = true, .renewable = true, .renewal_due = NEVER,      \
    .refused_until = NEVER
#define FRESH DUE, .renewal_due = AT(30 * DAY)
#define FOLLOWED(offset) .follower = &(const struct renewal_task)PENDING("f", offset)
#define HELD DUE, .refused_until = AT(5 * DAY)

struct row {
    const char *name;
    struct decision_facts facts;
    struct renewal_task tasks[TASKS_MAX];
    enum outcome outcome;
    unsigned row;
    const char *id;
    wall_time due;
};

#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

static const struct row rows[] = {
    /* Rows 9 and 10: without look-ups nothing else counts. */
    {"9: forward", {.now = AT(0), .asked = AT(0)}, {{0}}, OUTCOME_FORWARD, 9, NULL, NEVER},
    {"9: forwarded a short while ago",
     {.now = AT(0), .asked = AT(0), .blind_id = "blind"},
     {{0}},
     OUTCOME_EXISTING,
     9,
     "blind",
     NEVER},
    {"9: comes before all other rows",
     {FRESH, .looked_up = false, .renewable = false},
     {RETRY("a", DAY, LIMITED), PENDING("b", 0)},
     OUTCOME_FORWARD,
     9,
     NULL,
     NEVER},
    {"9: a force changes nothing",
     {DUE, .looked_up = false, .forced = true, .blind_id = "blind"},
     {{0}},
     OUTCOME_EXISTING,
     9,
     "blind",
     NEVER},
    {"10: refuse",
     {DUE, .looked_up = false, .settings.on_lookup_failure = LOOKUP_FAILURE_REFUSE},
     {{0}},
     OUTCOME_REFUSE,
     10,
     NULL,
     NEVER},
    {"10: refuse, although one was forwarded",
     {DUE, .looked_up = false, .settings.on_lookup_failure = LOOKUP_FAILURE_REFUSE,
      .blind_id = "blind"},
     {PENDING("a", 0)},
     OUTCOME_REFUSE,
     10,
     NULL,
     NEVER},
    {"the blind id and the failure mode do not count after a look-up",
     {DUE, .settings.on_lookup_failure = LOOKUP_FAILURE_REFUSE, .blind_id = "blind"},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},

    /* The server has the right error. */
    {"not renewable", {DUE, .renewable = false}, {{0}}, OUTCOME_FORWARD, 8, NULL, NEVER},
    {"not renewable, whatever is queued and stored",
     {FRESH, .renewable = false},
     {RETRY("a", DAY, LIMITED), PENDING("b", 0)},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},

    /* Row 1. */
    {"1: not while the certificate is fresh and its next renewal is queued",
     {FRESH},
     {RETRY("a", 6 * DAY, LIMITED), PENDING("b", 30 * DAY)},
     OUTCOME_EXISTING,
     3,
     "b",
     AT(30 * DAY)},
    {"1: while it is fresh, and nothing else is queued",
     {FRESH},
     {RETRY("a", 6 * DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "a",
     AT(6 * DAY)},
    {"1: rate limited", {DUE}, {RETRY("a", DAY, LIMITED)}, OUTCOME_EXISTING, 1, "a", AT(DAY)},
    {"1: rate limited without a time",
     {DUE},
     {RETRY("a", HOUR, LIMITED_BLINDLY)},
     OUTCOME_EXISTING,
     1,
     "a",
     AT(HOUR)},
    {"1: beats an earlier pending task",
     {DUE},
     {PENDING("a", -HOUR), RETRY("b", DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "b",
     AT(DAY)},
    {"1: beats another earlier retry",
     {DUE},
     {RETRY("a", HOUR, DNS_ERROR), RETRY("b", DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "b",
     AT(DAY)},
    {"1: the latest of several",
     {DUE},
     {RETRY("a", DAY, LIMITED), RETRY("b", 3 * DAY, LIMITED), RETRY("c", 2 * DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "b",
     AT(3 * DAY)},
    {"1: the first id of several at one time",
     {DUE},
     {RETRY("c", DAY, LIMITED), RETRY("a", DAY, LIMITED), RETRY("b", DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "a",
     AT(DAY)},
    {"1: running now", {DUE}, {RETRY("a", -1, LIMITED)}, OUTCOME_EXISTING, 1, "a", AT(-1)},
    {"1: beats a fresh certificate",
     {FRESH},
     {RETRY("a", DAY, LIMITED)},
     OUTCOME_EXISTING,
     1,
     "a",
     AT(DAY)},
    {"1: a force does not defy the CA",
     {DUE, .forced = true},
     {RETRY("a", DAY, LIMITED), PENDING("b", 0)},
     OUTCOME_EXISTING,
     1,
     "a",
     AT(DAY)},
    {"1: a failed task is not in Q, whatever it says",
     {DUE},
     {FAILED("a", -HOUR, LIMITED)},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"1: a pending task is not rate limited, whatever it says",
     {DUE},
     {{.id = "a", .state = TASK_PENDING, .due = AT(DAY), .failure_reason = LIMITED}},
     OUTCOME_MOVE,
     7,
     "a",
     AT(0)},

    /* Row 2. */
    {"2: due now", {DUE}, {PENDING("a", 0)}, OUTCOME_EXISTING, 2, "a", AT(0)},
    {"2: running", {DUE}, {PENDING("a", -HOUR)}, OUTCOME_EXISTING, 2, "a", AT(-HOUR)},
    {"2: a second late is row 7", {DUE}, {PENDING("a", 1)}, OUTCOME_MOVE, 7, "a", AT(0)},
    {"2: in retry, however late",
     {DUE},
     {RETRY("a", DAY, DNS_ERROR)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(DAY)},
    {"2: in retry without a reason",
     {DUE},
     {RETRY("a", DAY, NULL)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(DAY)},
    {"2: a DNS task that renews is due",
     {DUE, FOLLOWED(0)},
     {{0}},
     OUTCOME_EXISTING,
     2,
     "f",
     AT(0)},
    {"2: one that is due comes before a later task, and before what the CA refuses",
     {HELD, FOLLOWED(-HOUR)},
     {PENDING("a", DAY)},
     OUTCOME_EXISTING,
     2,
     "f",
     AT(-HOUR)},
    {"2: a DNS task is retried",
     {DUE, .follower = &(const struct renewal_task)RETRY("f", DAY, NULL)},
     {{0}},
     OUTCOME_EXISTING,
     2,
     "f",
     AT(DAY)},
    {"2: one DNS task is as good as another, however late",
     {DUE, FOLLOWED(DAY), .ends_dns_task = true},
     {{0}},
     OUTCOME_EXISTING,
     2,
     "f",
     AT(DAY)},
    {"a DNS task that renews later is none for now",
     {DUE, FOLLOWED(1)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"a stuck one is none",
     {DUE, FOLLOWED(-4 * HOUR), .ends_dns_task = true, .settings.stuck_after_seconds = 3 * HOUR},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"beside a fresh certificate none is needed",
     {FRESH, FOLLOWED(0)},
     {{0}},
     OUTCOME_NO_OP,
     4,
     NULL,
     NEVER},
    {"7: what follows a DNS task moves nothing",
     {DUE, .ends_dns_task = true},
     {PENDING("a", DAY)},
     OUTCOME_FORWARD,
     7,
     NULL,
     NEVER},
    {"6: it is held as all are",
     {HELD, .ends_dns_task = true},
     {{0}},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(5 * DAY)},
    {"2: the earliest of several",
     {DUE},
     {PENDING("a", 0), PENDING("b", -2 * HOUR), PENDING("c", -HOUR), PENDING("d", DAY)},
     OUTCOME_EXISTING,
     2,
     "b",
     AT(-2 * HOUR)},
    {"2: a pending one before a later retry",
     {DUE},
     {RETRY("a", DAY, DNS_ERROR), PENDING("b", 0)},
     OUTCOME_EXISTING,
     2,
     "b",
     AT(0)},
    {"2: a retry on its way, and the earlier one that stays in its place",
     {DUE},
     {RETRY("a", 2 * DAY, DNS_ERROR), PENDING("b", DAY)},
     OUTCOME_EXISTING,
     2,
     "b",
     AT(DAY)},
    {"2: a retry on its way, and the one for when the certificate is due stays in its place",
     {FRESH},
     {RETRY("a", 2 * DAY, DNS_ERROR), PENDING("b", 30 * DAY)},
     OUTCOME_EXISTING,
     2,
     "b",
     AT(30 * DAY)},
    {"2: equal times, the first id",
     {DUE},
     {PENDING("c", 0), PENDING("b", 0), RETRY("bb", 0, DNS_ERROR)},
     OUTCOME_EXISTING,
     2,
     "b",
     AT(0)},
    {"2: in time for what is asked",
     {DUE, .asked = AT(DAY)},
     {PENDING("a", DAY)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(DAY)},
    {"2: asked for the past counts as now",
     {DUE, .asked = AT(-DAY)},
     {PENDING("a", -HOUR)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(-HOUR)},
    {"2: beats a fresh certificate",
     {FRESH},
     {PENDING("a", 0), PENDING("b", 30 * DAY)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(0)},
    {"2: beats a refusal", {HELD}, {PENDING("a", 0)}, OUTCOME_EXISTING, 2, "a", AT(0)},
    {"2: a force makes no twin",
     {FRESH, .forced = true},
     {PENDING("a", 0)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(0)},

    /* Row 3. */
    {"3: fresh and queued",
     {FRESH},
     {PENDING("a", 30 * DAY)},
     OUTCOME_EXISTING,
     3,
     "a",
     AT(30 * DAY)},
    {"3: the earliest in Q, failed ones passed over",
     {FRESH},
     {PENDING("b", 31 * DAY), PENDING("a", 30 * DAY), FAILED("0", -DAY, DNS_ERROR)},
     OUTCOME_EXISTING,
     3,
     "a",
     AT(30 * DAY)},
    {"3: not one that is due before the certificate",
     {FRESH},
     {PENDING("a", DAY), PENDING("b", 31 * DAY)},
     OUTCOME_EXISTING,
     3,
     "b",
     AT(31 * DAY)},
    {"3: unless there is no other, then the latest",
     {FRESH},
     {PENDING("a", DAY), PENDING("b", 2 * DAY)},
     OUTCOME_EXISTING,
     3,
     "b",
     AT(2 * DAY)},
    {"3: equal times, the first id",
     {FRESH},
     {PENDING("b", 30 * DAY), PENDING("a", 30 * DAY)},
     OUTCOME_EXISTING,
     3,
     "a",
     AT(30 * DAY)},
    {"3: as a schedule too",
     {FRESH, .settings.not_due = NOT_DUE_SCHEDULE},
     {PENDING("a", DAY)},
     OUTCOME_EXISTING,
     3,
     "a",
     AT(DAY)},
    {"3: a refusal does not matter",
     {FRESH, .refused_until = AT(5 * DAY)},
     {PENDING("a", DAY)},
     OUTCOME_EXISTING,
     3,
     "a",
     AT(DAY)},

    /* Row 4. */
    {"4: fresh", {FRESH}, {{0}}, OUTCOME_NO_OP, 4, NULL, NEVER},
    {"4: fresh by a second", {DUE, .renewal_due = AT(1)}, {{0}}, OUTCOME_NO_OP, 4, NULL, NEVER},
    {"4: due this second is due",
     {DUE, .renewal_due = AT(0)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"4: only failed tasks",
     {FRESH},
     {FAILED("a", -HOUR, DNS_ERROR), FAILED("b", -HOUR, LIMITED)},
     OUTCOME_NO_OP,
     4,
     NULL,
     NEVER},
    {"4: asked for a time before it is due",
     {FRESH, .asked = AT(30 * DAY - 1)},
     {{0}},
     OUTCOME_NO_OP,
     4,
     NULL,
     NEVER},
    {"4: asked for the very time",
     {FRESH, .asked = AT(30 * DAY)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"4: asked for the past, due since",
     {DUE, .asked = AT(-DAY), .renewal_due = AT(-HOUR)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"4: asked for the past, fresh still",
     {FRESH, .asked = AT(-DAY)},
     {{0}},
     OUTCOME_NO_OP,
     4,
     NULL,
     NEVER},
    {"4: never due", {DUE, .renewal_due = {INT64_MAX}}, {{0}}, OUTCOME_NO_OP, 4, NULL, NEVER},
    {"4: a refusal does not matter",
     {FRESH, .refused_until = AT(40 * DAY)},
     {{0}},
     OUTCOME_NO_OP,
     4,
     NULL,
     NEVER},

    /* Row 5. */
    {"5: fresh, scheduled",
     {FRESH, .settings.not_due = NOT_DUE_SCHEDULE},
     {{0}},
     OUTCOME_SCHEDULE,
     5,
     NULL,
     AT(30 * DAY)},
    {"5: only failed tasks",
     {FRESH, .settings.not_due = NOT_DUE_SCHEDULE},
     {FAILED("a", -HOUR, DNS_ERROR)},
     OUTCOME_SCHEDULE,
     5,
     NULL,
     AT(30 * DAY)},
    {"5: due this second is due",
     {DUE, .renewal_due = AT(0), .settings.not_due = NOT_DUE_SCHEDULE},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},

    /* Row 0: R counts as never; the other rows hold. */
    {"0: forced, fresh, nothing queued",
     {FRESH, .forced = true},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"0: forced, fresh, schedule mode",
     {FRESH, .forced = true, .settings.not_due = NOT_DUE_SCHEDULE},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"0: forced, fresh, one queued for later",
     {FRESH, .forced = true},
     {PENDING("a", 30 * DAY)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(0)},
    {"0: forced, in retry",
     {FRESH, .forced = true},
     {RETRY("a", DAY, DNS_ERROR)},
     OUTCOME_EXISTING,
     2,
     "a",
     AT(DAY)},
    {"0: forced, refused",
     {FRESH, .forced = true, .refused_until = AT(5 * DAY)},
     {{0}},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(5 * DAY)},
    {"0: forced, refused, one queued for later",
     {FRESH, .forced = true, .refused_until = AT(5 * DAY)},
     {PENDING("a", 30 * DAY)},
     OUTCOME_MOVE,
     6,
     "a",
     AT(5 * DAY)},
    {"0: forced, refuse",
     {DUE, .forced = true, .looked_up = false, .settings.on_lookup_failure = LOOKUP_FAILURE_REFUSE},
     {{0}},
     OUTCOME_REFUSE,
     10,
     NULL,
     NEVER},

    /* Row 6. */
    {"6: refused, nothing queued", {HELD}, {{0}}, OUTCOME_SCHEDULE, 6, NULL, AT(5 * DAY)},
    {"6: refused, one queued for later",
     {HELD},
     {PENDING("a", 30 * DAY)},
     OUTCOME_MOVE,
     6,
     "a",
     AT(5 * DAY)},
    {"6: refused, one queued too early",
     {HELD},
     {PENDING("a", DAY)},
     OUTCOME_MOVE,
     6,
     "a",
     AT(5 * DAY)},
    {"6: refused, one queued for that very time",
     {HELD},
     {PENDING("a", 5 * DAY)},
     OUTCOME_EXISTING,
     6,
     "a",
     AT(5 * DAY)},
    {"6: the earliest is moved, although a later one is in place",
     {HELD},
     {PENDING("a", 5 * DAY), PENDING("b", DAY)},
     OUTCOME_MOVE,
     6,
     "b",
     AT(5 * DAY)},
    {"6: refused by a second",
     {DUE, .refused_until = AT(1)},
     {{0}},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(1)},
    {"6: until now is over", {DUE, .refused_until = AT(0)}, {{0}}, OUTCOME_FORWARD, 8, NULL, NEVER},
    {"6: over long since",
     {DUE, .refused_until = AT(-DAY)},
     {PENDING("a", DAY)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(0)},
    {"6: asked for a time before H",
     {HELD, .asked = AT(DAY)},
     {{0}},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(5 * DAY)},
    {"6: asked for H", {HELD, .asked = AT(5 * DAY)}, {{0}}, OUTCOME_FORWARD, 8, NULL, NEVER},
    {"6: asked for a time after H",
     {HELD, .asked = AT(6 * DAY)},
     {PENDING("a", 30 * DAY)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(6 * DAY)},
    {"6: asked for the past, refused until the past",
     {DUE, .asked = AT(-DAY), .refused_until = AT(-HOUR)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"6: only a failed task",
     {HELD},
     {FAILED("a", -HOUR, LIMITED)},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(5 * DAY)},
    {"6: an old certificate is due",
     {HELD, .renewal_due = AT(-DAY)},
     {{0}},
     OUTCOME_SCHEDULE,
     6,
     NULL,
     AT(5 * DAY)},

    /* Row 7. */
    {"7: queued for later", {DUE}, {PENDING("a", DAY)}, OUTCOME_MOVE, 7, "a", AT(0)},
    {"7: the earliest of several",
     {DUE},
     {PENDING("a", 3 * DAY), PENDING("b", DAY), PENDING("c", 2 * DAY)},
     OUTCOME_MOVE,
     7,
     "b",
     AT(0)},
    {"7: equal times, the first id",
     {DUE},
     {PENDING("b", DAY), PENDING("a", DAY), FAILED("0", -DAY, DNS_ERROR)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(0)},
    {"7: to the time asked for",
     {DUE, .asked = AT(DAY)},
     {PENDING("a", DAY + 1)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(DAY)},
    {"7: asked for the past, to now",
     {DUE, .asked = AT(-DAY)},
     {PENDING("a", DAY)},
     OUTCOME_MOVE,
     7,
     "a",
     AT(0)},

    /* Row 8. */
    {"8: no certificate, nothing queued", {DUE}, {{0}}, OUTCOME_FORWARD, 8, NULL, NEVER},
    {"8: due since yesterday",
     {DUE, .renewal_due = AT(-DAY)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"8: only failed tasks",
     {DUE},
     {FAILED("a", -DAY, DNS_ERROR), FAILED("b", -DAY, NULL)},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
    {"8: asked for later, as it is",
     {DUE, .asked = AT(DAY)},
     {{0}},
     OUTCOME_FORWARD,
     8,
     NULL,
     NEVER},
};

#pragma GCC diagnostic pop

static size_t count_tasks(const struct renewal_task *tasks)
{
    size_t count = 0;

    while (count < TASKS_MAX && tasks[count].id)
        count++;
    return count;
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* What is acted upon, in place of the row. */
static void assert_meaning(const struct row *row, const struct decision *decision)
{
    bool counts = row->facts.looked_up && row->facts.renewable;

    if (decision->orders != (counts && row->row >= 6 && row->row <= 8) ||
        decision->held != (row->row == 6) || decision->next_renewal != (row->row == 3))
        fail_msg("%s: orders %d, held %d, next renewal %d", row->name, decision->orders,
                 decision->held, decision->next_renewal);
}

static void assert_decision(const struct row *row, const struct renewal_task *tasks, size_t count)
{
    struct decision_facts facts = row->facts;

    facts.tasks = count > 0 ? tasks : NULL;
    facts.task_count = count;

    struct decision decision = decide(&facts);
    if (decision.outcome != row->outcome || decision.row != row->row)
        fail_msg("%s: %s, row %u", row->name, outcome_name(decision.outcome), decision.row);
    if (!same_text(decision.id, row->id))
        fail_msg("%s: id %s", row->name, decision.id ? decision.id : "none");
    if (!wall_time_equal(decision.due, row->due))
        fail_msg("%s: due %lld", row->name, (long long)decision.due.seconds);
    if (!decision.why || !*decision.why)
        fail_msg("%s: no reason", row->name);
    assert_meaning(row, &decision);
}

static void decides_by_the_table(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++)
        assert_decision(&rows[i], rows[i].tasks, count_tasks(rows[i].tasks));
}

/* The server lists tasks in any order; each rotation of the list, both ways round. */
static void the_order_of_the_list_does_not_matter(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t count = count_tasks(rows[i].tasks);

        for (size_t shift = 0; shift < count; shift++) {
            struct renewal_task forward[TASKS_MAX], backward[TASKS_MAX];

            for (size_t k = 0; k < count; k++) {
                forward[k] = rows[i].tasks[(k + shift) % count];
                backward[count - 1 - k] = forward[k];
            }
            assert_decision(&rows[i], forward, count);
            assert_decision(&rows[i], backward, count);
        }
    }
}

/* What must hold in every state, whatever the table says. */
static void assert_harmless(const struct decision_facts *facts)
{
    struct decision decision = decide(facts);
    wall_time wanted = wall_time_later(facts->asked, facts->now);
    const struct renewal_task *named = NULL;
    size_t live = 0;

    for (size_t i = 0; i < facts->task_count; i++) {
        live += facts->tasks[i].state != TASK_FAILED;
        if (decision.id && strcmp(decision.id, facts->tasks[i].id) == 0)
            named = &facts->tasks[i];
    }
    if (live > 0)
        assert_true(decision.outcome == OUTCOME_EXISTING || decision.outcome == OUTCOME_MOVE);
    else
        assert_null(decision.id);
    if (decision.id) {
        assert_non_null(named);
        assert_int_not_equal(named->state, TASK_FAILED);
    }
    if (decision.outcome == OUTCOME_MOVE) {
        assert_int_equal(named->state, TASK_PENDING);
        assert_true(wall_time_before(wanted, named->due));
        assert_false(wall_time_before(decision.due, wanted));
        assert_false(wall_time_before(decision.due, facts->refused_until));
    }
    if (decision.outcome == OUTCOME_FORWARD)
        assert_false(wall_time_before(wanted, facts->refused_until));
    if (facts->forced)
        assert_false(decision.row >= 3 && decision.row <= 5);
}

static const int64_t offsets[] = {-DAY, 0, 1, DAY, 2 * DAY};

static void try_all_times(const struct renewal_task *tasks, size_t count)
{
    const wall_time times[] = {WALL_TIME_NEVER, AT(-DAY),         AT(0), AT(1), AT(DAY),
                               AT(2 * DAY),     WALL_TIME_FOREVER};

    for (size_t n = 0; n < COUNT(times) * COUNT(times) * COUNT(times) * 4; n++) {
        struct decision_facts facts = {
            .now = AT(0),
            .asked = times[n / 4 % COUNT(times)],
            .forced = n & 1,
            .looked_up = true,
            .renewable = true,
            .renewal_due = times[n / 4 / COUNT(times) % COUNT(times)],
            .refused_until = times[n / 4 / COUNT(times) / COUNT(times)],
            .tasks = tasks,
            .task_count = count,
            .settings.not_due = n & 2 ? NOT_DUE_SCHEDULE : NOT_DUE_NOOP,
        };

        assert_harmless(&facts);
    }
}

static struct renewal_task task_number(size_t n, const char *id)
{
    static const char *const reasons[] = {NULL, DNS_ERROR, LIMITED, NULL};
    static const enum task_state states[] = {TASK_PENDING, TASK_RETRY, TASK_RETRY, TASK_FAILED};
    wall_time due = AT(offsets[n / COUNT(states)]);

    return (struct renewal_task){
        .id = id,
        .state = states[n % COUNT(states)],
        .due = due,
        .failed_at = due,
        .failure_reason = reasons[n % COUNT(states)],
    };
}

static void no_state_leads_to_harm(void **state)
{
    (void)state;
    const size_t kinds = 4 * COUNT(offsets);

    try_all_times(NULL, 0);
    for (size_t a = 0; a < kinds; a++) {
        for (size_t b = 0; b < kinds; b++) {
            struct renewal_task tasks[] = {task_number(a, "a"), task_number(b, "b")};

            try_all_times(tasks, 1);
            try_all_times(tasks, 2);
        }
    }
}

static void names_outcomes(void **state)
{
    (void)state;

    assert_string_equal(outcome_name(OUTCOME_FORWARD), "forward");
    assert_string_equal(outcome_name(OUTCOME_SCHEDULE), "schedule");
    assert_string_equal(outcome_name(OUTCOME_EXISTING), "existing");
    assert_string_equal(outcome_name(OUTCOME_MOVE), "move");
    assert_string_equal(outcome_name(OUTCOME_NO_OP), "noop");
    assert_string_equal(outcome_name(OUTCOME_REFUSE), "refuse");
}

struct refused_row {
    const char *name;
    struct renewal_task tasks[TASKS_MAX];
    int64_t issued[TASKS_MAX + 1]; /* ages, from 1; 0 ends them */
    wall_time until;
};

static const struct refused_row refused_rows[] = {
    {"nothing says so", {{0}}, {0}, NEVER},
    {"pending", {PENDING("a", DAY)}, {0}, NEVER},
    {"retry for another reason", {RETRY("a", DAY, DNS_ERROR)}, {0}, NEVER},
    {"retry without a reason", {RETRY("a", DAY, NULL)}, {0}, NEVER},
    {"failed for another reason", {FAILED("a", -DAY, DNS_ERROR)}, {0}, NEVER},
    {"failed without a reason", {FAILED("a", -DAY, NULL)}, {0}, NEVER},
    {"retry: its due", {RETRY("a", 7 * DAY, LIMITED)}, {0}, AT(7 * DAY)},
    {"retry: its due, although past", {RETRY("a", -5, LIMITED)}, {0}, AT(-5)},
    {"failed: counted from then", {FAILED("a", -DAY, LIMITED)}, {0}, AT(604793 - DAY)},
    {"failed: over", {FAILED("a", -8 * DAY, LIMITED)}, {0}, AT(604793 - 8 * DAY)},
    {"failed: seconds beyond all time",
     {FAILED("a", -DAY, "Rate limited. Retry after 99999999999999999999 seconds")},
     {0},
     AT(30 * DAY)},
    {"failed: a hundred years",
     {FAILED("a", 0, "Rate limited. Retry after 3153600001 seconds")},
     {0},
     AT(31 * DAY)},
    {"failed: 31 days",
     {FAILED("a", 0, "Rate limited. Retry after 2678400 seconds")},
     {0},
     AT(31 * DAY)},
    {"failed at a time to come: now", {FAILED("a", 400 * DAY, LIMITED)}, {0}, AT(604793)},
    {"failed, no time named, at a time to come: now",
     {FAILED("a", 400 * DAY, LIMITED_BLINDLY)},
     {0},
     AT(6 * HOUR)},
    {"retry, out of attempts: a hundred years",
     {{.id = "a",
       .state = TASK_RETRY,
       .due = AT(HOUR),
       .tried = AT(-HOUR),
       .failure_reason = "Rate limited. Retry after 3153600001 seconds"}},
     {0},
     AT(31 * DAY - HOUR)},
    {"retry, no time named: from when it was seen, not its due",
     {{.id = "a",
       .state = TASK_RETRY,
       .due = AT(60),
       .seen = AT(-HOUR),
       .failure_reason = LIMITED_BLINDLY}},
     {0},
     AT(5 * HOUR)},
    {"retry, no time named, written by a collapse: its due",
     {{.id = "a",
       .state = TASK_RETRY,
       .due = AT(DAY),
       .seen = AT(-HOUR),
       .failure_reason = LIMITED_BLINDLY,
       .restarted = true}},
     {0},
     AT(DAY)},
    {"retry, out of attempts: what the CA has said when it was tried",
     {{.id = "a",
       .state = TASK_RETRY,
       .due = AT(HOUR),
       .tried = AT(-HOUR),
       .failure_reason = LIMITED}},
     {0},
     AT(604793 - HOUR)},
    {"failed, no time named", {FAILED("a", -HOUR, LIMITED_BLINDLY)}, {0}, AT(5 * HOUR)},
    {"the latest of all",
     {RETRY("a", DAY, LIMITED), FAILED("b", 0, LIMITED), RETRY("c", 2 * DAY, LIMITED),
      PENDING("d", 30 * DAY)},
     {0},
     AT(604793)},
    {"the bucket alone", {{0}}, {1, 1, 1, 1, 1}, AT(120960 - 1)},
    {"the bucket has a token", {{0}}, {1, 1, 1, 1}, NEVER},
    {"the bucket later than a task", {RETRY("a", DAY, LIMITED)}, {1, 1, 1, 1, 1}, AT(120959)},
    {"a task later than the bucket", {RETRY("a", 2 * DAY, LIMITED)}, {1, 1, 1, 1, 1}, AT(2 * DAY)},
};

static void finds_what_the_ca_refuses(void **state)
{
    (void)state;
    const struct issue_limit limit = {5, 168 * HOUR};

    for (size_t i = 0; i < COUNT(refused_rows); i++) {
        const struct refused_row *row = &refused_rows[i];
        wall_time issued[TASKS_MAX + 1];
        size_t issued_count = 0;

        for (; row->issued[issued_count] != 0; issued_count++)
            issued[issued_count] = (wall_time)AT(-row->issued[issued_count]);

        const struct held held = held_until(
            &(struct held_facts){.limits = {.issue = limit, .blind_hold_seconds = 6 * HOUR},
                                 .now = AT(0),
                                 .tasks = row->tasks,
                                 .task_count = count_tasks(row->tasks),
                                 .issued = issued,
                                 .issued_count = issued_count,
                                 .last_issue = NEVER,
                                 .kept_refused = NEVER,
                                 .kept_failing = NEVER,
                                 .paced_until = NEVER});
        wall_time until = held.by_source[HELD_BY_CA];
        if (!wall_time_equal(until, row->until))
            fail_msg("%s: %lld", row->name, (long long)until.seconds);
    }
}

static void knows_when_a_task_was_tried_that_ran_out_of_attempts(void **state)
{
    (void)state;
    static const struct {
        enum task_state state;
        int64_t attempts, max_attempts, ago; /* before its due; 0: cannot be told */
    } rows[] = {
        {TASK_RETRY, 0, 10, 0},         {TASK_RETRY, 10, 10, 0},
        {TASK_RETRY, 11, 10, 6 * HOUR}, {TASK_RETRY, 1000, 10, 6 * HOUR},
        {TASK_RETRY, 1, 0, HOUR},       {TASK_RETRY, 2, 1, 2 * HOUR},
        {TASK_RETRY, 3, 1, 4 * HOUR},   {TASK_RETRY, 4, 1, 6 * HOUR},
        {TASK_RETRY, -5, -10, 0},       {TASK_PENDING, 11, 10, 0},
        {TASK_FAILED, 11, 10, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct renewal_task task = {
            .state = rows[i].state, .due = AT(0), .attempts = rows[i].attempts};
        wall_time tried = renewal_task_tried(&task, rows[i].max_attempts);

        assert_true(
            wall_time_equal(tried, rows[i].ago ? (wall_time){NOW - rows[i].ago} : WALL_TIME_NEVER));
    }
}

#define CENTURIES "Rate limited. Retry after 9223372036854775808 seconds"

/* What the server tells of a time beyond its calendar is another time, or none. */
static void holds_no_task_for_ever(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct renewal_task task;
        wall_time due;
    } rows[] = {
        {"pending", PENDING("a", 400 * DAY), AT(400 * DAY)},
        {"pending, its time cannot be read", {.id = "a", .due = {INT64_MAX}}, AT(0)},
        {"retry for another reason", RETRY("a", 400 * DAY, DNS_ERROR), AT(400 * DAY)},
        {"rate limited", RETRY("a", 7 * DAY, LIMITED), AT(7 * DAY)},
        {"rate limited, a hundred years",
         RETRY("a", INT64_C(3153600001), "Rate limited. Retry after 3153600001 seconds"),
         AT(31 * DAY)},
        {"rate limited, its time cannot be read",
         {.id = "a", .state = TASK_RETRY, .due = {INT64_MAX}, .failure_reason = CENTURIES},
         AT(31 * DAY)},
        {"rate limited, its time reads as past", RETRY("a", -90 * DAY, CENTURIES), AT(31 * DAY)},
        {"written by a collapse",
         {.id = "a",
          .state = TASK_RETRY,
          .due = AT(5 * DAY),
          .failure_reason = CENTURIES,
          .restarted = true},
         AT(5 * DAY)},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time due = renewal_task_due(&rows[i].task, (wall_time)AT(0));
        if (!wall_time_equal(due, rows[i].due))
            fail_msg("%s: %lld", rows[i].name, (long long)due.seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_when_a_task_was_tried_that_ran_out_of_attempts),
        cmocka_unit_test(holds_no_task_for_ever),
        cmocka_unit_test(decides_by_the_table),
        cmocka_unit_test(the_order_of_the_list_does_not_matter),
        cmocka_unit_test(no_state_leads_to_harm),
        cmocka_unit_test(names_outcomes),
        cmocka_unit_test(finds_what_the_ca_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
