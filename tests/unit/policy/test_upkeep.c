#include "policy/upkeep.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"

#include "tests/unit/renewal_tasks.h"

#define TASKS_MAX 5
#define STUCK_AFTER (3 * HOUR)
/* Of 90 days; two thirds of them are 60, and what is left then 30. */
#define FRESH {.renewal_due = AT(57 * DAY), .expires = AT(87 * DAY)}
#define DUE {.renewal_due = AT(-4 * DAY), .expires = AT(26 * DAY)}
#define ABSENT {.renewal_due = NEVER, .expires = NEVER}
/* Of six hours, and of which an hour and a half are left at R. */
#define SHORT_LIVED {.renewal_due = AT(HOUR), .expires = AT(HOUR + 90 * 60)}

struct certificate {
    wall_time renewal_due, expires;
};

/*
 * What becomes of each task: "." left, "k" kept, "w" rewritten, "x" removed, "n" next of the due
 * ones, "y" yields to it; "+" behind them: one is made. And when the one that stays is due.
 */
static const struct row {
    const char *name;
    struct certificate certificate;
    struct renewal_task tasks[TASKS_MAX];
    const char *fates;
    wall_time due;
    wall_time refused_until, not_before; /* zero: nothing says so */
    bool manual;
    struct renewal_task follower; /* or no id */
} rows[] = {
    {"all is well", FRESH, {PENDING("a", 57 * DAY)}, "k", .due = AT(57 * DAY)},
    {"no task", FRESH, {{0}}, "+", .due = AT(57 * DAY)},
    {"none but a Failed one", FRESH, {FAILED("a", -DAY, DNS_ERROR)}, ".+", .due = AT(57 * DAY)},
    {"managed by hand", FRESH, {{0}}, "", .due = NEVER, .manual = true},
    {"twins of a domain managed by hand",
     FRESH,
     {PENDING("a", DAY), PENDING("b", DAY)},
     "..",
     .due = NEVER,
     .manual = true},

    {"as late as v0.16.5 makes it",
     FRESH,
     {PENDING("a", 57 * DAY + 8 * HOUR)},
     "k",
     .due = AT(57 * DAY + 8 * HOUR)},
    {"late by a day", FRESH, {PENDING("a", 58 * DAY)}, "k", .due = AT(58 * DAY)},
    {"later than that", FRESH, {PENDING("a", 58 * DAY + 1)}, "w", .due = AT(57 * DAY)},
    {"seven years later", FRESH, {PENDING("a", 2600 * DAY)}, "w", .due = AT(57 * DAY)},
    {"of a short life no more than a quarter of what is left",
     SHORT_LIVED,
     {PENDING("a", HOUR + 90 * 15)},
     "k",
     .due = AT(HOUR + 90 * 15)},
    {"or it comes back", SHORT_LIVED, {PENDING("a", HOUR + 90 * 15 + 1)}, "w", .due = AT(HOUR)},
    {"too early", FRESH, {PENDING("a", DAY)}, "w", .due = AT(57 * DAY)},
    {"too early, and retried", FRESH, {RETRY("a", DAY, DNS_ERROR)}, "w", .due = AT(57 * DAY)},
    {"a DNS task that renews is due", DUE, {{0}}, "", .due = NEVER, .follower = PENDING("f", 0)},
    {"a DNS task that renews is retried",
     ABSENT,
     {FAILED("a", -DAY, DNS_ERROR)},
     ".",
     .due = NEVER,
     .follower = RETRY("f", DAY, NULL)},
    {"it renews later", DUE, {{0}}, "+", .due = AT(0), .follower = PENDING("f", HOUR)},
    {"it renews before the CA would",
     DUE,
     {{0}},
     "",
     .due = NEVER,
     .refused_until = AT(DAY),
     .follower = PENDING("f", HOUR)},
    {"it is stuck", DUE, {{0}}, "+", .due = AT(0), .follower = PENDING("f", -4 * HOUR)},
    {"it renews what is fresh",
     FRESH,
     {{0}},
     "+",
     .due = AT(57 * DAY),
     .follower = PENDING("f", 0)},
    {"what waits is not brought forward beside it",
     DUE,
     {PENDING("a", DAY)},
     "k",
     .due = AT(DAY),
     .follower = PENDING("f", 0)},
    {"nor beside one that is retried",
     ABSENT,
     {PENDING("a", DAY), PENDING("b", 2 * DAY)},
     "kx",
     .due = AT(DAY),
     .follower = RETRY("f", DAY, NULL)},
    {"it is brought forward beside one that renews later",
     DUE,
     {PENDING("a", DAY)},
     "w",
     .due = AT(0),
     .follower = PENDING("f", HOUR)},
    {"and put off beside any",
     DUE,
     {PENDING("a", HOUR)},
     "w",
     .due = AT(DAY),
     .refused_until = AT(DAY),
     .follower = PENDING("f", 0)},
    {"a stuck one stays beside it",
     DUE,
     {PENDING("a", -4 * HOUR)},
     ".",
     .due = NEVER,
     .follower = PENDING("f", 0)},
    {"one is enough",
     FRESH,
     {PENDING("a", 80 * DAY), PENDING("b", 60 * DAY)},
     "xw",
     .due = AT(57 * DAY)},
    {"whatever the CA would say now",
     FRESH,
     {{0}},
     "+",
     .due = AT(57 * DAY),
     .refused_until = AT(DAY)},

    {"due, and no task", DUE, {{0}}, "+", .due = AT(0)},
    {"no certificate, and no task", ABSENT, {{0}}, "+", .due = AT(0)},
    {"due, and its task waits", DUE, {PENDING("a", 5 * DAY)}, "w", .due = AT(0)},
    {"no certificate, and its task waits", ABSENT, {PENDING("a", 59 * DAY)}, "w", .due = AT(0)},
    {"due, and its task is, too", DUE, {PENDING("a", -60)}, ".", .due = NEVER},
    {"or will be in a moment", DUE, {PENDING("a", 20)}, ".", .due = NEVER},
    {"due, and what waits beside what runs is left",
     DUE,
     {PENDING("a", -60), PENDING("b", 60 * DAY)},
     ".k",
     .due = AT(60 * DAY)},
    {"due, and the server retries",
     DUE,
     {RETRY("a", 6 * HOUR, DNS_ERROR)},
     "k",
     .due = AT(6 * HOUR)},
    {"not in two days, which is not its doing",
     DUE,
     {RETRY("a", 2 * DAY, DNS_ERROR)},
     "w",
     .due = AT(0)},

    {"the CA refuses, and no task",
     DUE,
     {{0}},
     "+",
     .due = AT(5 * DAY),
     .refused_until = AT(5 * DAY)},
    {"it has refused for long enough", DUE, {{0}}, "+", .due = AT(0), .refused_until = AT(-1)},
    {"its task waits for the CA",
     DUE,
     {PENDING("a", DAY)},
     "k",
     .due = AT(DAY),
     .refused_until = AT(DAY)},
    {"or for longer", DUE, {PENDING("a", 9 * DAY)}, "w", .due = AT(DAY), .refused_until = AT(DAY)},
    {"or not for long enough",
     DUE,
     {PENDING("a", HOUR)},
     "w",
     .due = AT(DAY),
     .refused_until = AT(DAY)},
    {"nor does the server's own retry come before",
     DUE,
     {RETRY("a", HOUR, DNS_ERROR)},
     "w",
     .due = AT(DAY),
     .refused_until = AT(DAY)},
    {"what was refused waits for the CA alone",
     DUE,
     {RETRY("a", 7 * DAY, LIMITED), PENDING("b", 5 * DAY)},
     "wx",
     .due = AT(7 * DAY),
     .refused_until = AT(7 * DAY)},

    {"the account has no order for it yet",
     DUE,
     {{0}},
     "+",
     .due = AT(HOUR),
     .not_before = AT(HOUR)},
    {"its task waits for that",
     ABSENT,
     {PENDING("a", HOUR)},
     "k",
     .due = AT(HOUR),
     .not_before = AT(HOUR)},
    {"or is moved to it",
     ABSENT,
     {PENDING("a", DAY)},
     "w",
     .due = AT(HOUR),
     .not_before = AT(HOUR)},
    {"the later of account and CA",
     DUE,
     {{0}},
     "+",
     .due = AT(DAY),
     .refused_until = AT(DAY),
     .not_before = AT(HOUR)},
    {"one that is due already is moved to it, too",
     ABSENT,
     {PENDING("a", -60)},
     "w",
     .due = AT(HOUR),
     .not_before = AT(HOUR)},
    {"whatever it has been refused for, not before the CA allows",
     DUE,
     {RETRY("a", -60, LIMITED)},
     "w",
     .due = AT(DAY),
     .refused_until = AT(DAY),
     .not_before = AT(HOUR)},
    {"of several one is left first",
     DUE,
     {PENDING("a", -60), PENDING("b", -50)},
     "ny",
     .due = NEVER,
     .not_before = AT(HOUR)},
    {"a fresh one needs no order", FRESH, {{0}}, "+", .due = AT(57 * DAY), .not_before = AT(HOUR)},

    {"stuck, and due", DUE, {PENDING("a", -STUCK_AFTER)}, "x+", .due = AT(0)},
    {"not quite", DUE, {PENDING("a", 1 - STUCK_AFTER)}, ".", .due = NEVER},
    {"stuck, and fresh", FRESH, {PENDING("a", -STUCK_AFTER)}, "x+", .due = AT(57 * DAY)},
    {"stuck after the CA has refused", DUE, {RETRY("a", -DAY, LIMITED)}, "x+", .due = AT(0)},
    {"stuck beside one that is due",
     DUE,
     {PENDING("a", -DAY), PENDING("b", -60)},
     "xn",
     .due = NEVER},
    {"stuck beside one that waits",
     DUE,
     {PENDING("a", -DAY), PENDING("b", DAY)},
     "xw",
     .due = AT(0)},
    {"two are stuck", DUE, {PENDING("a", -DAY), RETRY("b", -DAY, DNS_ERROR)}, "xx+", .due = AT(0)},
    {"stuck beside twins that are due",
     DUE,
     {PENDING("a", -DAY), PENDING("b", -60), PENDING("c", -50)},
     "xny",
     .due = NEVER},
};

