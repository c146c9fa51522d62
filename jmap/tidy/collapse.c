#include "jmap/tidy/collapse.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/tidy/queue_change.h"
#include "jmap/wire/object_id.h"
#include "jmap/wire/own_request.h"
#include "policy/decide.h"

/* How often a domain is read that keeps changing, and how many of its tasks at once. */
#define ROUNDS_MAX 3
#define TASKS_MAX ((size_t)OWN_REQUEST_IDS * OWN_REQUEST_CALLS)

enum stage {
    STAGE_READ,
    STAGE_WRITE,
    STAGE_YIELD,     /* some of the due ones that are to make way for the next */
    STAGE_CLEAR,     /* those of them that did */
    STAGE_PUT_OFF,   /* the next itself, since another runs already */
    STAGE_DESTROY,   /* some of the rest */
    STAGE_SUPERSEDE, /* those of them that the server does not destroy */
    STAGE_SPENT,     /* Failed ones that say nothing new */
    STAGE_END,
};

struct collapse {
    struct collapse_order order;
    char domain_id[OBJECT_ID_SIZE];
    char released[OBJECT_ID_SIZE];
    json_t *ids; /* array: the tasks that are known */
    struct own_request request;
    json_t *read; /* the response that the tasks were read from; owns their strings */
    struct renewal_task *tasks;
    enum collapse_fate *fates; /* set to COLLAPSE_LEFT as each is dealt with */
    size_t task_count;
    const char *survivor; /* of those that wait; where none does, of those that are due */
    wall_time due;        /* the survivor's */
    size_t survivor_at;   /* task_count where none waits */
    size_t next_at;       /* the due one that stays, or task_count */
    bool next_waits;      /* it was seen not to run */
    const char *running;  /* another that does, and orders first; or NULL */
    json_t *yielded;      /* array: written as Failed, to be destroyed */
    json_t *spent;        /* object: why the Failed ones did that are to go, by id */
    bool keeps_failed;    /* the server destroys none of these */
    enum stage stage;
    unsigned rounds;
    bool changed_meanwhile;
    size_t removed; /* how many were dealt with */
    bool destroys;  /* until the server has refused it */
    bool forbidden;
    const char *error;
};

static void send_spent(struct collapse *collapse);
static void send_read(struct collapse *collapse);
static void send_removals(struct collapse *collapse);

static void collapse_end(struct collapse *collapse, const char *error)
{
    bool was_last = collapse->stage == STAGE_SPENT;

    collapse->stage = STAGE_END;
    collapse->error = error;
    if (!error && !was_last && json_object_size(collapse->spent) > 0)
        send_spent(collapse);
}

/* Where a write was answered with neither result nor refusal, that says nothing of the credential.
 */
static void end_unchanged(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const char *error = own_request_error(&collapse->request, "w");

    collapse->forbidden = set || (error && strcmp(error, "forbidden") == 0);
    collapse_end(collapse, collapse->forbidden ? "the credential may not change tasks"
                                               : "the server did not say what became of its tasks");
}

static void send(struct collapse *collapse, enum stage stage)
{
    collapse->stage = stage;
    if (!own_request_finish(&collapse->request))
        collapse_end(collapse, "out of memory");
}

static void collapse_tell(struct collapse *collapse, enum queue_action action, size_t i,
                          wall_time due, const char *survivor)
{
    struct queue_change change = queue_change_of(action, &collapse->tasks[i], collapse->domain_id,
                                                 collapse->order.domain_name);

    change.due = due;
    change.survivor = survivor;
    collapse->order.changed(collapse->order.user, &change);
}

static void tell_removed(struct collapse *collapse, enum queue_action action, size_t i)
{
    collapse_tell(collapse, action, i, WALL_TIME_NEVER, collapse->survivor);
}

static void tell_moved(struct collapse *collapse, size_t i)
{
    collapse_tell(collapse, queue_action_of_move(&collapse->tasks[i], collapse->due), i,
                  collapse->due, collapse->tasks[i].id);
}

static const char *next_id(const struct collapse *collapse)
{
    return collapse->tasks[collapse->next_at].id;
}

/* Reading. */

static void send_read(struct collapse *collapse)
{
    size_t count = json_array_size(collapse->ids), i = 0;

    own_request_begin(&collapse->request);
    for (unsigned call = 0; i < count; call++) {
        json_t *some = json_array();
        char call_id[] = {(char)('a' + call), '\0'};
        for (size_t n = 0; n < OWN_REQUEST_IDS && i < count; n++, i++)
            collapse->request.incomplete |=
                json_array_append(some, json_array_get(collapse->ids, i)) != 0;
        own_request_add(&collapse->request, "x:Task/get", json_pack("{s:o}", "ids", some), call_id);
    }
    send(collapse, STAGE_READ);
}

