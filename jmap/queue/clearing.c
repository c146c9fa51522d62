#include "jmap/queue/clearing.h"

#include "jmap/tidy/queue_change.h"

static bool is_cleared(const struct inventory_task *task)
{
    return task->not_due || task->spent;
}

static void tell_cleared(const struct clearing *clearing, const struct inventory_task *task)
{
    const struct inventory_domain *domain = inventory_find(clearing->inventory, task->domain_id);
    struct queue_change change =
        queue_change_of(QUEUE_CLEARED, &task->task, task->domain_id, domain ? domain->name : NULL);

    if (task->not_due)
        change.old_reason = "renewal is not due";
    clearing->context->changed(clearing->context->user, &change);
}

static void tell_all(const struct clearing *clearing)
{
    for (size_t i = 0; i < clearing->inventory->task_count; i++) {
        if (is_cleared(&clearing->inventory->tasks[i]))
            tell_cleared(clearing, &clearing->inventory->tasks[i]);
    }
}

/* Asks for some more of them; false where there are none, or memory runs out. */
static bool ask_for_more(struct clearing *clearing)
{
    const struct inventory *inventory = clearing->inventory;
    json_t *ids = json_array();

    own_request_begin(&clearing->request);
    clearing->request.incomplete |= !ids;
    clearing->asked = clearing->done;
    while (clearing->asked < inventory->task_count && json_array_size(ids) < clearing->most) {
        const struct inventory_task *task = &inventory->tasks[clearing->asked++];
        if (is_cleared(task))
            clearing->request.incomplete |= json_array_append_new(ids, json_string(task->id)) != 0;
    }
    bool any = json_array_size(ids) > 0;
    own_request_add(&clearing->request, "x:Task/set", json_pack("{s:o}", "destroy", ids), "c");
    if (own_request_finish(&clearing->request))
        return any;
    clearing->error = "out of memory";
    return false;
}

/* The same ones in smaller parts; false where there are no smaller ones. */
static bool ask_for_fewer(struct clearing *clearing)
{
    size_t objects = memory_note_too_many(clearing->context->memory, clearing->most);

    clearing->most = own_request_a_call(objects);
    return objects > 0 && ask_for_more(clearing);
}

bool clearing_begin(struct clearing *clearing, const struct sweep_context *context,
                    const struct inventory *inventory)
{
    clearing->context = context;
    clearing->inventory = inventory;
    clearing->most = own_request_a_call(memory_objects_a_call(context->memory));
    if (!context->dry_run)
        return ask_for_more(clearing);
    tell_all(clearing);
    return false;
}

/* Where the server does not destroy tasks (v0.16.5), they stay. */
bool clearing_feed(struct clearing *clearing, unsigned status, const char *body, size_t len)
{
    clearing->error = own_request_read(&clearing->request, status, body, len);
    if (clearing->error)
        return false;
    if (own_request_is_too_large(&clearing->request))
        return ask_for_fewer(clearing);

    const json_t *set = own_request_answer(&clearing->request, "c");
    json_t *destroyed = own_request_id_set(json_object_get(set, "destroyed"));
    for (; clearing->done < clearing->asked; clearing->done++) {
        const struct inventory_task *task = &clearing->inventory->tasks[clearing->done];
        if (is_cleared(task) && json_object_get(destroyed, task->id))
            tell_cleared(clearing, task);
    }
    json_decref(destroyed);
    return json_object_get(set, "destroyed") && ask_for_more(clearing);
}

void clearing_end(struct clearing *clearing)
{
    own_request_clear(&clearing->request);
}
