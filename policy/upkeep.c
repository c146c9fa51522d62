#include "policy/upkeep.h"

static struct upkeep_plan nothing(const struct upkeep_facts *facts, enum collapse_fate *fates)
{
    for (size_t i = 0; i < facts->task_count; i++)
        fates[i] = COLLAPSE_LEFT;
    return (struct upkeep_plan){.due = WALL_TIME_NEVER};
}

/* Whether a renewal that is due follows a DNS task, by the time that is right for one. */
static bool is_followed(const struct upkeep_facts *facts, wall_time due)
{
    const struct renewal_task *follower = facts->follower;

    return follower && !wall_time_before(facts->now, facts->renewal_due) &&
           !renewal_task_stuck(follower, facts->now, facts->stuck_after_seconds) &&
           (follower->state == TASK_RETRY || !wall_time_before(due, follower->due));
}

struct upkeep_plan upkeep_plan(const struct upkeep_facts *facts, enum collapse_fate *fates)
{
    if (!facts->renewable)
        return nothing(facts, fates);

    struct collapse_facts known = {.now = facts->now,
                                   .refused_until = facts->refused_until,
                                   .renewal_due = facts->renewal_due,
                                   .expires = facts->expires,
                                   .not_before = facts->not_before,
                                   .upkeep = true,
                                   .stuck_after_seconds = facts->stuck_after_seconds,
                                   .tasks = facts->tasks,
                                   .task_count = facts->task_count};

    known.followed = is_followed(facts, collapse_right_time(&known));
    const struct collapse_plan collapse = collapse_plan(&known, fates);
    struct upkeep_plan plan = {.changes = collapse.changes,
                               .followed = known.followed,
                               .makes = collapse.makes,
                               .due = collapse.due};

    if (collapse.survivor < facts->task_count)
        plan.stays = &facts->tasks[collapse.survivor];
    else if (collapse.next < facts->task_count)
        plan.stays = &facts->tasks[collapse.next];
    for (size_t i = 0; i < facts->task_count; i++) {
        plan.removed += fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_YIELDS;
        plan.stuck += fates[i] == COLLAPSE_REMOVED &&
                      renewal_task_stuck(&facts->tasks[i], facts->now, facts->stuck_after_seconds);
        plan.moves |= fates[i] == COLLAPSE_REWRITTEN;
    }
    return plan;
}
