#include "jmap/queue/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/queue/collapse.h"
#include "jmap/create/domain_lock.h"
#include "jmap/create/flight.h"
#include "jmap/facts/inventory.h"
#include "jmap/facts/lookup.h"
#include "jmap/queue/queue_change.h"
#include "jmap/facts/sighting.h"
#include "policy/collapse.h"

enum {
    INTERRUPTIONS_MAX = 3, /* how often a domain is left because the server had enough */
};

enum stage {
    STAGE_LIST,
    STAGE_OVERVIEW, /* of some domains, to see which need a change */
    STAGE_FLIGHT,
    STAGE_LEASE,
    STAGE_LOOKUP,
    STAGE_COLLAPSE,
    STAGE_SCHEDULE,
    STAGE_CLEAR,
    STAGE_END,
};

struct sweep {
    const struct sweep_context *context;
    struct inventory inventory;
    size_t next; /* the first of the inventory's domains that was not looked over */
    struct lookup_domain some[LOOKUP_AT_A_TIME];
    const struct inventory_domain *listed[LOOKUP_AT_A_TIME]; /* first the same, then those of
                                                                 them that need a change */
    size_t count, at;                                        /* of these, and the one at hand */
    const struct inventory_domain *domain;                   /* the one at hand */
    unsigned interruptions;                                  /* of that one */
    struct flight_place place;
    struct lease *lease; /* NULL: not taken, or there is no lock */
    struct lookup_domain found;
    struct lookup *lookup;
    struct collapse *collapse;
    struct own_request request;
    size_t cleared, clearing; /* tasks of the inventory that were gone through */

    enum stage stage;
    enum sweep_step step;
    const char *error;
};

static enum sweep_step look_over(struct sweep *sweep);
static enum sweep_step change_one(struct sweep *sweep);

static enum sweep_step enter(struct sweep *sweep, enum stage stage, enum sweep_step step)
{
    sweep->stage = stage;
    return sweep->step = step;
}

static enum sweep_step end(struct sweep *sweep, const char *error)
{
    sweep->error = error;
    return enter(sweep, STAGE_END, SWEEP_DONE);
}

static wall_time now(const struct sweep *sweep)
{
    return sweep->context->now(sweep->context->user);
}

static void tell(struct sweep *sweep, const struct queue_change *change)
{
    sweep->context->changed(sweep->context->user, change);
}

/* Which domains need a look. */

static const struct inventory_task *tasks_of(const struct sweep *sweep)
{
    return sweep->inventory.tasks + sweep->domain->first;
}

static bool has_live_task(const struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->domain->count; i++) {
        if (tasks_of(sweep)[i].task.state != TASK_FAILED)
            return true;
    }
    return false;
}

/* By what was listed; -1 when memory ran out. */
static int needs_collapse(const struct sweep *sweep)
{
    size_t count = sweep->domain->count;
    struct renewal_task *tasks = calloc(count + 1, sizeof *tasks);
    int needed = -1;

    if (tasks) {
        for (size_t i = 0; i < count; i++)
            tasks[i] = tasks_of(sweep)[i].task;
        wall_time until = refused_until(tasks, count, (struct issue_limit){0}, NULL, 0,
                                        sweep->context->settings->blind_hold_seconds, now(sweep));
        needed = collapse_plan(&(struct collapse_facts){.now = now(sweep),
                                                        .refused_until = until,
                                                        .renewal_due = WALL_TIME_NEVER,
                                                        .tasks = tasks,
                                                        .task_count = count},
                               NULL)
                     .changes > 0;
    }
    free(tasks);
    return needed;
}

static bool is_fresh(const struct sweep *sweep, const struct lookup_domain *found)
{
    return wall_time_before(now(sweep), found->renewal_due);
}

/* By what was looked up as well: it has tasks that may be too many, or has lost its renewal. */
static bool needs_change(const struct sweep *sweep, const struct lookup_domain *found)
{
    bool live = has_live_task(sweep);

    for (size_t i = 0; i < found->task_count; i++)
        live |= found->tasks[i].state != TASK_FAILED;
    return found->renewable && (live || is_fresh(sweep, found));
}

