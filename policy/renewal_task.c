#include "policy/renewal_task.h"

#include <string.h>

#include "policy/refusal.h"

/* The server's own: an hour, doubled for each attempt up to the fourth, six at most. */
#define PERPETUAL_FIRST INT64_C(3600)
#define PERPETUAL_LONGEST INT64_C(21600)
#define PERPETUAL_DOUBLINGS 4

const char *task_state_name(enum task_state state)
{
    static const char *const names[] = {
        [TASK_PENDING] = "Pending", [TASK_RETRY] = "Retry", [TASK_FAILED] = "Failed"};

    return names[state];
}

enum task_state task_state_read(const char *name)
{
    if (strcmp(name, task_state_name(TASK_RETRY)) == 0)
        return TASK_RETRY;
    return strcmp(name, task_state_name(TASK_FAILED)) == 0 ? TASK_FAILED : TASK_PENDING;
}

struct renewal_task renewal_task_waiting(const char *id, wall_time due, wall_time now)
{
    return (struct renewal_task){.id = id,
                                 .state = TASK_PENDING,
                                 .due = due,
                                 .failed_at = now,
                                 .seen = now,
                                 .tried = WALL_TIME_NEVER};
}

wall_time renewal_task_tried(const struct renewal_task *task, int64_t max_attempts)
{
    int64_t before = task->attempts - 1;

    if (task->state != TASK_RETRY || before < max_attempts || before < 0)
        return WALL_TIME_NEVER;

    int64_t delay = PERPETUAL_FIRST
                    << (before < PERPETUAL_DOUBLINGS ? before : PERPETUAL_DOUBLINGS);
    return wall_time_add(task->due, -(delay < PERPETUAL_LONGEST ? delay : PERPETUAL_LONGEST));
}

wall_time renewal_task_due(const struct renewal_task *task, wall_time now)
{
    struct refusal refusal = refusal_parse(task->failure_reason);

    if (!renewal_task_rate_limited(task) || task->restarted)
        return wall_time_equal(task->due, WALL_TIME_FOREVER) ? now : task->due;

    wall_time latest = wall_time_add(now, REFUSAL_LONGEST_SECONDS);
    bool unwritable =
        refusal.kind == REFUSAL_SECONDS &&
        wall_time_before(WALL_TIME_LAST_WRITABLE, wall_time_add(now, refusal.seconds));
    return unwritable ? latest : wall_time_earlier(task->due, latest);
}

bool renewal_task_stuck(const struct renewal_task *task, wall_time now, int64_t stuck_after_seconds)
{
    return task->state != TASK_FAILED && stuck_after_seconds > 0 &&
           !wall_time_before(now, wall_time_add(task->due, stuck_after_seconds));
}

bool renewal_task_rate_limited(const struct renewal_task *task)
{
    return task->state == TASK_RETRY && refusal_parse(task->failure_reason).kind != REFUSAL_NONE;
}

bool renewal_task_has_failed(const struct renewal_task *task)
{
    return task->state == TASK_FAILED && !task->other_setup &&
           refusal_is_failure(task->failure_reason);
}

bool renewal_task_is_invalid(const struct renewal_task *task)
{
    return task->state == TASK_FAILED && refusal_is_invalid(task->failure_reason);
}

const char *renewal_task_released(const struct renewal_task *tasks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (tasks[i].state == TASK_PENDING && tasks[i].other_order)
            return tasks[i].id;
    }
    return NULL;
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
