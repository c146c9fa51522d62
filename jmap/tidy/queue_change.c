#include "jmap/tidy/queue_change.h"

struct queue_change queue_change_of_collapse(const struct collapse_change *change,
                                             const char *domain_id, const char *domain_name)
{
    return (struct queue_change){
        .domain_id = domain_id,
        .domain_name = domain_name,
        .action = collapse_action_name(change->action),
        .id = change->task->id,
        .survivor = change->survivor,
        .due = change->due,
        .old_state = change->task->state == TASK_RETRY ? "Retry" : "Pending",
        .old_due = change->task->due,
        .old_reason = change->task->failure_reason,
    };
}