static wall_time or_never(wall_time time)
{
    return time.seconds ? time : WALL_TIME_NEVER;
}

static void each_rule_as_the_table_says(void **state)
{
    (void)state;
    static const char letters[] = {
        [COLLAPSE_LEFT] = '.',    [COLLAPSE_KEPT] = 'k', [COLLAPSE_REWRITTEN] = 'w',
        [COLLAPSE_REMOVED] = 'x', [COLLAPSE_NEXT] = 'n', [COLLAPSE_YIELDS] = 'y',
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        enum collapse_fate fates[TASKS_MAX];
        char got[TASKS_MAX + 2] = "";
        size_t count = 0, changes = 0;
        while (count < TASKS_MAX && row->tasks[count].id)
            count++;
        struct upkeep_plan plan =
            upkeep_plan(&(struct upkeep_facts){.now = {NOW},
                                               .renewable = !row->manual,
                                               .renewal_due = row->certificate.renewal_due,
                                               .expires = row->certificate.expires,
                                               .refused_until = or_never(row->refused_until),
                                               .not_before = or_never(row->not_before),
                                               .tasks = row->tasks,
                                               .task_count = count,
                                               .follower = row->follower.id ? &row->follower : NULL,
                                               .stuck_after_seconds = STUCK_AFTER},
                        fates);

        for (size_t t = 0; t < count; t++)
            got[t] = letters[fates[t]];
        if (plan.makes)
            got[count] = '+';
        for (size_t t = 0; got[t]; t++)
            changes += strchr("wxy+", got[t]) != NULL;
        if (strcmp(got, row->fates) != 0 || !wall_time_equal(plan.due, row->due) ||
            plan.changes != changes || plan.moves != (strchr(got, 'w') != NULL))
            fail_msg("%s: %s instead of %s, due %lld", row->name, got, row->fates,
                     (long long)(plan.due.seconds - NOW));
    }
}

