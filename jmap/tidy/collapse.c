#include "jmap/tidy/collapse_parts.h"

#include <stdlib.h>
#include <string.h>

#include "policy/decide.h"

/* How often a domain is read that keeps changing. */
#define ROUNDS_MAX 3

static void send_spent(struct collapse *collapse);
static void send_read(struct collapse *collapse);

void collapse_end(struct collapse *collapse, const char *error)
{
    bool was_last = collapse->stage == STAGE_SPENT;

    collapse->stage = STAGE_END;
    collapse->error = error;
    if (!error && !was_last && json_object_size(collapse->spent) > 0)
        send_spent(collapse);
}

/*
 * Where a write was answered with neither result nor refusal, that says nothing of the credential.
 */
void collapse_end_unchanged(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const char *error = own_request_error(&collapse->request, "w");

    collapse->forbidden = set || (error && strcmp(error, "forbidden") == 0);
    collapse_end(collapse, collapse->forbidden ? "the credential may not change tasks"
                                               : "the server did not say what became of its tasks");
}

void collapse_send(struct collapse *collapse, enum stage stage)
{
    collapse->stage = stage;
    if (!own_request_finish(&collapse->request))
        collapse_end(collapse, "out of memory");
}

void collapse_tell(struct collapse *collapse, enum queue_action action, size_t i, wall_time due,
                   const char *survivor)
{
    struct queue_change change = queue_change_of(action, &collapse->tasks[i], collapse->domain_id,
                                                 collapse->order.domain_name);

    change.due = due;
    change.survivor = survivor;
    collapse->order.changed(collapse->order.user, &change);
}

void collapse_tell_moved(struct collapse *collapse, size_t i)
{
    collapse_tell(collapse, queue_action_of_move(&collapse->tasks[i], collapse->due), i,
                  collapse->due, collapse->tasks[i].id);
}

/* Reading. */

static void send_read(struct collapse *collapse)
{
    size_t count = json_array_size(collapse->ids), i = 0;

    own_request_begin(&collapse->request);
    for (unsigned call = 0; i < count; call++) {
        json_t *some = json_array();
        char call_id[] = {(char)('a' + call), '\0'};
        for (size_t n = 0; n < collapse->most && i < count; n++, i++)
            collapse->request.incomplete |=
                json_array_append(some, json_array_get(collapse->ids, i)) != 0;
        own_request_add(&collapse->request, "x:Task/get", json_pack("{s:o}", "ids", some), call_id);
    }
    collapse_send(collapse, STAGE_READ);
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
    wall_time until =
        refused_until(collapse->tasks, collapse->task_count, order->blind_hold_seconds, now);
    struct collapse_plan plan = collapse_plan(
        &(struct collapse_facts){.now = now,
                                 .refused_until = wall_time_later(order->refused_until, until),
                                 .renewal_due = order->renewal_due,
                                 .expires = order->expires,
                                 .not_before = order->not_before,
                                 .upkeep = order->upkeep,
                                 .followed = order->followed,
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
json_t *collapse_postponed(wall_time due, bool restart)
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
                              collapse_postponed(collapse->due, is_limited(collapse))),
                    "w");
    own_request_add(&collapse->request, "x:Task/get",
                    json_pack("{s:[s]}", "ids", collapse->survivor), "v");
    collapse_send(collapse, STAGE_WRITE);
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
        collapse_remove(collapse);
    }
}

void collapse_start_again(struct collapse *collapse)
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

bool collapse_refused_as(const json_t *refusal, const char *type)
{
    const char *own = own_request_string(refusal, "type");

    return own && strcmp(own, type) == 0;
}

bool collapse_refused_for_good(const json_t *refusal)
{
    return collapse_refused_as(refusal, "forbidden") && !own_request_is_running(refusal);
}

static void feed_write(struct collapse *collapse)
{
    const json_t *set = own_request_answer(&collapse->request, "w");
    const json_t *refusal = json_object_get(json_object_get(set, "notUpdated"), collapse->survivor);

    if (!set || collapse_refused_for_good(refusal)) {
        collapse_end_unchanged(collapse);
        return;
    }
    if (own_request_is_running(refusal) && collapse->order.upkeep) {
        collapse_end(collapse, NULL); /* the next look finds what has become of it */
        return;
    }
    if (!stands_as_written(collapse)) {
        collapse_start_again(collapse);
        return;
    }
    collapse_tell_moved(collapse, collapse->survivor_at);
    collapse->fates[collapse->survivor_at] = COLLAPSE_KEPT;
    collapse_remove(collapse);
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
    collapse_send(collapse, STAGE_SPENT);
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
    /* With them goes the one that stays. */
    collapse->most = OWN_REQUEST_IDS;
    if (order->most > 0 && order->most <= OWN_REQUEST_IDS)
        collapse->most = order->most > 1 ? order->most - 1 : 1;
    size_t tasks_max = collapse->most * OWN_REQUEST_CALLS;
    size_t count = order->task_count < tasks_max ? order->task_count : tasks_max;

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
    for (size_t i = 0; i < order->spent_count && i < collapse->most; i++) {
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
    case STAGE_CLEAR:
    case STAGE_PUT_OFF:
    case STAGE_DESTROY:
    case STAGE_SUPERSEDE:
        collapse_feed_removal(collapse);
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
