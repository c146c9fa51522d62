#include "jmap/tidy/collapse_parts.h"

#include <string.h>

#include "policy/refusal.h"

static const char *next_id(const struct collapse *collapse)
{
    return collapse->tasks[collapse->next_at].id;
}

static void tell_removed(struct collapse *collapse, enum queue_action action, size_t i)
{
    collapse_tell(collapse, action, i, WALL_TIME_NEVER, collapse->survivor);
}

static json_t *superseded_by(const char *survivor)
{
    return json_pack("{s:{s:s, s:o}}", "status", "@type", "Failed", "failureReason",
                     json_sprintf(REFUSAL_SUPERSEDED "%s", survivor));
}

/* Adds some of the tasks with that fate to a list; how many. */
static size_t list_some(struct collapse *collapse, enum collapse_fate fate, json_t *ids)
{
    size_t listed = 0;

    for (size_t i = 0; i < collapse->task_count && listed < collapse->most; i++) {
        if (collapse->fates[i] != fate)
            continue;
        collapse->request.incomplete |=
            json_array_append_new(ids, json_string(collapse->tasks[i].id)) != 0;
        listed++;
    }
    return listed;
}

static void send_destroy(struct collapse *collapse, json_t *ids, enum stage stage)
{
    own_request_add(&collapse->request, "x:Task/set", json_pack("{s:O}", "destroy", ids), "w");
    collapse_send(collapse, stage);
}

static json_t *failed_updates(struct collapse *collapse, const json_t *ids, const char *survivor)
{
    json_t *updates = json_object(), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        collapse->request.incomplete |=
            json_object_set_new(updates, json_string_value(id), superseded_by(survivor)) != 0;
    }
    return updates;
}

static void send_updates(struct collapse *collapse, json_t *updates, enum stage stage)
{
    own_request_add(&collapse->request, "x:Task/set", json_pack("{s:o}", "update", updates), "w");
    collapse_send(collapse, stage);
}

/*
 * The server takes its locks on all of them before it writes any. The one that stays is among them,
 * with the due time that it has: that changes nothing, and tells whether it runs.
 */
static void send_yield(struct collapse *collapse, const json_t *ids)
{
    json_t *updates = failed_updates(collapse, ids, next_id(collapse));

    collapse->request.incomplete |=
        json_object_set_new(updates, next_id(collapse),
                            collapse_postponed(collapse->tasks[collapse->next_at].due, false)) != 0;
    send_updates(collapse, updates, STAGE_YIELD);
}

static void send_put_off(struct collapse *collapse)
{
    collapse->due =
        wall_time_add(collapse->order.now(collapse->order.user), COLLAPSE_PUT_OFF_SECONDS);
    collapse->next_waits = false;
    own_request_begin(&collapse->request);
    send_updates(collapse,
                 json_pack("{s:o}", next_id(collapse), collapse_postponed(collapse->due, false)),
                 STAGE_PUT_OFF);
}

void collapse_remove(struct collapse *collapse)
{
    json_t *ids = json_array();

    own_request_begin(&collapse->request);
    collapse->request.incomplete |= !ids;
    if (list_some(collapse, COLLAPSE_YIELDS, ids) > 0)
        send_yield(collapse, ids);
    else if (collapse->next_waits && collapse->running)
        send_put_off(collapse);
    else if (list_some(collapse, COLLAPSE_REMOVED, ids) == 0)
        collapse_end(collapse, NULL);
    else if (collapse->destroys)
        send_destroy(collapse, ids, STAGE_DESTROY);
    else
        send_updates(collapse, failed_updates(collapse, ids, collapse->survivor), STAGE_SUPERSEDE);
    json_decref(ids);
    if (collapse->stage == STAGE_END && !collapse->error && collapse->changed_meanwhile)
        collapse_start_again(collapse);
}

static void deal_with(struct collapse *collapse, size_t i)
{
    collapse->fates[i] = COLLAPSE_LEFT;
    collapse->removed++;
}

/* Goes through the tasks that were to be destroyed; true where the server refused any. */
static bool note_destroyed(struct collapse *collapse, const json_t *set)
{
    const json_t *refusals = json_object_get(set, "notDestroyed");
    json_t *destroyed = own_request_id_set(json_object_get(set, "destroyed"));
    bool refused = false;

    for (size_t i = 0; i < collapse->task_count; i++) {
        const char *id = collapse->tasks[i].id;
        const json_t *refusal = json_object_get(refusals, id);
        if (collapse->fates[i] != COLLAPSE_REMOVED)
            continue;
        if (refusal && !collapse_refused_as(refusal, "notFound")) {
            refused = true;
            continue;
        }
        if (!refusal && !json_object_get(destroyed, id))
            continue;
        if (!refusal)
            tell_removed(collapse, QUEUE_DESTROYED, i);
        deal_with(collapse, i);
    }
    json_decref(destroyed);
    return refused;
}