/* Carries the plan out; how many tasks there are then. */
static size_t carry_out(struct renewal_task *tasks, size_t count, const struct upkeep_plan *plan,
                        const enum collapse_fate *fates)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_YIELDS)
            continue;
        tasks[kept] = tasks[i];
        if (fates[i] == COLLAPSE_REWRITTEN) {
            tasks[kept].due = plan->due;
            tasks[kept].restarted = tasks[kept].state == TASK_RETRY;
        }
        kept++;
    }
    if (plan->makes)
        tasks[kept++] = (struct renewal_task){.id = "made", .due = plan->due};
    return kept;
}

static int64_t any(int64_t least, int64_t most)
{
    return least + random() % (most - least + 1);
}

static struct renewal_task any_task(const char *id)
{
    static const int64_t dues[] = {-DAY, -2 * HOUR, -60, 0, 20, HOUR / 4, DAY, 57 * DAY, 900 * DAY};
    static const char *const reasons[] = {DNS_ERROR, LIMITED, LIMITED_BLINDLY};
    struct renewal_task task = PENDING(id, dues[any(0, COUNT(dues) - 1)]);

    task.state = (enum task_state)any(TASK_PENDING, TASK_FAILED);
    task.failed_at = (wall_time){NOW - any(0, 3 * DAY)};
    task.seen = (wall_time){NOW};
    task.tried = WALL_TIME_NEVER;
    if (task.state != TASK_PENDING)
        task.failure_reason = reasons[any(0, COUNT(reasons) - 1)];
    task.restarted = task.state == TASK_RETRY && any(0, 1);
    return task;
}