/* What creates to come, and the next look at the domain, then need not search for. */

static void note_task(const struct sweep *sweep, const char *id)
{
    if (sweep->context->remembers)
        memory_note_task(sweep->context->memory, sweep->domain->id, id);
}

/* H, by all that was looked up. */
static wall_time refusal_of(const struct sweep *sweep, const struct lookup_domain *found)
{
    const struct hold_settings *settings = sweep->context->settings;

    return refused_until(found->tasks, found->task_count, settings->issue_limit, found->issued,
                         found->issued_count, settings->blind_hold_seconds, now(sweep));
}

/* By one certificate alone the next look would not see that the CA has had enough. */
static void forget_if_refused(const struct sweep *sweep, const struct lookup_domain *found)
{
    if (!wall_time_equal(refusal_of(sweep, found), WALL_TIME_NEVER))
        lookup_forget_certificate(sweep->context->memory, found);
}

static void note_listed_tasks(struct sweep *sweep)
{
    for (size_t d = 0; d < sweep->inventory.domain_count; d++) {
        size_t noted = 0;
        sweep->domain = &sweep->inventory.domains[d];
        for (size_t i = 0; i < sweep->domain->count && noted < MEMORY_TASKS; i++) {
            if (!sweep->domain->automatic || tasks_of(sweep)[i].task.state == TASK_FAILED)
                continue;
            note_task(sweep, tasks_of(sweep)[i].id);
            noted++;
        }
    }
}

/* One domain. */

static void leave(struct sweep *sweep)
{
    static const struct flight_result nothing = {.settled = false};

    if (sweep->lease)
        sweep->context->lock->give(sweep->context->lock->user, sweep->lease, sweep->domain->id);
    sweep->lease = NULL;
    flight_leave(sweep->context->flights, &sweep->place, &nothing);
    collapse_destroy(sweep->collapse);
    lookup_destroy(sweep->lookup);
    sweep->collapse = NULL;
    sweep->lookup = NULL;
}

static enum sweep_step next(struct sweep *sweep, const char *error)
{
    leave(sweep);
    sweep->at++;
    sweep->interruptions = 0;
    return error ? end(sweep, error) : change_one(sweep);
}

/* The list has been read, to its end. */
static struct lookup *new_lookup(const struct sweep *sweep, struct lookup_domain *domains,
                                 size_t count)
{
    struct lookup *lookup = lookup_create(domains, count, sweep->context->memory, now(sweep));

    if (lookup)
        lookup_spare_tasks(lookup);
    return lookup;
}

static enum sweep_step start_lookup(struct sweep *sweep)
{
    sweep->found = (struct lookup_domain){.id = sweep->domain->id, .asked = now(sweep)};
    sweep->lookup = new_lookup(sweep, &sweep->found, 1);
    return sweep->lookup ? enter(sweep, STAGE_LOOKUP, SWEEP_SEND) : end(sweep, "out of memory");
}

static enum lease_state lease_state(const struct sweep *sweep)
{
    const struct domain_lock *lock = sweep->context->lock;

    return sweep->lease ? lock->state(lock->user, sweep->lease) : LEASE_ALONE;
}

static enum sweep_step take_lease(struct sweep *sweep)
{
    const struct sweep_context *context = sweep->context;

    if (context->lock)
        sweep->lease = context->lock->take(context->lock->user, sweep->domain->id, context->wake,
                                           context->user);
    return sweep->lease ? enter(sweep, STAGE_LEASE, SWEEP_WAIT) : start_lookup(sweep);
}

static enum sweep_step take_flight(struct sweep *sweep)
{
    sweep->place =
        (struct flight_place){.wake = sweep->context->wake, .user = sweep->context->user};
    switch (flight_join(sweep->context->flights, sweep->domain->id, &sweep->place)) {
    case FLIGHT_LEADING:
        return take_lease(sweep);
    case FLIGHT_WAITING:
        return enter(sweep, STAGE_FLIGHT, SWEEP_WAIT);
    case FLIGHT_NO_MEMORY:
        break;
    }
    return end(sweep, "out of memory");
}

