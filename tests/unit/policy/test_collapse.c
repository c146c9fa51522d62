#include "policy/collapse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "policy/decide.h"

#include "tests/unit/renewal_tasks.h"

#define TASKS_MAX 5

#define RESTARTED(name, offset, reason)                                                            \
    {.id = (name),                                                                                 \
     .state = TASK_RETRY,                                                                          \
     .due = AT(offset),                                                                            \
     .failure_reason = (reason),                                                                   \
     .restarted = true}

/*
 * What becomes of each task: "." left, "k" kept, "w" rewritten, "x" removed, "n" next of the due
 * ones, "y" yields to it; and when the one that stays is due.
 */
static const struct row {
    const char *name;
    struct renewal_task tasks[TASKS_MAX];
    const char *fates;
    wall_time due;
    wall_time refused_until; /* zero: nothing refuses */
    wall_time renewal_due;   /* zero: no certificate */
} rows[] = {
    {"nothing queued", {{0}}, "", NEVER, {0}, {0}},
    {"one that waits", {PENDING("a", DAY)}, "k", AT(DAY), {0}, {0}},
    {"one that runs", {PENDING("a", -DAY)}, ".", NEVER, {0}, {0}},
    {"Failed ones alone",
     {FAILED("a", -DAY, LIMITED), FAILED("b", 0, NULL)},
     "..",
     NEVER,
     {0},
     {0}},

    {"the earliest stays",
     {PENDING("a", 2 * DAY), PENDING("b", DAY), PENDING("c", 3 * DAY)},
     "xkx",
     AT(DAY),
     {0},
     {0}},
    {"the earliest of those retried for another reason too",
     {RETRY("a", 2 * DAY, DNS_ERROR), RETRY("b", HOUR, DNS_ERROR), PENDING("c", DAY)},
     "xkx",
     AT(HOUR),
     {0},
     {0}},
    {"of equally early ones that with the first id",
     {PENDING("b", DAY), PENDING("a", DAY), PENDING("c", DAY)},
     "xkx",
     AT(DAY),
     {0},
     {0}},
    {"a refusal does not move what was not refused",
     {PENDING("a", DAY), PENDING("b", 2 * DAY)},
     "kx",
     AT(DAY),
     AT(5 * DAY),
     {0}},

    {"a rate-limited one stays, however late",
     {PENDING("a", HOUR), RESTARTED("b", 7 * DAY, LIMITED), RETRY("c", DAY, DNS_ERROR)},
     "xkx",
     AT(7 * DAY),
     {0},
     {0}},
    {"of several the one that is due last",
     {RESTARTED("a", DAY, LIMITED), RESTARTED("b", 3 * DAY, LIMITED),
      RESTARTED("c", 2 * DAY, LIMITED_BLINDLY)},
     "xkx",
     AT(3 * DAY),
     {0},
     {0}},
    {"of equally late ones that with the first id",
     {RESTARTED("b", DAY, LIMITED), RESTARTED("a", DAY, LIMITED)},
     "xk",
     AT(DAY),
     {0},
     {0}},
    {"it counts its attempts anew", {RETRY("a", DAY, LIMITED)}, "w", AT(DAY), {0}, {0}},
    {"it is due when the CA no longer refuses",
     {RESTARTED("a", HOUR, LIMITED)},
     "w",
     AT(DAY),
     AT(DAY),
     {0}},
    {"never earlier than it is", {RESTARTED("a", DAY, LIMITED)}, "k", AT(DAY), AT(HOUR), {0}},
    {"a Failed one is left, and what it says of the CA is heeded",
     {FAILED("a", -DAY, LIMITED), RETRY("b", HOUR, LIMITED_BLINDLY)},
     ".w",
     AT(6 * DAY),
     AT(6 * DAY),
     {0}},

    {"what runs is left and does not count",
     {PENDING("a", 0), PENDING("b", DAY), PENDING("c", 2 * DAY), RETRY("d", -1, LIMITED)},
     "ykxn",
     AT(DAY),
     {0},
     {0}},
    {"so is what starts at any moment",
     {PENDING("a", COLLAPSE_MARGIN_SECONDS), PENDING("b", COLLAPSE_MARGIN_SECONDS + 1),
      PENDING("c", DAY)},
     ".wx",
     AT(COLLAPSE_PUT_OFF_SECONDS),
     {0},
     {0}},
    {"beside what is due nothing waits for less than half an hour",
     {PENDING("a", 0), PENDING("b", COLLAPSE_PUT_OFF_SECONDS / 2 - 1)},
     ".w",
     AT(COLLAPSE_PUT_OFF_SECONDS),
     {0},
     {0}},
    {"what was put off is left for as long",
     {PENDING("a", 0), PENDING("b", COLLAPSE_PUT_OFF_SECONDS / 2)},
     ".k",
     AT(COLLAPSE_PUT_OFF_SECONDS / 2),
     {0},
     {0}},
    {"what the CA has refused waits for the CA alone",
     {PENDING("a", 0), RESTARTED("b", COLLAPSE_MARGIN_SECONDS + 1, LIMITED)},
     ".k",
     AT(COLLAPSE_MARGIN_SECONDS + 1),
     {0},
     {0}},
    {"of those that are due one stays, the earliest",
     {PENDING("c", 0), PENDING("b", -1), PENDING("a", 0), FAILED("d", 0, NULL)},
     "yny.",
     NEVER,
     {0},
     {0}},
    {"or of equally early ones that with the first id",
     {PENDING("b", 0), PENDING("a", 0), RETRY("c", 0, DNS_ERROR)},
     "yny",
     NEVER,
     {0},
     {0}},
    {"or the rate-limited one that was due last",
     {PENDING("a", -5), RETRY("b", -3, LIMITED), RETRY("c", -2, LIMITED)},
     "yyn",
     NEVER,
     {0},
     {0}},
    {"whether the certificate is fresh or not",
     {PENDING("a", -5), PENDING("b", -3), PENDING("c", 30 * DAY)},
     "nyk",
     AT(30 * DAY),
     {0},
     AT(30 * DAY)},

    {"nothing is kept for before the certificate is due",
     {PENDING("a", DAY), PENDING("b", 31 * DAY), PENDING("c", 30 * DAY), PENDING("d", 29 * DAY)},
     "xxkx",
     AT(30 * DAY),
     {0},
     AT(30 * DAY)},
    {"where all are too early the latest is moved",
     {PENDING("a", DAY), RETRY("b", 2 * DAY, DNS_ERROR)},
     "xw",
     AT(30 * DAY),
     {0},
     AT(30 * DAY)},
    {"one alone too", {PENDING("a", DAY)}, "w", AT(30 * DAY), {0}, AT(30 * DAY)},
    {"of equally late ones that with the first id",
     {PENDING("b", DAY), PENDING("a", DAY)},
     "xw",
     AT(30 * DAY),
     {0},
     AT(30 * DAY)},
    {"a certificate that is due counts for nothing",
     {PENDING("a", HOUR), PENDING("b", DAY)},
     "kx",
     AT(HOUR),
     {0},
     AT(0)},
    {"while the certificate is fresh its next renewal stays, not what was refused",
     {RESTARTED("a", DAY, LIMITED), PENDING("b", 30 * DAY)},
     "xk",
     AT(30 * DAY),
     {0},
     AT(30 * DAY)},
    {"what was refused until later stays",
     {RESTARTED("a", 40 * DAY, LIMITED), PENDING("b", 30 * DAY)},
     "kx",
     AT(40 * DAY),
     {0},
     AT(30 * DAY)},
    {"what was refused waits for the CA alone",
     {RESTARTED("a", DAY, LIMITED)},
     "k",
     AT(DAY),
     {0},
     AT(30 * DAY)},

};

