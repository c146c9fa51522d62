#include "jmap/tidy/queue_change.h"

const char *queue_action_name(enum queue_action action)
{
    static const char *const names[QUEUE_ACTIONS] = {
        [QUEUE_POSTPONED] = "postponed", [QUEUE_ADVANCED] = "advanced",
        [QUEUE_DESTROYED] = "destroyed", [QUEUE_SUPERSEDED] = "superseded",
        [QUEUE_SCHEDULED] = "scheduled", [QUEUE_CLEARED] = "cleared",
    };

    return names[action];
}

enum queue_action queue_action_of_move(const struct renewal_task *task, wall_time due)
{
    return wall_time_before(due, task->due) ? QUEUE_ADVANCED : QUEUE_POSTPONED;
}

struct queue_change queue_change_of(enum queue_action action, const struct renewal_task *task,
                                    const char *domain_id, const char *domain_name)
{
    return (struct queue_change){
        .domain_id = domain_id,
        .domain_name = domain_name,
        .action = action,
        .id = task->id,
        .due = WALL_TIME_NEVER,
        .old_state = task_state_name(task->state),
        .old_due = task->state == TASK_FAILED ? WALL_TIME_NEVER : task->due,
        .old_reason = task->failure_reason,
    };
}
