#include "policy/renewal_task.h"

#include <string.h>

#include "policy/refusal.h"

bool renewal_task_rate_limited(const struct renewal_task *task)
{
    return task->state == TASK_RETRY && refusal_parse(task->failure_reason).kind != REFUSAL_NONE;
}

bool renewal_task_sooner(const struct renewal_task *a, const struct renewal_task *b)
{
    if (!wall_time_equal(a->due, b->due))
        return wall_time_before(a->due, b->due);
    return strcmp(a->id, b->id) < 0;
}

bool renewal_task_waits_longer(const struct renewal_task *a, const struct renewal_task *b)
{
    if (!wall_time_equal(a->due, b->due))
        return wall_time_before(b->due, a->due);
    return strcmp(a->id, b->id) < 0;
}