static void each_rule_as_the_table_says(void **state)
{
    (void)state;
    static const char letters[] = {
        [COLLAPSE_LEFT] = '.',    [COLLAPSE_KEPT] = 'k', [COLLAPSE_REWRITTEN] = 'w',
        [COLLAPSE_REMOVED] = 'x', [COLLAPSE_NEXT] = 'n', [COLLAPSE_YIELDS] = 'y',
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct row *row = &rows[i];
        size_t count = strlen(row->fates), changes = 0;
        enum collapse_fate fates[TASKS_MAX];
        char got[TASKS_MAX + 1] = "";
        struct collapse_facts facts = {
            .now = {NOW},
            .refused_until = row->refused_until.seconds ? row->refused_until : WALL_TIME_NEVER,
            .renewal_due = row->renewal_due.seconds ? row->renewal_due : WALL_TIME_NEVER,
            .tasks = row->tasks,
            .task_count = count,
        };
        struct collapse_plan plan = collapse_plan(&facts, fates);

        for (size_t t = 0; t < count; t++) {
            got[t] = letters[fates[t]];
            changes += strchr("wxy", got[t]) != NULL;
        }
        if (strcmp(got, row->fates) != 0 || !wall_time_equal(plan.due, row->due) ||
            plan.changes != changes)
            fail_msg("%s: %s instead of %s, %zu changes, due %lld", row->name, got, row->fates,
                     plan.changes, (long long)plan.due.seconds);
    }
}

