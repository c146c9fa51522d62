#include "policy/collapse.h"

#include <string.h>

static bool is_waiting(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS);

    return task->state != TASK_FAILED && wall_time_before(soon, task->due);
}

/* Whether `a` is to stay rather than `b`. */
static bool outlives(const struct renewal_task *a, const struct renewal_task *b)
{
    bool limited = renewal_task_rate_limited(a);

    if (limited != renewal_task_rate_limited(b))
        return limited;
    return limited ? renewal_task_waits_longer(a, b) : renewal_task_sooner(a, b);
}

static size_t find_survivor(const struct collapse_facts *facts)
{
    size_t best = facts->task_count;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (is_waiting(facts, task) &&
            (best == facts->task_count || outlives(task, &facts->tasks[best])))
            best = i;
    }
    return best;
}

static bool has_due_newborn(const struct collapse_facts *facts)
{
    for (size_t i = 0; facts->newborn && i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (strcmp(task->id, facts->newborn) == 0)
            return task->state != TASK_FAILED && !is_waiting(facts, task);
    }
    return false;
}

static enum collapse_fate fate_of(const struct collapse_facts *facts, size_t i, bool due_yield)
{
    const struct renewal_task *task = &facts->tasks[i];

    if (is_waiting(facts, task))
        return COLLAPSE_REMOVED;
    if (due_yield && task->state != TASK_FAILED && strcmp(task->id, facts->newborn) != 0)
        return COLLAPSE_YIELDS;
    return COLLAPSE_LEFT;
}

struct collapse_plan collapse_plan(const struct collapse_facts *facts, enum collapse_fate *fates)
{
    struct collapse_plan plan = {.survivor = find_survivor(facts), .due = WALL_TIME_NEVER};
    bool due_yield = has_due_newborn(facts);

    for (size_t i = 0; i < facts->task_count; i++) {
        fates[i] = fate_of(facts, i, due_yield);
        plan.changes += fates[i] != COLLAPSE_LEFT;
    }
    if (plan.survivor == facts->task_count)
        return plan;

    const struct renewal_task *survivor = &facts->tasks[plan.survivor];
    bool limited = renewal_task_rate_limited(survivor);
    plan.due = limited ? wall_time_later(survivor->due, facts->refused_until) : survivor->due;
    bool stands = !limited || (survivor->restarted && wall_time_equal(plan.due, survivor->due));
    fates[plan.survivor] = stands ? COLLAPSE_KEPT : COLLAPSE_REWRITTEN;
    plan.changes -= stands;
    return plan;
}