static void collapse_release(const struct collapse *collapse, struct renewal_task *task)
{
    if (!renewal_task_rate_limited(task) || strcmp(task->id, collapse->released) != 0)
        return;
    task->state = TASK_PENDING;
    task->failure_reason = NULL;
}

static void read_tasks_of(struct collapse *collapse, const json_t *list)
{
    wall_time now = collapse->order.now(collapse->order.user);
    size_t i;
    json_t *object;

    json_array_foreach(list, i, object)
    {
        struct renewal_task task;
        const char *domain_id;
        if (own_request_task(object, now, &task, &domain_id) &&
            strcmp(domain_id, collapse->domain_id) == 0 &&
            collapse->task_count < json_array_size(collapse->ids)) {
            collapse_release(collapse, &task);
            collapse->tasks[collapse->task_count++] = task;
        }
    }
}

static struct collapse_plan plan(struct collapse *collapse)
{
    const struct collapse_order *order = &collapse->order;
    wall_time now = order->now(order->user);
    wall_time until = refused_until(collapse->tasks, collapse->task_count, (struct issue_limit){0},
                                    NULL, 0, order->blind_hold_seconds, now);
    struct collapse_plan plan = collapse_plan(
        &(struct collapse_facts){.now = now,
                                 .refused_until = wall_time_later(order->refused_until, until),
                                 .renewal_due = order->renewal_due,
                                 .expires = order->expires,
                                 .not_before = order->not_before,
                                 .upkeep = order->upkeep,
                                 .stuck_after_seconds = order->stuck_after_seconds,
                                 .tasks = collapse->tasks,
                                 .task_count = collapse->task_count},
        collapse->fates);

    size_t stays = plan.survivor < collapse->task_count ? plan.survivor : plan.next;
    collapse->survivor_at = plan.survivor;
    collapse->survivor = stays < collapse->task_count ? collapse->tasks[stays].id : NULL;
    collapse->next_at = plan.next;
    collapse->next_waits = false;
    collapse->running = NULL;
    collapse->due = plan.due;
    return plan;
}

/* Writing the one that stays. */

static bool is_limited(const struct collapse *collapse)
{
    return renewal_task_rate_limited(&collapse->tasks[collapse->survivor_at]);
}

/*
 * Not the status whole: a task that is in Retry no more then refuses to have its attempts set, and
 * is read again.
 */
static json_t *postponed(wall_time due, bool restart)
{
    char text[WALL_TIME_TEXT_SIZE];

    wall_time_format(due, text);
    return restart ? json_pack("{s:s, s:i}", "status/due", text, "status/attemptNumber", 0)
                   : json_pack("{s:s}", "status/due", text);
}

static void send_write(struct collapse *collapse)
{
    own_request_begin(&collapse->request);
    own_request_add(&collapse->request, "x:Task/set",
                    json_pack("{s:{s:o}}", "update", collapse->survivor,
                              postponed(collapse->due, is_limited(collapse))),
                    "w");
    own_request_add(&collapse->request, "x:Task/get",
                    json_pack("{s:[s]}", "ids", collapse->survivor), "v");
    send(collapse, STAGE_WRITE);
}

static void feed_read(struct collapse *collapse)
{
    json_decref(collapse->read);
    collapse->read = json_incref(collapse->request.response);
    collapse->task_count = 0;
    for (char call_id[] = "a"; call_id[0] < 'a' + OWN_REQUEST_CALLS; call_id[0]++)
        read_tasks_of(collapse,
                      json_object_get(own_request_answer(&collapse->request, call_id), "list"));

    struct collapse_plan made = plan(collapse);
    /* What a sweep has to make it makes before; it has run since, or was removed. */
    if (made.changes == 0 || made.makes) {
        collapse_end(collapse, NULL);
    } else if (made.survivor < collapse->task_count &&
               collapse->fates[made.survivor] == COLLAPSE_REWRITTEN) {
        send_write(collapse);
    } else {
        send_removals(collapse);
    }
}

/* The domain is not what the plan was made for. */
static void start_again(struct collapse *collapse)
{
    collapse->changed_meanwhile = false;
    if (++collapse->rounds >= ROUNDS_MAX)
        collapse_end(collapse, NULL);
    else
        send_read(collapse);
}