enum sweep_step sweep_woken(struct sweep *sweep)
{
    if (sweep->stage != STAGE_LEASE)
        return take_flight(sweep);
    return lease_state(sweep) == LEASE_WAITING ? sweep->step : start_lookup(sweep);
}

static void collapsed(void *user, const struct collapse_change *change)
{
    struct sweep *sweep = user;
    const struct queue_change told =
        queue_change_of_collapse(change, sweep->found.id, sweep->found.name);

    if (change->survivor)
        note_task(sweep, change->survivor);
    tell(sweep, &told);
}

static wall_time collapse_now(void *user)
{
    return now(user);
}

static bool is_listed(const struct sweep *sweep, const char *id)
{
    return inventory_task_of(&sweep->inventory, sweep->domain, id) != NULL;
}

/* The live tasks of the list, and what the look-up has found beside them; how many. */
static size_t list_ids(const struct sweep *sweep, const char **ids)
{
    size_t count = 0;

    for (size_t i = 0; i < sweep->domain->count; i++) {
        if (tasks_of(sweep)[i].task.state != TASK_FAILED)
            ids[count++] = tasks_of(sweep)[i].id;
    }
    for (size_t i = 0; i < sweep->found.task_count; i++) {
        const struct renewal_task *task = &sweep->found.tasks[i];
        if (task->state != TASK_FAILED && !is_listed(sweep, task->id))
            ids[count++] = task->id;
    }
    return count;
}

static enum sweep_step start_collapse(struct sweep *sweep, const char **ids, size_t count)
{
    const struct lookup_domain *found = &sweep->found;

    sweep->collapse = collapse_create(&(struct collapse_order){
        .domain_id = found->id,
        .task_ids = ids,
        .task_count = count,
        .refused_until = refusal_of(sweep, found),
        .renewal_due = found->renewal_due,
        .blind_hold_seconds = sweep->context->settings->blind_hold_seconds,
        .dry_run = sweep->context->dry_run,
        .now = collapse_now,
        .changed = collapsed,
        .user = sweep,
    });
    bool sends = sweep->collapse && collapse_body(sweep->collapse, &count);
    return sends ? enter(sweep, STAGE_COLLAPSE, SWEEP_SEND) : end(sweep, "out of memory");
}

/* The future renewal that a domain has lost. */

static void tell_scheduled(struct sweep *sweep, const char *id)
{
    tell(sweep, &(struct queue_change){.domain_id = sweep->found.id,
                                       .domain_name = sweep->found.name,
                                       .action = "scheduled",
                                       .id = id,
                                       .due = sweep->found.renewal_due,
                                       .old_due = WALL_TIME_NEVER});
}

static enum sweep_step schedule(struct sweep *sweep)
{
    char due[WALL_TIME_TEXT_SIZE];

    if (sweep->context->dry_run) {
        tell_scheduled(sweep, NULL);
        return next(sweep, NULL);
    }
    wall_time_format(sweep->found.renewal_due, due);
    own_request_begin(&sweep->request);
    own_request_add(&sweep->request, "x:Task/set",
                    json_pack("{s:{s:{s:s, s:s, s:{s:s, s:s}}}}", "create", "r", "@type",
                              "AcmeRenewal", "domainId", sweep->found.id, "status", "@type",
                              "Pending", "due", due),
                    "s");
    if (!own_request_finish(&sweep->request))
        return end(sweep, "out of memory");
    return enter(sweep, STAGE_SCHEDULE, SWEEP_SEND);
}