/* An answer that says nothing of what was asked must not be asked for again and again. */
static void send_more_removals(struct collapse *collapse, size_t before)
{
    if (collapse->removed == before && (collapse->stage != STAGE_DESTROY || collapse->destroys))
        collapse_start_again(collapse);
    else
        collapse_remove(collapse);
}

/* The permission to destroy is one of its own, and who lacks it gets no answer for each task. */
static bool may_not_destroy(const struct collapse *collapse)
{
    const char *error = own_request_error(&collapse->request, "w");

    return error && strcmp(error, "forbidden") == 0;
}

static void feed_destroy(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    bool forbidden = may_not_destroy(collapse);

    if (!set && !forbidden) {
        collapse_end_unchanged(collapse);
        return;
    }
    size_t before = collapse->removed;
    /* Whatever the reason is, a task that is not destroyed can still be written as Failed. */
    if (note_destroyed(collapse, set) || forbidden)
        collapse->destroys = false;
    send_more_removals(collapse, before);
}

/*
 * What became of the i-th task, which was to be written as Failed. Those that are running are left.
 * False where the credential may not.
 */
static bool note_failed(struct collapse *collapse, const json_t *set, size_t i)
{
    const char *id = collapse->tasks[i].id;
    const json_t *refusal = json_object_get(json_object_get(set, "notUpdated"), id);
    bool updated = json_object_get(json_object_get(set, "updated"), id) != NULL;
    bool yields = collapse->fates[i] == COLLAPSE_YIELDS;

    if (!updated && !refusal)
        return true;
    deal_with(collapse, i);
    if (updated && yields) {
        collapse_tell(collapse, QUEUE_SUPERSEDED, i, WALL_TIME_NEVER, next_id(collapse));
        collapse->request.incomplete |=
            json_array_append_new(collapse->yielded, json_string(id)) != 0;
    } else if (updated) {
        tell_removed(collapse, QUEUE_SUPERSEDED, i);
    } else if (own_request_is_running(refusal)) {
        collapse->running = yields ? id : collapse->running;
    } else if (collapse_refused_for_good(refusal)) {
        return false;
    } else if (!collapse_refused_as(refusal, "notFound")) {
        collapse->changed_meanwhile = true;
    }
    return true;
}

/* The same for all that have that fate. */
static bool note_all_failed(struct collapse *collapse, const json_t *set, enum collapse_fate fate)
{
    bool allowed = set != NULL;

    for (size_t i = 0; i < collapse->task_count && allowed; i++) {
        if (collapse->fates[i] == fate)
            allowed = note_failed(collapse, set, i);
    }
    return allowed;
}

static void feed_supersede(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    size_t before = collapse->removed;

    if (note_all_failed(collapse, set, COLLAPSE_REMOVED))
        send_more_removals(collapse, before);
    else
        collapse_end_unchanged(collapse);
}

/*
 * What has yielded may have been locked by the server between its reading the queue and our write.
 * It then runs although it reads Failed, unless it is gone by the time it is loaded.
 */
static void send_clear(struct collapse *collapse)
{
    own_request_begin(&collapse->request);
    send_destroy(collapse, collapse->yielded, STAGE_CLEAR);
    json_array_clear(collapse->yielded);
}

static void feed_yield(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const json_t *updated = json_object_get(set, "updated");
    size_t before = collapse->removed;

    collapse->next_waits = json_object_get(updated, next_id(collapse)) != NULL;
    if (!note_all_failed(collapse, set, COLLAPSE_YIELDS))
        collapse_end_unchanged(collapse);
    else if (json_array_size(collapse->yielded) > 0 && collapse->destroys)
        send_clear(collapse);
    else
        send_more_removals(collapse, before);
}

/* Where they are not destroyed they stay as Failed, and never run. */
static void feed_clear(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");

    if (json_object_get(set, "notDestroyed") || may_not_destroy(collapse))
        collapse->destroys = false;
    collapse_remove(collapse);
}

static void feed_put_off(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");

    if (!json_object_get(json_object_get(set, "updated"), next_id(collapse)))
        collapse->changed_meanwhile = true;
    else
        collapse_tell_moved(collapse, collapse->next_at);
    collapse_remove(collapse);
}

void collapse_feed_removal(struct collapse *collapse)
{
    switch (collapse->stage) {
    case STAGE_YIELD:
        feed_yield(collapse);
        break;
    case STAGE_CLEAR:
        feed_clear(collapse);
        break;
    case STAGE_PUT_OFF:
        feed_put_off(collapse);
        break;
    case STAGE_DESTROY:
        feed_destroy(collapse);
        break;
    case STAGE_SUPERSEDE:
        feed_supersede(collapse);
        break;
    default:
        break;
    }
}
