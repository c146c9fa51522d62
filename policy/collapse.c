#include "policy/collapse.h"

static bool is_waiting(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS);

    return task->state != TASK_FAILED && wall_time_before(soon, task->due);
}

static bool is_stuck(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return renewal_task_stuck(task, facts->now, facts->stuck_after_seconds);
}

static bool is_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return task->state != TASK_FAILED && !is_waiting(facts, task) && !is_stuck(facts, task);
}

/* R, where the certificate is fresh; else before all time. */
static wall_time not_before(const struct collapse_facts *facts)
{
    return wall_time_before(facts->now, facts->renewal_due) ? facts->renewal_due : WALL_TIME_NEVER;
}

wall_time collapse_right_time(const struct collapse_facts *facts)
{
    if (wall_time_before(facts->now, facts->renewal_due))
        return facts->renewal_due;
    return wall_time_later(facts->refused_until, wall_time_later(facts->now, facts->not_before));
}

/* Whether `a` is to stay rather than `b`, where nothing is to run before `from`. */
static bool outlives(const struct renewal_task *a, const struct renewal_task *b, wall_time from)
{
    bool limited = renewal_task_rate_limited(a), early = wall_time_before(a->due, from);
    bool alike = limited == renewal_task_rate_limited(b);

    if (early != wall_time_before(b->due, from) && !(alike && limited))
        return !early;
    if (!alike)
        return limited;
    return limited || early ? renewal_task_waits_longer(a, b) : renewal_task_sooner(a, b);
}

/* Of those that are due, or of those that wait, the one that stays; task_count where none is. */
static size_t find_staying(const struct collapse_facts *facts, bool due)
{
    size_t best = facts->task_count;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (due ? !is_due(facts, task) : !is_waiting(facts, task))
            continue;
        if (best == facts->task_count ||
            outlives(task, &facts->tasks[best], due ? WALL_TIME_NEVER : not_before(facts)))
            best = i;
    }
    return best;
}

static size_t collapse_count(const struct collapse_facts *facts,
                             bool (*counts)(const struct collapse_facts *facts,
                                            const struct renewal_task *task))
{
    size_t found = 0;

    for (size_t i = 0; i < facts->task_count; i++)
        found += counts(facts, &facts->tasks[i]);
    return found;
}

static enum collapse_fate fate_of(const struct collapse_facts *facts,
                                  const struct collapse_plan *plan, size_t i)
{
    const struct renewal_task *task = &facts->tasks[i];

    if (is_waiting(facts, task))
        return COLLAPSE_REMOVED;
    if (is_stuck(facts, task))
        return plan->survivor < facts->task_count || plan->next < facts->task_count || plan->makes
                   ? COLLAPSE_REMOVED
                   : COLLAPSE_LEFT;
    if (plan->next == facts->task_count || !is_due(facts, task))
        return COLLAPSE_LEFT;
    return i == plan->next ? COLLAPSE_NEXT : COLLAPSE_YIELDS;
}

/*
 * One that is due beyond what the account has orders for waits for its own, unless it runs. Beside
 * others it is left for now: they are brought to one first.
 */
static size_t find_paced(const struct collapse_facts *facts, size_t due, size_t waiting)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS);
    bool fresh = wall_time_before(facts->now, facts->renewal_due);
    bool paced = facts->upkeep && !fresh && wall_time_before(soon, facts->not_before);

    return paced && due == 1 && waiting == facts->task_count ? find_staying(facts, true) : waiting;
}

/* When a task that waits may start, as far as those that are due have a say. */
static wall_time beside_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_PUT_OFF_SECONDS / 2);

    if (collapse_count(facts, is_due) == 0 || !wall_time_before(task->due, soon))
        return task->due;
    return wall_time_add(facts->now, COLLAPSE_PUT_OFF_SECONDS);
}

/* How late a next renewal may be. */
static int64_t late_seconds(const struct collapse_facts *facts)
{
    int64_t left = wall_time_before(facts->renewal_due, facts->expires)
                       ? facts->expires.seconds - facts->renewal_due.seconds
                       : 0;

    return left / 4 < COLLAPSE_LATE_SECONDS ? left / 4 : COLLAPSE_LATE_SECONDS;
}

/* The server, or a sweep, has let it wait for as long as is right. */
static bool is_in_time(const struct collapse_facts *facts, const struct renewal_task *task,
                       wall_time right)
{
    bool fresh = wall_time_before(facts->now, facts->renewal_due);
    int64_t later = fresh                       ? late_seconds(facts)
                    : task->state == TASK_RETRY ? COLLAPSE_RETRY_SECONDS
                                                : 0;

    return !wall_time_before(wall_time_add(right, later), task->due);
}

/* When one that the CA has not refused is to be due. */
static wall_time ordinary_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    wall_time due = wall_time_later(beside_due(facts, task), not_before(facts));
    wall_time right = collapse_right_time(facts);

    if (!facts->upkeep || collapse_count(facts, is_due) > 0)
        return due;
    return facts->followed || is_in_time(facts, task, right) ? wall_time_later(due, right) : right;
}

/* How the one that stays is written; the fate that it has by that. */
static enum collapse_fate plan_survivor(const struct collapse_facts *facts,
                                        struct collapse_plan *plan)
{
    const struct renewal_task *survivor = &facts->tasks[plan->survivor];
    bool limited = renewal_task_rate_limited(survivor);

    if (is_due(facts, survivor))
        plan->due = collapse_right_time(facts);
    else
        plan->due = limited ? wall_time_later(survivor->due, facts->refused_until)
                            : ordinary_due(facts, survivor);
    bool stands = wall_time_equal(plan->due, survivor->due) && (!limited || survivor->restarted);
    return stands ? COLLAPSE_KEPT : COLLAPSE_REWRITTEN;
}

struct collapse_plan collapse_plan(const struct collapse_facts *facts, enum collapse_fate *fates)
{
    size_t due = collapse_count(facts, is_due);
    size_t waiting = find_staying(facts, false), survivor = find_paced(facts, due, waiting);
    bool make_way =
        survivor == waiting && (due > 1 || (due > 0 && collapse_count(facts, is_stuck) > 0));
    struct collapse_plan plan = {
        .survivor = survivor,
        .next = make_way ? find_staying(facts, true) : facts->task_count,
        .due = WALL_TIME_NEVER,
    };

    plan.makes =
        facts->upkeep && !facts->followed && due == 0 && plan.survivor == facts->task_count;
    if (plan.makes)
        plan.due = collapse_right_time(facts);
    for (size_t i = 0; i < facts->task_count; i++) {
        enum collapse_fate fate =
            i == plan.survivor ? plan_survivor(facts, &plan) : fate_of(facts, &plan, i);

        plan.changes +=
            fate == COLLAPSE_REMOVED || fate == COLLAPSE_YIELDS || fate == COLLAPSE_REWRITTEN;
        if (fates)
            fates[i] = fate;
    }
    plan.changes += plan.makes;
    return plan;
}

const struct renewal_task *collapse_waits(const struct collapse_facts *facts)
{
    size_t waits = find_staying(facts, false);

    return waits < facts->task_count ? &facts->tasks[waits] : NULL;
}

const struct renewal_task *collapse_stays(const struct collapse_facts *facts)
{
    size_t due = find_staying(facts, true);
    size_t stays = due < facts->task_count ? due : find_staying(facts, false);

    return stays < facts->task_count ? &facts->tasks[stays] : NULL;
}