static void note_scheduled(const struct sweep *sweep, const char *id)
{
    struct sightings *sightings = sweep->context->sightings;
    char name[SIGHTING_NAME_SIZE];
    struct sighting sighting;

    if (!sightings || !sightings_find(sightings, sweep->found.id, &sighting, name))
        return;
    sighting_set_task(&sighting, id, sweep->found.renewal_due);
    sightings_store(sightings, &sighting);
}

static enum sweep_step feed_schedule(struct sweep *sweep, unsigned status, const char *body,
                                     size_t len)
{
    const char *error = own_request_read(&sweep->request, status, body, len);
    const json_t *created = json_object_get(own_request_answer(&sweep->request, "s"), "created");
    const char *id = own_request_string(json_object_get(created, "r"), "id");

    if (id) {
        tell_scheduled(sweep, id);
        note_scheduled(sweep, id);
        note_task(sweep, id);
    } else if (!error) {
        error = "the credential may not make tasks";
    }
    return next(sweep, error);
}

/* What was looked up, and what is about to be left of its tasks: one. */
static void note_sighting(const struct sweep *sweep, const struct lookup_domain *found)
{
    struct sightings *sightings = sweep->context->sightings;

    if (!sightings)
        return;
    if (!found->renewable) {
        sightings_forget(sightings, found->id);
        return;
    }
    struct sighting sighting = sighting_of(found, refusal_of(sweep, found), now(sweep));
    for (size_t i = 0; i < sweep->domain->count; i++)
        sighting_add_task(&sighting, &tasks_of(sweep)[i].task);
    if (sighting.task_count > 0)
        sighting_keep_task(&sighting, found, sighting.task_id);
    sightings_store(sightings, &sighting);
}

static void note_found(const struct sweep *sweep, const struct lookup_domain *found)
{
    note_sighting(sweep, found);
    forget_if_refused(sweep, found);
}

/* A task is at work for the domain, or one that it has lost is queued again. */
static enum sweep_step look_further(struct sweep *sweep)
{
    size_t listed = sweep->domain->count;
    const char **ids = calloc(listed + sweep->found.task_count + 1, sizeof *ids);
    if (!ids)
        return end(sweep, "out of memory");

    size_t count = list_ids(sweep, ids);
    enum sweep_step step;
    if (!sweep->found.renewable)
        step = next(sweep, NULL);
    else if (count > 0)
        step = start_collapse(sweep, ids, count);
    else if (is_fresh(sweep, &sweep->found) && lease_state(sweep) != LEASE_OTHERS)
        step = schedule(sweep);
    else
        step = next(sweep, NULL);
    free(ids);
    return step;
}

static enum sweep_step feed_collapse(struct sweep *sweep, unsigned status, const char *body,
                                     size_t len)
{
    collapse_feed(sweep->collapse, status, body, len);
    if (collapse_body(sweep->collapse, &len) && lease_state(sweep) != LEASE_OTHERS)
        return enter(sweep, STAGE_COLLAPSE, SWEEP_SEND);
    return next(sweep, collapse_error(sweep->collapse));
}

/* Failed tasks that only say that no renewal was due. */

static void tell_cleared(struct sweep *sweep, const struct inventory_task *task)
{
    const struct inventory_domain *domain = inventory_find(&sweep->inventory, task->domain_id);

    tell(sweep, &(struct queue_change){.domain_id = task->domain_id,
                                       .domain_name = domain ? domain->name : NULL,
                                       .action = "cleared",
                                       .id = task->id,
                                       .due = WALL_TIME_NEVER,
                                       .old_state = "Failed",
                                       .old_due = WALL_TIME_NEVER,
                                       .old_reason = "renewal is not due"});
}

static void tell_all_cleared(struct sweep *sweep)
{
    for (size_t i = 0; i < sweep->inventory.task_count; i++) {
        if (sweep->inventory.tasks[i].not_due)
            tell_cleared(sweep, &sweep->inventory.tasks[i]);
    }
}

static enum sweep_step clear(struct sweep *sweep)
{
    json_t *ids = json_array();

