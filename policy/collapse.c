#include "policy/collapse.h"

#include <string.h>

static bool is_waiting(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS);

    return task->state != TASK_FAILED && wall_time_before(soon, task->due);
}

static bool is_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return task->state != TASK_FAILED && !is_waiting(facts, task);
}

/* R, where the certificate is fresh; else before all time. */
static wall_time not_before(const struct collapse_facts *facts)
{
    return wall_time_before(facts->now, facts->renewal_due) ? facts->renewal_due : WALL_TIME_NEVER;
}

/* Whether `a` is to stay rather than `b`, where nothing is to run before `from`. */
static bool outlives(const struct renewal_task *a, const struct renewal_task *b, wall_time from)
{
    bool limited = renewal_task_rate_limited(a), early = wall_time_before(a->due, from);

    if (limited != renewal_task_rate_limited(b))
        return limited;
    if (!limited && early != wall_time_before(b->due, from))
        return !early;
    return limited || early ? renewal_task_waits_longer(a, b) : renewal_task_sooner(a, b);
}

static bool is_newborn(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return facts->newborn && strcmp(task->id, facts->newborn) == 0;
}

/* Of those that are due, or of those that wait, the one that stays; task_count where none is. */
static size_t find_staying(const struct collapse_facts *facts, bool due)
{
    size_t best = facts->task_count;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (due ? !is_due(facts, task) : !is_waiting(facts, task))
            continue;
        if (due && is_newborn(facts, task))
            return i;
        if (best == facts->task_count ||
            outlives(task, &facts->tasks[best], due ? WALL_TIME_NEVER : not_before(facts)))
            best = i;
    }
    return best;
}

static size_t count_due(const struct collapse_facts *facts)
{
    size_t count = 0;

    for (size_t i = 0; i < facts->task_count; i++)
        count += is_due(facts, &facts->tasks[i]);
    return count;
}

static enum collapse_fate fate_of(const struct collapse_facts *facts, size_t i, size_t next)
{
    if (is_waiting(facts, &facts->tasks[i]))
        return COLLAPSE_REMOVED;
    if (next == facts->task_count || !is_due(facts, &facts->tasks[i]))
        return COLLAPSE_LEFT;
    return i == next ? COLLAPSE_NEXT : COLLAPSE_YIELDS;
}

/* When a task that waits may start, as far as those that are due have a say. */
static wall_time beside_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_PUT_OFF_SECONDS / 2);

    if (count_due(facts) == 0 || !wall_time_before(task->due, soon))
        return task->due;
    return wall_time_add(facts->now, COLLAPSE_PUT_OFF_SECONDS);
}

/* How the one that stays is written; the fate that it has by that. */
static enum collapse_fate plan_survivor(const struct collapse_facts *facts,
                                        struct collapse_plan *plan)
{
    const struct renewal_task *survivor = &facts->tasks[plan->survivor];
    bool limited = renewal_task_rate_limited(survivor);

    plan->due = limited ? wall_time_later(survivor->due, facts->refused_until)
                        : wall_time_later(beside_due(facts, survivor), not_before(facts));
    bool stands = wall_time_equal(plan->due, survivor->due) && (!limited || survivor->restarted);
    return stands ? COLLAPSE_KEPT : COLLAPSE_REWRITTEN;
}

struct collapse_plan collapse_plan(const struct collapse_facts *facts, enum collapse_fate *fates)
{
    struct collapse_plan plan = {
        .survivor = find_staying(facts, false),
        .next = count_due(facts) > 1 ? find_staying(facts, true) : facts->task_count,
        .due = WALL_TIME_NEVER,
    };

    for (size_t i = 0; i < facts->task_count; i++) {
        enum collapse_fate fate =
            i == plan.survivor ? plan_survivor(facts, &plan) : fate_of(facts, i, plan.next);

        plan.changes +=
            fate == COLLAPSE_REMOVED || fate == COLLAPSE_YIELDS || fate == COLLAPSE_REWRITTEN;
        if (fates)
            fates[i] = fate;
    }
    return plan;
}

const struct renewal_task *collapse_stays(const struct collapse_facts *facts)
{
    size_t due = find_staying(facts, true);
    size_t stays = due < facts->task_count ? due : find_staying(facts, false);

    return stays < facts->task_count ? &facts->tasks[stays] : NULL;
}