/* Every queue of up to four tasks of these kinds, in every order. */
static const struct renewal_task kinds[] = {
    PENDING("", 0),
    PENDING("", HOUR / 4),
    PENDING("", DAY),
    PENDING("", 2 * DAY),
    RETRY("", DAY, DNS_ERROR),
    RETRY("", DAY, LIMITED),
    RETRY("", 3 * DAY, LIMITED),
    RESTARTED("", 2 * DAY, LIMITED_BLINDLY),
    FAILED("", -HOUR, LIMITED),
};
static const char *const ids[] = {"a", "b", "c", "d"};

static size_t make_queue(size_t number, struct renewal_task *tasks)
{
    size_t count = 0;

    for (; number > 0 && count < COUNT(ids); number /= COUNT(kinds) + 1) {
        size_t kind = number % (COUNT(kinds) + 1);
        if (kind == 0)
            continue;
        tasks[count] = kinds[kind - 1];
        tasks[count].id = ids[count];
        count++;
    }
    return count;
}

static size_t live(const struct renewal_task *tasks, size_t count, bool due)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += tasks[i].state != TASK_FAILED && (tasks[i].due.seconds <= NOW) == due;
    return found;
}

static struct collapse_plan plan_of(const struct renewal_task *tasks, size_t count,
                                    wall_time renewal_due, enum collapse_fate *fates)
{
    wall_time until = refused_until(tasks, count, 0, (wall_time){NOW});

    return collapse_plan(&(struct collapse_facts){.now = {NOW},
                                                  .refused_until = until,
                                                  .renewal_due = renewal_due,
                                                  .tasks = tasks,
                                                  .task_count = count},
                         fates);
}

/* The plan carried out; what is left of the queue. */
static size_t carry_out(struct renewal_task *tasks, size_t count, const enum collapse_fate *fates,
                        wall_time due)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++) {
        if (fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_YIELDS)
            continue;
        tasks[kept] = tasks[i];
        if (fates[i] == COLLAPSE_REWRITTEN) {
            tasks[kept].due = due;
            tasks[kept].restarted = tasks[kept].state == TASK_RETRY;
        }
        kept++;
    }
    return kept;
}

static void assert_settles(size_t number, wall_time renewal_due)
{
    struct renewal_task tasks[COUNT(ids)] = {0};
    enum collapse_fate fates[COUNT(ids)];
    size_t count = make_queue(number, tasks);
    bool waited = live(tasks, count, false) > 0, was_due = live(tasks, count, true) > 0;
    struct collapse_facts facts = {.now = {NOW},
                                   .renewal_due = renewal_due,
                                   .refused_until = WALL_TIME_NEVER,
                                   .tasks = tasks,
                                   .task_count = count};
    const struct renewal_task *answer = collapse_stays(&facts);
    const char *answered = answer ? answer->id : NULL;
    struct collapse_plan plan = plan_of(tasks, count, renewal_due, fates);

    for (size_t i = 0; i < count; i++) {
        if (answer == &tasks[i] && (fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_YIELDS))
            fail_msg("queue %zu: answered with %s, which goes", number, answered);
    }
    if ((answered != NULL) != (waited || was_due))
        fail_msg("queue %zu: answered with %s", number, answered ? answered : "none");
    count = carry_out(tasks, count, fates, plan.due);
    if (live(tasks, count, false) != waited || live(tasks, count, true) != was_due)
        fail_msg("queue %zu: %zu wait, %zu are due", number, live(tasks, count, false),
                 live(tasks, count, true));
    if (plan_of(tasks, count, renewal_due, fates).changes != 0)
        fail_msg("queue %zu: not settled", number);
}

static void one_is_left_of_the_due_and_of_the_waiting_and_all_is_settled(void **state)
{
    (void)state;
    size_t queues = 1;

    for (size_t i = 0; i < COUNT(ids); i++)
        queues *= COUNT(kinds) + 1;
    for (size_t number = 0; number < queues; number++) {
        assert_settles(number, WALL_TIME_NEVER);
        assert_settles(number, (wall_time)AT(DAY + HOUR));
        assert_settles(number, (wall_time)AT(30 * DAY));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_as_the_table_says),
        cmocka_unit_test(one_is_left_of_the_due_and_of_the_waiting_and_all_is_settled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
