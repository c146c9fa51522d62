#include "jmap/facts/lookup_parts.h"

#include <stdlib.h>

#include "jmap/wire/array.h"
#include "jmap/wire/json_list.h"
#include "jmap/wire/json_walk.h"

/*
 * Most of what lists have are other domains' tasks, and most of the domains' own wait and say no
 * more than when they are due. No tree is made of these. What the others' say is remembered, by
 * which the account's orders are counted.
 */

void lookup_note_other(const struct lookup *lookup, const char *domain_id, const char *task_id,
                       wall_time due)
{
    memory_note_queued(lookup->memory, domain_id, lookup->only_provider, due, lookup->now,
                       lookup->moment);
    if (lookup->stage == STAGE_MORE_TASKS)
        memory_note_task(lookup->memory, domain_id, task_id);
}

bool lookup_add_plain_tasks(struct lookup *lookup, size_t first, size_t last)
{
    for (size_t i = first; i < last; i++) {
        const struct plain_task *task = &lookup->plain[i];
        if (!task->domain)
            lookup_note_other(lookup, task->text.domain_id, task->text.id, task->text.due);
        else if (!lookup_add_waiting_task(lookup, task->domain, task->text.id, task->text.due))
            return false;
    }
    return true;
}

/* NULL, so that it is parsed, where memory runs out, too. */
static const char *set_task_aside(struct lookup *lookup, const char *element, const char *end)
{
    struct plain_task task;
    const char *behind = task_text_read(element, end, lookup->now, &task.text);

    if (!behind)
        return NULL;
    task.domain = lookup_domain_by_id(lookup, task.text.domain_id);
    if (task.domain && !task.text.waits)
        return NULL;
    if (task.text.state == TASK_FAILED)
        return behind;
    struct plain_task *plain = array_grow(lookup->plain, lookup->plain_count, sizeof *plain);
    if (!plain)
        return NULL;
    lookup->plain = plain;
    plain[lookup->plain_count++] = task;
    return behind;
}

/* Of the next tasks there are hundreds, and nobody asks for their ids alone. */
static const char *set_aside(void *user, size_t lists, const char *element, const char *end)
{
    struct lookup *lookup = user;

    if (*element == '"')
        return lookup->stage == STAGE_NEXT_TASKS ? json_walk_string(element, end) : NULL;
    const char *behind = set_task_aside(lookup, element, end);
    if (lists < lookup->first_lists)
        lookup->plain_first = lookup->plain_count;
    return behind ? behind : lookup_set_certificate_aside(lookup, element, end);
}

char *lookup_set_plain_aside(struct lookup *lookup, const char *body, size_t len,
                             size_t *picked_len)
{
    lookup->plain_count = lookup->plain_first = 0;
    char *picked = json_list_pick(body, len, set_aside, lookup, picked_len);
    if (!picked)
        lookup->plain_count = lookup->plain_first = 0;
    return picked;
}