    own_request_begin(&sweep->request);
    sweep->request.incomplete |= !ids;
    sweep->clearing = sweep->cleared;
    while (sweep->clearing < sweep->inventory.task_count &&
           json_array_size(ids) < OWN_REQUEST_IDS) {
        const struct inventory_task *task = &sweep->inventory.tasks[sweep->clearing++];
        if (task->not_due)
            sweep->request.incomplete |= json_array_append_new(ids, json_string(task->id)) != 0;
    }
    bool any = json_array_size(ids) > 0;
    own_request_add(&sweep->request, "x:Task/set", json_pack("{s:o}", "destroy", ids), "c");
    if (!own_request_finish(&sweep->request))
        return end(sweep, "out of memory");
    return any ? enter(sweep, STAGE_CLEAR, SWEEP_SEND) : end(sweep, NULL);
}

/* Where the server does not destroy tasks (v0.16.5), they stay. */
static enum sweep_step feed_clear(struct sweep *sweep, unsigned status, const char *body,
                                  size_t len)
{
    const char *error = own_request_read(&sweep->request, status, body, len);
    const json_t *set = own_request_answer(&sweep->request, "c");

    if (error)
        return end(sweep, error);
    json_t *destroyed = own_request_id_set(json_object_get(set, "destroyed"));
    for (size_t i = sweep->cleared; i < sweep->clearing; i++) {
        const struct inventory_task *task = &sweep->inventory.tasks[i];
        if (task->not_due && json_object_get(destroyed, task->id))
            tell_cleared(sweep, task);
    }
    json_decref(destroyed);
    sweep->cleared = sweep->clearing;
    return json_object_get(set, "destroyed") ? clear(sweep) : end(sweep, NULL);
}

/* From domain to domain. */

static enum sweep_step change_one(struct sweep *sweep)
{
    if (sweep->at == sweep->count)
        return look_over(sweep);
    sweep->domain = sweep->listed[sweep->at];
    return take_flight(sweep);
}

static enum sweep_step finish(struct sweep *sweep)
{
    if (!sweep->context->dry_run)
        return clear(sweep);
    tell_all_cleared(sweep);
    return end(sweep, NULL);
}

/* The next domains that need a look, by what was listed; false when memory ran out. */
static bool choose_some(struct sweep *sweep)
{
    sweep->count = 0;
    for (; sweep->next < sweep->inventory.domain_count && sweep->count < LOOKUP_AT_A_TIME;
         sweep->next++) {
        sweep->domain = &sweep->inventory.domains[sweep->next];
        int needed = needs_collapse(sweep);
        if (needed < 0)
            return false;
        if (!needed && (!sweep->domain->automatic || has_live_task(sweep)))
            continue;
        sweep->listed[sweep->count] = sweep->domain;
        sweep->some[sweep->count++] =
            (struct lookup_domain){.id = sweep->domain->id, .asked = now(sweep)};
    }
    return true;
}

/*
 * Many at a time and in no flight, so that no create waits. Nothing is changed by it: it only shows
 * which domains are worth being looked at again, alone.
 */
static enum sweep_step look_over(struct sweep *sweep)
{
    if (!choose_some(sweep))
        return end(sweep, "out of memory");
    if (sweep->count == 0)
        return finish(sweep);
    sweep->lookup = new_lookup(sweep, sweep->some, sweep->count);
    return sweep->lookup ? enter(sweep, STAGE_OVERVIEW, SWEEP_SEND) : end(sweep, "out of memory");
}

static enum sweep_step change_some(struct sweep *sweep)
{
    size_t kept = 0;

    for (size_t i = 0; i < sweep->count; i++) {
        const struct lookup_domain *found = &sweep->some[i];
        sweep->domain = sweep->listed[i];
        note_found(sweep, found);
        if (needs_change(sweep, found))
            sweep->listed[kept++] = sweep->domain;
    }
    leave(sweep);
    sweep->count = kept;
    sweep->at = 0;
    return change_one(sweep);
}

