/* x:Task/get, /query and /set. */
#include "tests/standin/api.h"
#include "tests/standin/clock.h"
#include "tests/standin/ids.h"
#include "tests/standin/patch.h"
#include "tests/standin/render.h"
#include "tests/standin/runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *find_task(uint64_t id, bool with_everything)
{
    (void)with_everything;
    const struct task *task = store_task(id);
    return task && !task->poison ? render_task(task) : NULL;
}

/*
 * Made to be due at the epoch, a task is overwritten by its own place in the queue: who names it
 * gets nothing, and nothing else that is in the same call.
 */
static bool is_poison(const char *text)
{
    uint64_t id;
    const struct task *task = text && id_parse(text, &id) ? store_task(id) : NULL;
    return task && task->poison;
}

static bool has_poison(const json_t *ids)
{
    size_t i;
    json_t *value;
    json_array_foreach(ids, i, value)
    {
        if (is_poison(json_string_value(value)))
            return true;
    }
    return false;
}

static bool updates_poison(const json_t *updates)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)updates, key, value)
    {
        if (is_poison(key))
            return true;
    }
    return false;
}

static json_t *fail_by_poison(struct api_call *call)
{
    return api_fail(call, "serverUnavailable",
                    "This server is temporarily unavailable. Attempting this same operation later "
                    "may succeed.");
}

json_t *task_get(struct api_call *call)
{
    if (has_poison(json_object_get(call->args, "ids")))
        return fail_by_poison(call);
    return api_get(call, find_task, &store.tasks_by_due);
}

/* Query */

struct range {
    uint64_t from, to;
    bool by_type;
    bool no_type; /* a type that exists but that nothing here has */
    enum task_type type;
};

static bool narrow_due(struct range *range, const char *op, const json_t *value)
{
    int64_t when;
    if (!json_is_string(value) || !clock_parse(json_string_value(value), &when))
        return false;
    uint64_t due = (uint64_t)when, from = 0, to = UINT64_MAX;
    if (strcmp(op, "GreaterThan") == 0)
        from = due + 1;
    else if (strcmp(op, "GreaterThanOrEqual") == 0)
        from = due;
    else if (strcmp(op, "LessThan") == 0)
        to = due - 1;
    else if (strcmp(op, "LessThanOrEqual") == 0)
        to = due;
    else
        from = to = due;
    if (range->from < from)
        range->from = from;
    if (range->to > to)
        range->to = to;
    return range->from <= range->to;
}