static struct certificate any_certificate(void)
{
    static const struct certificate certificates[] = {FRESH, DUE, ABSENT, SHORT_LIVED};

    return certificates[any(0, COUNT(certificates) - 1)];
}

/* One live task that waits or one that is due, and nothing more to do. */
static void assert_kept(unsigned number, struct upkeep_facts *facts, struct renewal_task *tasks)
{
    enum collapse_fate fates[TASKS_MAX + 1];
    struct upkeep_plan plan = upkeep_plan(facts, fates);
    size_t waiting = 0, due = 0;

    facts->task_count = carry_out(tasks, facts->task_count, &plan, fates);
    for (size_t i = 0; i < facts->task_count; i++) {
        bool waits =
            wall_time_before(wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS), tasks[i].due);
        waiting += tasks[i].state != TASK_FAILED && waits;
        due += tasks[i].state != TASK_FAILED && !waits;
        if (renewal_task_stuck(&tasks[i], facts->now, STUCK_AFTER))
            fail_msg("state %u: a stuck one is left", number);
    }
    if (waiting > 1 || due > 1 || waiting + due == 0)
        fail_msg("state %u: %zu wait, %zu are due", number, waiting, due);
    plan = upkeep_plan(facts, fates);
    /* Of several that are due one was left first, and that may have to wait for the account. */
    if (due == 1 && waiting == 0 && plan.changes == 1 && plan.moves &&
        wall_time_before(facts->now, facts->not_before)) {
        facts->task_count = carry_out(tasks, facts->task_count, &plan, fates);
        plan = upkeep_plan(facts, fates);
    }
    if (plan.changes != 0)
        fail_msg("state %u: not settled", number);
    struct decision decision =
        decide(&(struct decision_facts){.now = facts->now,
                                        .asked = facts->now,
                                        .looked_up = true,
                                        .renewable = true,
                                        .renewal_due = facts->renewal_due,
                                        .refused_until = facts->refused_until,
                                        .tasks = tasks,
                                        .task_count = facts->task_count,
                                        .settings.stuck_after_seconds = STUCK_AFTER});
    if (!decision.id)
        fail_msg("state %u: a create would not be answered with what is left", number);
}

static void after_it_every_domain_has_its_one_task(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b", "c", "d"};

    srandom(12);
    for (unsigned number = 0; number < 20000; number++) {
        struct renewal_task tasks[TASKS_MAX + 1] = {0};
        struct certificate certificate = any_certificate();
        size_t count = (size_t)any(0, COUNT(ids));
        for (size_t i = 0; i < count; i++)
            tasks[i] = any_task(ids[i]);
        wall_time now = {NOW}, until = refused_until(tasks, count, HOUR, now);
        assert_kept(number,
                    &(struct upkeep_facts){.now = now,
                                           .renewable = true,
                                           .renewal_due = certificate.renewal_due,
                                           .expires = certificate.expires,
                                           .refused_until = until,
                                           .not_before = any(0, 1) ? (wall_time){NOW + HOUR / 2}
                                                                   : WALL_TIME_NEVER,
                                           .tasks = tasks,
                                           .task_count = count,
                                           .stuck_after_seconds = STUCK_AFTER},
                    tasks);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_as_the_table_says),
        cmocka_unit_test(after_it_every_domain_has_its_one_task),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