static enum sweep_step feed_lookup(struct sweep *sweep, unsigned status, const char *body,
                                   size_t len)
{
    switch (lookup_feed(sweep->lookup, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return sweep->step = SWEEP_SEND;
    case LOOKUP_DONE:
        if (sweep->stage == STAGE_OVERVIEW)
            return change_some(sweep);
        note_found(sweep, &sweep->found);
        return look_further(sweep);
    case LOOKUP_FORBIDDEN:
    case LOOKUP_NO_MEMORY:
    case LOOKUP_FAILED:
        break;
    }
    return end(sweep, lookup_error(sweep->lookup));
}

static enum sweep_step feed_list(struct sweep *sweep, unsigned status, const char *body, size_t len)
{
    inventory_feed(&sweep->inventory, status, body, len);
    if (sweep->inventory.error)
        return end(sweep, sweep->inventory.error);
    if (inventory_body(&sweep->inventory, &len))
        return enter(sweep, STAGE_LIST, SWEEP_SEND);
    note_listed_tasks(sweep);
    return look_over(sweep);
}

/* It may be asked again, later. A create may be made although its answer is a failure. */
static bool is_turned_away(const struct sweep *sweep, unsigned status)
{
    return status == 429 || (status >= 500 && sweep->stage != STAGE_SCHEDULE);
}

/* Creates are not to wait until the server has time: the domain is looked over again, then. */
static enum sweep_step step_aside(struct sweep *sweep)
{
    leave(sweep);
    sweep->interruptions++;
    sweep->next = (size_t)(sweep->domain - sweep->inventory.domains);
    return look_over(sweep);
}

/* The driver's side. */

struct sweep *sweep_create(const struct sweep_context *context)
{
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep)
        return NULL;

    sweep->context = context;
    inventory_begin(&sweep->inventory, now(sweep));
    if (sweep->inventory.error) {
        sweep_destroy(sweep);
        return NULL;
    }
    enter(sweep, STAGE_LIST, SWEEP_SEND);
    return sweep;
}

void sweep_destroy(struct sweep *sweep)
{
    if (!sweep)
        return;
    leave(sweep);
    own_request_clear(&sweep->request);
    inventory_clear(&sweep->inventory);
    free(sweep);
}

enum sweep_step sweep_step(const struct sweep *sweep)
{
    return sweep->step;
}

struct own_request_order sweep_request(const struct sweep *sweep)
{
    struct own_request_order request = {
        .once = sweep->stage == STAGE_SCHEDULE,
        .is_awaited = sweep->place.leading,
        .body = sweep->request.body,
        .len = sweep->request.len,
    };

    switch (sweep->stage) {
    case STAGE_LIST:
        request.body = inventory_body(&sweep->inventory, &request.len);
        break;
    case STAGE_OVERVIEW:
    case STAGE_LOOKUP:
        request.is_session = lookup_state(sweep->lookup) == LOOKUP_SEND_SESSION;
        request.body = lookup_body(sweep->lookup, &request.len);
        break;
    case STAGE_COLLAPSE:
        request.body = collapse_body(sweep->collapse, &request.len);
        break;
    default:
        break;
    }
    return request;
}

enum sweep_step sweep_feed(struct sweep *sweep, unsigned status, const char *body, size_t len)
{
    if (sweep->place.leading && sweep->interruptions < INTERRUPTIONS_MAX &&
        is_turned_away(sweep, status))
        return step_aside(sweep);
    switch (sweep->stage) {
    case STAGE_LIST:
        return feed_list(sweep, status, body, len);
    case STAGE_OVERVIEW:
    case STAGE_LOOKUP:
        return feed_lookup(sweep, status, body, len);
    case STAGE_COLLAPSE:
        return feed_collapse(sweep, status, body, len);
    case STAGE_SCHEDULE:
        return feed_schedule(sweep, status, body, len);
    case STAGE_CLEAR:
        return feed_clear(sweep, status, body, len);
    default:
        return sweep->step;
    }
}

const char *sweep_error(const struct sweep *sweep)
{
    return sweep->error;
}