static bool stands_as_written(const struct collapse *collapse)
{
    const json_t *list = json_object_get(own_request_answer(&collapse->request, "v"), "list");
    struct renewal_task task;
    const char *domain_id;

    return own_request_task(json_array_get(list, 0), WALL_TIME_NEVER, &task, &domain_id) &&
           strcmp(task.id, collapse->survivor) == 0 && wall_time_equal(task.due, collapse->due) &&
           task.state == collapse->tasks[collapse->survivor_at].state &&
           (task.restarted || !is_limited(collapse));
}

static bool is_type(const json_t *error, const char *type)
{
    const char *own = own_request_string(error, "type");

    return own && strcmp(own, type) == 0;
}

/* True where the credential may not do it, which no second look would change. */
static bool is_forbidden(const json_t *error)
{
    return is_type(error, "forbidden") && !own_request_is_running(error);
}

static void feed_write(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const json_t *refusal = json_object_get(json_object_get(set, "notUpdated"), collapse->survivor);

    if (!set || is_forbidden(refusal)) {
        end_unchanged(collapse);
        return;
    }
    if (own_request_is_running(refusal) && collapse->order.upkeep) {
        collapse_end(collapse, NULL); /* the next look finds what has become of it */
        return;
    }
    if (!stands_as_written(collapse)) {
        start_again(collapse);
        return;
    }
    tell_moved(collapse, collapse->survivor_at);
    collapse->fates[collapse->survivor_at] = COLLAPSE_KEPT;
    send_removals(collapse);
}

/* Removing the others. */

static json_t *superseded_by(const char *survivor)
{
    return json_pack("{s:{s:s, s:o}}", "status", "@type", "Failed", "failureReason",
                     json_sprintf(REFUSAL_SUPERSEDED "%s", survivor));
}

/* Adds some of the tasks with that fate to a list; how many. */
static size_t list_some(struct collapse *collapse, enum collapse_fate fate, json_t *ids)
{
    size_t listed = 0;

    for (size_t i = 0; i < collapse->task_count && listed < OWN_REQUEST_IDS; i++) {
        if (collapse->fates[i] != fate)
            continue;
        collapse->request.incomplete |=
            json_array_append_new(ids, json_string(collapse->tasks[i].id)) != 0;
        listed++;
    }
    return listed;
}

static void send_destroy(struct collapse *collapse, json_t *ids)
{
    own_request_add(&collapse->request, "x:Task/set", json_pack("{s:O}", "destroy", ids), "w");
    send(collapse, STAGE_DESTROY);
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
    send(collapse, stage);
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
                            postponed(collapse->tasks[collapse->next_at].due, false)) != 0;
    send_updates(collapse, updates, STAGE_YIELD);
}

static void send_put_off(struct collapse *collapse)
{
    collapse->due =
        wall_time_add(collapse->order.now(collapse->order.user), COLLAPSE_PUT_OFF_SECONDS);
    collapse->next_waits = false;
    own_request_begin(&collapse->request);
    send_updates(collapse, json_pack("{s:o}", next_id(collapse), postponed(collapse->due, false)),
                 STAGE_PUT_OFF);
}

static void send_removals(struct collapse *collapse)
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
        send_destroy(collapse, ids);
    else
        send_updates(collapse, failed_updates(collapse, ids, collapse->survivor), STAGE_SUPERSEDE);
    json_decref(ids);
    if (collapse->stage == STAGE_END && !collapse->error && collapse->changed_meanwhile)
        start_again(collapse);
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
        if (refusal && !is_type(refusal, "notFound")) {
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
        start_again(collapse);
    else
        send_removals(collapse);
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
        end_unchanged(collapse);
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
    } else if (is_forbidden(refusal)) {
        return false;
    } else if (!is_type(refusal, "notFound")) {
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
        end_unchanged(collapse);
}

/*
 * What has yielded may have been locked by the server between its reading the queue and our write.
 * It then runs although it reads Failed, unless it is gone by the time it is loaded.
 */
static void send_clear(struct collapse *collapse)
{
    own_request_begin(&collapse->request);
    send_destroy(collapse, collapse->yielded);
    collapse->stage = collapse->stage == STAGE_END ? STAGE_END : STAGE_CLEAR;
    json_array_clear(collapse->yielded);
}

static void feed_yield(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const json_t *updated = json_object_get(set, "updated");
    size_t before = collapse->removed;

    collapse->next_waits = json_object_get(updated, next_id(collapse)) != NULL;
    if (!note_all_failed(collapse, set, COLLAPSE_YIELDS))
        end_unchanged(collapse);
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
    send_removals(collapse);
}

