#include "jmap/facts/lookup_parts.h"

#include <stdlib.h>

#include "jmap/wire/array.h"
#include "jmap/wire/json_list.h"

/*
 * Most of what lists have are other domains' tasks. What they say of these is remembered, by which
 * the account's orders are counted, and for that no tree is made of them.
 */

void lookup_note_other(const struct lookup *lookup, const char *domain_id, const char *task_id,
                       wall_time due)
{
    memory_note_queued(lookup->memory, domain_id, lookup->only_provider, due, lookup->now,
                       lookup->moment);
    if (lookup->stage == STAGE_MORE_TASKS)
        memory_note_task(lookup->memory, domain_id, task_id);
}

void lookup_note_others(const struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->other_count; i++) {
        const struct task_text *task = &lookup->others[i];
        lookup_note_other(lookup, task->domain_id, task->id, task->due);
    }
}

static const char *set_aside(void *user, const char *element, const char *end)
{
    struct lookup *lookup = user;
    struct task_text task;
    const char *behind = task_text_read(element, end, lookup->now, &task);

    if (!behind || lookup_domain_by_id(lookup, task.domain_id))
        return NULL;
    if (task.state == TASK_FAILED)
        return behind;
    struct task_text *others = array_grow(lookup->others, lookup->other_count, sizeof *others);
    if (!others)
        return NULL;
    lookup->others = others;
    others[lookup->other_count++] = task;
    return behind;
}

char *lookup_set_others_aside(struct lookup *lookup, const char *body, size_t len,
                              size_t *picked_len)
{
    lookup->other_count = 0;
    char *picked = json_list_pick(body, len, set_aside, lookup, picked_len);
    if (!picked)
        lookup->other_count = 0;
    return picked;
}