/* The other types that a task can have; all of them are the server's own business. */
static bool other_type(const char *name)
{
    static const char *const names[] = {
        "IndexDocument",       "UnindexDocument",     "IndexTrace",
        "CalendarAlarmEmail",  "CalendarItipMessage", "CalendarAlarmNotification",
        "MergeThreads",        "DmarcReport",         "TlsReport",
        "RestoreArchivedItem", "DestroyAccount",      "AccountMaintenance",
        "TenantMaintenance",   "StoreMaintenance",    "SpamFilterMaintenance"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool narrow_range(const char *property, const char *op, const json_t *value, void *with)
{
    struct range *range = with;
    const char *text = json_string_value(value);
    if (strcmp(property, "due") == 0)
        return narrow_due(range, op, value);
    if (strcmp(property, "status") == 0 && text) {
        /* Only Failed narrows: the others are taken and mean nothing. */
        if (strcmp(text, "Failed") == 0)
            range->from = range->to = DUE_NEVER;
        return strcmp(text, "Failed") == 0 || strcmp(text, "Retry") == 0 ||
               strcmp(text, "Pending") == 0;
    }
    if (strcmp(property, "@type") == 0 && text) {
        range->by_type = true;
        range->no_type = !task_type_parse(text, &range->type);
        return !range->no_type || other_type(text);
    }
    return false;
}

json_t *task_query(struct api_call *call)
{
    struct range range = {.from = 1, .to = UINT64_MAX};
    struct paging paging;
    struct paged paged;
    bool ascending;
    if (!api_filter(call, narrow_range, &range))
        return NULL;
    const char *sort = api_sort(call, &ascending);
    if (json_array_size(json_object_get(call->args, "sort")) && strcmp(sort, "due") != 0)
        return api_fail(call, "unsupportedSort", "Only sorting by 'due' is supported for tasks");
    paging_read(call->args, &paging);

    uint64_t from_id = 0, to_id = UINT64_MAX;
    const struct task *anchor = paging.has_anchor ? store_task(paging.anchor) : NULL;
    if (anchor) {
        uint64_t due = task_due_key(anchor);
        if (due >= range.from && due <= range.to && ascending) {
            range.from = due;
            from_id = anchor->id;
        } else if (due >= range.from && due <= range.to) {
            range.to = due;
            to_id = anchor->id;
        }
    }
    paged_start(&paged, call, &paging, store.query_max + 1);
    json_int_t total = 0;
    bool full = false;
    struct ordered_node *node = ascending ? ordered_from(&store.tasks_by_due, range.from, from_id)
                                          : ordered_upto(&store.tasks_by_due, range.to, to_id);
    /* Not through all of the others. */
    if (range.by_type && !range.no_type && store.task_counts[range.type] == 0)
        node = NULL;
    for (; node; node = ascending ? node->next[0] : node->prev) {
        if (ascending ? node->due > range.to || (node->due == range.to && node->id > to_id)
                      : node->due < range.from || (node->due == range.from && node->id < from_id))
            break;
        const struct task *task = node->value;
        if (task->poison || (range.by_type && (range.no_type || task->type != range.type)))
            continue;
        total++;
        if (!full)
            full = !paged_add(&paged, task->id);
        if (full && !paging.calculate_total)
            break;
    }
    if (paging.calculate_total)
        json_object_set_new(paged.response, "total", json_integer(total));
    if (total < json_integer_value(json_object_get(paged.response, "limit")))
        json_object_del(paged.response, "limit");
    return paged_finish(&paged, call);
}

/* Set */

static json_t *patch_set_error(const struct patch_error *error)
{
    return set_error("invalidPatch", error->message, error->path);
}

static bool patch_create_member(struct task *task, const char *key, const json_t *value,
                                struct patch_error *error)
{
    if (!is_property(key))
        return patch_failed(error, "", "Invalid key for object");
    if (strcmp(key, "@type") == 0)
        return true;
    if (strcmp(key, "domainId") == 0)
        return patch_id(&task->domain_id, value, key, error);
    if (strcmp(key, "due") == 0)
        return patch_failed(error, key, "Cannot modify server set property");
    if (strcmp(key, "status") == 0) {
        status_clear(&task->status);
        return patch_status(&task->status, value, key, false, error);
    }
    if (task->type == TASK_DNS_MANAGEMENT && strcmp(key, "updateRecords") == 0)
        return patch_names(&task->update_records, value, key, error);
    if (task->type == TASK_DNS_MANAGEMENT && strcmp(key, "onSuccessRenewCertificate") == 0) {
        task->renew_on_success = json_is_true(value);
        return json_is_boolean(value) ||
               patch_failed(error, key,
                            "Invalid value for boolean property (expected true or false)");
    }
    return patch_failed(error, key, "Invalid property");
}

static json_t *required(const char *const *properties)
{
    json_t *errors = json_array();
    for (; *properties; properties++)
        json_array_append_new(errors,
                              json_pack("{s:s, s:s}", "type", "Required", "property", *properties));
    json_t *error = api_error("validationFailed", NULL);
    json_object_set_new(error, "validationErrors", errors);
    return error;
}

static json_t *refuse_other_type(const char *type)
{
    if (strcmp(type, "DestroyAccount") == 0)
        return required((const char *const[]){"accountId", "accountName", "accountDomainId", NULL});
    char text[128];
    snprintf(text, sizeof text, "%s is an internal task type that cannot be created by clients",
             type);
    return api_error("forbidden", text);
}

static json_t *validate_new(const struct task *task)
{
    const char *missing[3];
    size_t count = 0;
    if (task->domain_id == ID_NONE)
        missing[count++] = "domainId";
    if (task->status.kind != STATUS_PENDING && !task->status.reason)
        missing[count++] = "failureReason";
    missing[count] = NULL;
    return count ? required(missing) : NULL;
}

static json_t *refuse_permission(const struct user *user, enum task_type type, const char *verb)
{
    char permission[64], text[128];
    snprintf(permission, sizeof permission, "task%s", task_type_name(type));
    if (user_may(user, permission))
        return NULL;
    snprintf(text, sizeof text, "Insufficient permissions to %s task of type %s", verb,
             task_type_name(type));
    return api_error("forbidden", text);
}

/* An error, or NULL and the id of the task that is there now. */
static json_t *create(const struct user *user, const json_t *value, uint64_t *id)
{
    const char *type = json_string_value(json_object_get(value, "@type"));
    struct task task = {.domain_id = ID_NONE,
                        .status = {.created_at = clock_now(), .due = clock_now()}};
    struct patch_error wrong;
    const char *key;
    json_t *member, *error = NULL;
    if (!type || (!task_type_parse(type, &task.type) && !other_type(type)))
        return set_error("invalidPatch", "Missing or invalid '@type' property in object", "");
    if (!task_type_parse(type, &task.type))
        return refuse_other_type(type);
    json_object_foreach((json_t *)value, key, member)
    {
        if (!error && !patch_create_member(&task, key, member, &wrong))
            error = patch_set_error(&wrong);
    }
    if (!error)
        error = validate_new(&task);
    if (!error)
        error = refuse_permission(user, task.type, "create");
    if (!error && !store_domain(task.domain_id)) {
        error = api_error("invalidForeignKey", NULL);
        json_object_set_new(
            error, "objectId",
            json_pack("{s:s, s:o}", "object", "Domain", "id", render_id(task.domain_id)));
    }
    if (error) {
        status_clear(&task.status);
        json_decref(task.update_records);
        return error;
    }
    task.poison = task.status.kind != STATUS_FAILED && task.status.due == 0;
    *id = task.id = id_next();
    store_task_add(&task);
    if (task.type == TASK_ACME_RENEWAL)
        store.counters.creates_answered++;
    return NULL;
}

static bool patch_update_member(struct task *task, const char *key, const json_t *value,
                                struct patch_error *error)
{
    struct status *status = &task->status;
    if (strcmp(key, "@type") == 0)
        return true;
    if (strcmp(key, "domainId") == 0)
        return patch_failed(error, key, "Cannot modify read-only property");
    if (strcmp(key, "due") == 0)
        return patch_failed(error, key, "Cannot modify server set property");
    if (strcmp(key, "status") == 0) {
        status_clear(status);
        return patch_status(status, value, key, false, error);
    }
    key += *key == '/'; /* a JSON pointer may begin with one */
    if (strncmp(key, "status/", 7) == 0)
        return patch_status_member(status, key + 7, value, key, false, error);
    if (task->type == TASK_DNS_MANAGEMENT && strcmp(key, "updateRecords") == 0)
        return patch_names(&task->update_records, value, key, error);
    if (task->type == TASK_DNS_MANAGEMENT && strcmp(key, "onSuccessRenewCertificate") == 0) {
        task->renew_on_success = json_is_true(value);
        return true;
    }
    return patch_failed(error, key, "Invalid property");
}

static bool status_equal(const struct status *a, const struct status *b)
{
    return a->kind == b->kind && a->created_at == b->created_at && a->due == b->due &&
           a->failed_at == b->failed_at && a->attempt == b->attempt &&
           strcmp(a->reason ? a->reason : "", b->reason ? b->reason : "") == 0;
}

/* Only a task whose status has changed is written; whatever else has is answered, and forgotten. */
static void write_changed(struct task *task, struct task *patched)
{
    if (status_equal(&task->status, &patched->status)) {
        status_clear(&patched->status);
        json_decref(patched->update_records);
        return;
    }
    json_decref(task->update_records);
    task->update_records = patched->update_records;
    task->renew_on_success = patched->renew_on_success;
    store_task_set_status(task, &patched->status);
}

static json_t *update(const struct user *user, uint64_t id, const json_t *value)
{
    struct task *task = store_task(id);
    struct patch_error wrong;
    const char *key;
    json_t *member;
    if (!task)
        return api_error("notFound", NULL);
    json_t *error = refuse_permission(user, task->type, "update");
    if (error)
        return error;
    if (runner_has_locked(task))
        return api_error("forbidden", "Task is currently being processed and cannot be updated");
    struct task patched = *task;
    patched.status.reason = text_copy(task->status.reason);
    json_incref(patched.update_records);
    json_object_foreach((json_t *)value, key, member)
    {
        if (!patch_update_member(&patched, key, member, &wrong)) {
            status_clear(&patched.status);
            json_decref(patched.update_records);
            return patch_set_error(&wrong);
        }
    }
    write_changed(task, &patched);
    return NULL;
}

static json_t *destroy(const struct user *user, uint64_t id)
{
    struct task *task = store_task(id);
    if (!task)
        return api_error("notFound", NULL);
    json_t *error = refuse_permission(user, task->type, "destroy");
    if (error)
        return error;
    /* Built without the enterprise feature, the older version takes every task for the removal of
     * an account. */
    if (store.version == VERSION_0_16_5)
        return api_error("forbidden", "Account recovery is not supported in this deployment");
    store_task_remove(task);
    return NULL;
}

static bool contains(const json_t *ids, uint64_t wanted)
{
    size_t i;
    json_t *value;
    uint64_t id;
    json_array_foreach(ids, i, value)
    {
        if (json_is_string(value) && id_parse(json_string_value(value), &id) && id == wanted)
            return true;
    }
    return false;
}

json_t *task_set(struct api_call *call)
{
    if (has_poison(json_object_get(call->args, "destroy")) ||
        updates_poison(json_object_get(call->args, "update")))
        return fail_by_poison(call);
    json_t *created = json_object(), *updated = json_object(), *destroyed = json_array();
    json_t *not_created = json_object(), *not_updated = json_object(),
           *not_destroyed = json_object();
    json_t *to_destroy = json_object_get(call->args, "destroy");
    const char *key;
    json_t *value, *error;
    uint64_t id;
    char text[ID_TEXT];
    size_t i;
    json_object_foreach(json_object_get(call->args, "create"), key, value)
    {
        if ((error = create(call->user, value, &id)))
            json_object_set_new(not_created, key, error);
        else
            json_object_set_new(created, key, json_pack("{s:o}", "id", render_id(id)));
    }
    /* Ids that are none, "#k" among them, are passed over in silence. */
    json_object_foreach(json_object_get(call->args, "update"), key, value)
    {
        if (!id_parse(key, &id))
            continue;
        id_format(id, text);
        error = contains(to_destroy, id) ? api_error("willDestroy", "ID will be destroyed.")
                                         : update(call->user, id, value);
        if (error)
            json_object_set_new(not_updated, text, error);
        else
            json_object_set_new(updated, text, json_null());
    }
    json_array_foreach(to_destroy, i, value)
    {
        if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
            continue;
        id_format(id, text);
        if ((error = destroy(call->user, id)))
            json_object_set_new(not_destroyed, text, error);
        else
            json_array_append_new(destroyed, json_string(text));
    }
    runner_dispatch();
    json_t *response = api_response(call);
    put_unless_empty(response, "created", created);
    put_unless_empty(response, "updated", updated);
    put_unless_empty(response, "destroyed", destroyed);
    put_unless_empty(response, "notCreated", not_created);
    put_unless_empty(response, "notUpdated", not_updated);
    put_unless_empty(response, "notDestroyed", not_destroyed);
    return response;
}