static void feed_put_off(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");

    if (!json_object_get(json_object_get(set, "updated"), next_id(collapse)))
        collapse->changed_meanwhile = true;
    else
        tell_moved(collapse, collapse->next_at);
    send_removals(collapse);
}

/* Failed ones that say nothing new. */

static void send_spent(struct collapse *collapse)
{
    json_t *ids = json_array(), *reason;
    const char *id;

    own_request_begin(&collapse->request);
    collapse->request.incomplete |= !ids;
    json_object_foreach(collapse->spent, id, reason)
    {
        collapse->request.incomplete |= json_array_append_new(ids, json_string(id)) != 0;
    }
    own_request_add(&collapse->request, "x:Task/set", json_pack("{s:o}", "destroy", ids), "w");
    send(collapse, STAGE_SPENT);
}

static void feed_spent(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    json_t *destroyed = own_request_id_set(json_object_get(set, "destroyed")), *reason;
    const char *id;

    collapse->keeps_failed = !json_object_get(set, "destroyed") &&
                             json_object_size(json_object_get(set, "notDestroyed")) > 0;
    json_object_foreach(collapse->spent, id, reason)
    {
        const struct renewal_task task = {
            .id = id, .state = TASK_FAILED, .failure_reason = json_string_value(reason)};
        const struct queue_change change =
            queue_change_of(QUEUE_CLEARED, &task, collapse->domain_id, collapse->order.domain_name);

        if (json_object_get(destroyed, id))
            collapse->order.changed(collapse->order.user, &change);
    }
    json_decref(destroyed);
    collapse_end(collapse, NULL);
}

/* The driver's side. */

static bool copy_order(struct collapse *collapse, const struct collapse_order *order)
{
    size_t count = order->task_count < TASKS_MAX ? order->task_count : TASKS_MAX;

    collapse->order = *order;
    strncpy(collapse->domain_id, order->domain_id, OBJECT_ID_SIZE - 1);
    if (order->released)
        strncpy(collapse->released, order->released, OBJECT_ID_SIZE - 1);
    collapse->order.domain_id = collapse->domain_id;
    collapse->order.task_ids = NULL;
    collapse->tasks = calloc(count + 1, sizeof *collapse->tasks);
    collapse->fates = calloc(count + 1, sizeof *collapse->fates);
    collapse->ids = json_array();
    collapse->yielded = json_array();
    collapse->spent = json_object();
    if (!collapse->tasks || !collapse->fates || !collapse->ids || !collapse->yielded ||
        !collapse->spent)
        return false;
    for (size_t i = 0; i < order->spent_count && i < OWN_REQUEST_IDS; i++) {
        if (json_object_set_new(collapse->spent, order->spent[i].id,
                                json_string(order->spent[i].failure_reason)) != 0)
            return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (json_array_append_new(collapse->ids, json_string(order->task_ids[i])) != 0)
            return false;
    }
    return true;
}

struct collapse *collapse_create(const struct collapse_order *order)
{
    struct collapse *collapse = calloc(1, sizeof *collapse);
    if (!collapse)
        return NULL;

    collapse->destroys = true;
    if (!copy_order(collapse, order)) {
        collapse_destroy(collapse);
        return NULL;
    }
    if (json_array_size(collapse->ids) > 0)
        send_read(collapse);
    else
        collapse_end(collapse, NULL);
    return collapse;
}

void collapse_destroy(struct collapse *collapse)
{
    if (!collapse)
        return;
    own_request_clear(&collapse->request);
    json_decref(collapse->ids);
    json_decref(collapse->yielded);
    json_decref(collapse->spent);
    json_decref(collapse->read);
    free(collapse->tasks);
    free(collapse->fates);
    free(collapse);
}

const char *collapse_body(const struct collapse *collapse, size_t *len)
{
    *len = collapse->request.len;
    return collapse->stage == STAGE_END ? NULL : collapse->request.body;
}

void collapse_feed(struct collapse *collapse, unsigned status, const char *body, size_t len)
{
    const char *error = own_request_read(&collapse->request, status, body, len);

    if (error) {
        collapse_end(collapse, error);
        return;
    }
    switch (collapse->stage) {
    case STAGE_READ:
        feed_read(collapse);
        break;
    case STAGE_WRITE:
        feed_write(collapse);
        break;
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
    case STAGE_SPENT:
        feed_spent(collapse);
        break;
    case STAGE_END:
        break;
    }
}

const char *collapse_error(const struct collapse *collapse)
{
    return collapse->error;
}

bool collapse_keeps_failed(const struct collapse *collapse)
{
    return collapse->keeps_failed;
}

bool collapse_is_forbidden(const struct collapse *collapse)
{
    return collapse->forbidden;
}
