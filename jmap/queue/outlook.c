#include "jmap/queue/outlook.h"

#include <stdlib.h>

/* NULL when memory runs out. */
static struct renewal_task *all_tasks(const struct inventory *inventory,
                                      const struct inventory_domain *domain,
                                      const struct lookup_domain *found, size_t *count)
{
    const struct inventory_task *listed = inventory->tasks + domain->first, *same;
    struct renewal_task *tasks = calloc(found->task_count + domain->count + 1, sizeof *tasks);
    bool *is_found = calloc(domain->count + 1, sizeof *is_found);

    *count = 0;
    for (size_t i = 0; tasks && is_found && i < found->task_count; i++) {
        tasks[(*count)++] = found->tasks[i];
        same = inventory_task_of(inventory, domain, found->tasks[i].id);
        if (same)
            is_found[same - listed] = true;
    }
    for (size_t i = 0; tasks && is_found && i < domain->count; i++) {
        if (!is_found[i])
            tasks[(*count)++] = listed[i].task;
    }
    if (!is_found) {
        free(tasks);
        tasks = NULL;
    }
    free(is_found);
    return tasks;
}

bool outlook_open(struct outlook *outlook, const struct inventory *inventory,
                  const struct inventory_domain *domain, const struct lookup_domain *found,
                  const struct hold_settings *settings, wall_time now)
{
    *outlook = (struct outlook){.stuck_after_seconds = settings->table.stuck_after_seconds};
    outlook->tasks = all_tasks(inventory, domain, found, &outlook->task_count);
    outlook->fates = calloc(outlook->task_count + 1, sizeof *outlook->fates);
    outlook->spent = calloc(outlook->task_count + 1, sizeof *outlook->spent);
    if (!outlook->tasks || !outlook->fates || !outlook->spent) {
        outlook_clear(outlook);
        return false;
    }
    struct held_facts held = lookup_held_facts(found, hold_limits(settings), now);
    held.tasks = outlook->tasks;
    held.task_count = outlook->task_count;
    outlook->held = held_until(&held);
    outlook->spent_count = held_find_spent(&held, outlook->spent);
    return true;
}

void outlook_plan(struct outlook *outlook, const struct lookup_domain *found, wall_time not_before,
                  wall_time now)
{
    outlook->plan =
        upkeep_plan(&(struct upkeep_facts){.now = now,
                                           .renewable = found->renewable,
                                           .renewal_due = found->renewal_due,
                                           .expires = found->newest_expiry,
                                           .refused_until = outlook->held.until,
                                           .not_before = not_before,
                                           .tasks = outlook->tasks,
                                           .task_count = outlook->task_count,
                                           .follower = found->follower.id ? &found->follower : NULL,
                                           .stuck_after_seconds = outlook->stuck_after_seconds},
                    outlook->fates);
}

bool outlook_is_on_its_way(const struct outlook *outlook, wall_time now)
{
    wall_time soon = wall_time_add(now, COLLAPSE_MARGIN_SECONDS);

    for (size_t i = 0; i < outlook->task_count; i++) {
        const struct renewal_task *task = &outlook->tasks[i];
        if (task->state != TASK_FAILED && !wall_time_before(soon, task->due) &&
            !renewal_task_stuck(task, now, outlook->stuck_after_seconds))
            return true;
    }
    return false;
}

void outlook_clear(struct outlook *outlook)
{
    free(outlook->tasks);
    free(outlook->fates);
    free(outlook->spent);
    *outlook = (struct outlook){0};
}
