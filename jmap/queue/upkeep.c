#include "jmap/queue/upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/domain_lock.h"
#include "jmap/facts/sighting.h"
#include "jmap/queue/collapse.h"
#include "jmap/queue/queue_change.h"
#include "jmap/queue/sweep.h"

enum {
    INTERRUPTIONS_MAX = 3, /* how often a domain is left because the server had enough */
};

bool upkeep_is_over(unsigned status)
{
    return status == 0 || status == 401 || status == 403;
}

static wall_time upkeep_now(const struct upkeep *upkeep)
{
    return upkeep->context->now(upkeep->context->user);
}

static enum upkeep_step enter(struct upkeep *upkeep, int stage, enum upkeep_step step)
{
    upkeep->stage = stage;
    return upkeep->step = step;
}

void upkeep_end(struct upkeep *upkeep)
{
    static const struct flight_result nothing = {.settled = false};
    const struct sweep_context *context = upkeep->context;

    if (!context)
        return;
    if (upkeep->lease)
        context->lock->give(context->lock->user, upkeep->lease, upkeep->domain->id);
    upkeep->lease = NULL;
    flight_leave(context->flights, &upkeep->place, &nothing);
    collapse_destroy(upkeep->collapse);
    lookup_destroy(upkeep->lookup);
    own_request_clear(&upkeep->request);
    upkeep->collapse = NULL;
    upkeep->lookup = NULL;
}

static enum upkeep_step end(struct upkeep *upkeep, const char *error)
{
    upkeep_end(upkeep);
    upkeep->error = error;
    return enter(upkeep, UPKEEP_END, UPKEEP_DONE);
}

/* No other domain would fare better. */
static enum upkeep_step give_up(struct upkeep *upkeep, const char *error)
{
    upkeep->is_over = true;
    return end(upkeep, error);
}

static const struct inventory_task *tasks_of(const struct inventory *inventory,
                                             const struct inventory_domain *domain)
{
    return inventory->tasks + domain->first;
}

/* What creates to come, and the next look at the domain, then need not search for. */

static void note_task(const struct upkeep *upkeep, const char *id)
{
    if (upkeep->context->remembers)
        memory_note_task(upkeep->context->memory, upkeep->domain->id, id);
}

/* H, by all that was looked up. */
static wall_time refusal_of(const struct sweep_context *context, const struct lookup_domain *found)
{
    const struct hold_settings *settings = context->settings;

    return refused_until(found->tasks, found->task_count, settings->issue_limit, found->issued,
                         found->issued_count, settings->blind_hold_seconds,
                         context->now(context->user));
}

/* What was looked up, and what is about to be left of its tasks: one. */
static void note_sighting(const struct sweep_context *context, const struct inventory *inventory,
                          const struct inventory_domain *domain, const struct lookup_domain *found,
                          wall_time until)
{
    struct sightings *sightings = context->sightings;

    if (!sightings)
        return;
    if (!found->renewable) {
        sightings_forget(sightings, found->id);
        memory_forget(context->memory, found->id);
        return;
    }
    struct sighting sighting = sighting_of(found, until, context->now(context->user));
    for (size_t i = 0; i < domain->count; i++)
        sighting_add_task(&sighting, &tasks_of(inventory, domain)[i].task);
    if (sighting.task_count > 0)
        sighting_keep_task(&sighting, found, sighting.task_id);
    sightings_store(sightings, &sighting);
}

void upkeep_note_found(const struct sweep_context *context, const struct inventory *inventory,
                       const struct inventory_domain *domain, const struct lookup_domain *found)
{
    wall_time until = refusal_of(context, found);

    note_sighting(context, inventory, domain, found, until);
    /* By one certificate alone the next look would not see that the CA has had enough. */
    if (!wall_time_equal(until, WALL_TIME_NEVER))
        lookup_forget_certificate(context->memory, found);
}

/* Flight, lease, look-up. */

static enum upkeep_step start_lookup(struct upkeep *upkeep)
{
    wall_time now = upkeep_now(upkeep);

    upkeep->found = (struct lookup_domain){.id = upkeep->domain->id, .asked = now};
    upkeep->lookup = lookup_create(&upkeep->found, 1, upkeep->context->memory, now);
    if (!upkeep->lookup)
        return give_up(upkeep, "out of memory");
    lookup_spare_tasks(upkeep->lookup);
    return enter(upkeep, UPKEEP_LOOKUP, UPKEEP_SEND);
}

static enum lease_state lease_state(const struct upkeep *upkeep)
{
    const struct domain_lock *lock = upkeep->context->lock;

    return upkeep->lease ? lock->state(lock->user, upkeep->lease) : LEASE_ALONE;
}

static enum upkeep_step take_lease(struct upkeep *upkeep)
{
    const struct sweep_context *context = upkeep->context;

    if (context->lock)
        upkeep->lease = context->lock->take(context->lock->user, upkeep->domain->id, context->wake,
                                            context->user);
    return upkeep->lease ? enter(upkeep, UPKEEP_LEASE, UPKEEP_WAIT) : start_lookup(upkeep);
}

static enum upkeep_step take_flight(struct upkeep *upkeep)
{
    upkeep->place =
        (struct flight_place){.wake = upkeep->context->wake, .user = upkeep->context->user};
    switch (flight_join(upkeep->context->flights, upkeep->domain->id, &upkeep->place)) {
    case FLIGHT_LEADING:
        return take_lease(upkeep);
    case FLIGHT_WAITING:
        return enter(upkeep, UPKEEP_FLIGHT, UPKEEP_WAIT);
    case FLIGHT_NO_MEMORY:
        break;
    }
    return give_up(upkeep, "out of memory");
}

enum upkeep_step upkeep_woken(struct upkeep *upkeep)
{
    if (upkeep->stage != UPKEEP_LEASE)
        return take_flight(upkeep);
    return lease_state(upkeep) == LEASE_WAITING ? upkeep->step : start_lookup(upkeep);
}

/* What is to be changed. */

static void collapsed(void *user, const struct collapse_change *change)
{
    struct upkeep *upkeep = user;
    const struct queue_change told =
        queue_change_of_collapse(change, upkeep->found.id, upkeep->found.name);

    if (change->survivor)
        note_task(upkeep, change->survivor);
    upkeep->context->changed(upkeep->context->user, &told);
}

static wall_time collapse_now(void *user)
{
    return upkeep_now(user);
}

static bool is_listed(const struct upkeep *upkeep, const char *id)
{
    return inventory_task_of(upkeep->inventory, upkeep->domain, id) != NULL;
}

/* The live tasks of the list, and what the look-up has found beside them; how many. */
static size_t list_ids(const struct upkeep *upkeep, const char **ids)
{
    size_t count = 0;

    for (size_t i = 0; i < upkeep->domain->count; i++) {
        const struct inventory_task *task = &tasks_of(upkeep->inventory, upkeep->domain)[i];
        if (task->task.state != TASK_FAILED)
            ids[count++] = task->id;
    }
    for (size_t i = 0; i < upkeep->found.task_count; i++) {
        const struct renewal_task *task = &upkeep->found.tasks[i];
        if (task->state != TASK_FAILED && !is_listed(upkeep, task->id))
            ids[count++] = task->id;
    }
    return count;
}

static enum upkeep_step start_collapse(struct upkeep *upkeep, const char **ids, size_t count)
{
    const struct lookup_domain *found = &upkeep->found;

    upkeep->collapse = collapse_create(&(struct collapse_order){
        .domain_id = found->id,
        .task_ids = ids,
        .task_count = count,
        .refused_until = refusal_of(upkeep->context, found),
        .renewal_due = found->renewal_due,
        .blind_hold_seconds = upkeep->context->settings->blind_hold_seconds,
        .dry_run = upkeep->context->dry_run,
        .now = collapse_now,
        .changed = collapsed,
        .user = upkeep,
    });
    bool sends = upkeep->collapse && collapse_body(upkeep->collapse, &count);
    return sends ? enter(upkeep, UPKEEP_COLLAPSE, UPKEEP_SEND) : give_up(upkeep, "out of memory");
}

/* The future renewal that a domain has lost. */

static void tell_scheduled(struct upkeep *upkeep, const char *id)
{
    upkeep->context->changed(upkeep->context->user,
                             &(struct queue_change){.domain_id = upkeep->found.id,
                                                    .domain_name = upkeep->found.name,
                                                    .action = "scheduled",
                                                    .id = id,
                                                    .due = upkeep->found.renewal_due,
                                                    .old_due = WALL_TIME_NEVER});
}

static enum upkeep_step schedule(struct upkeep *upkeep)
{
    char due[WALL_TIME_TEXT_SIZE];

    if (upkeep->context->dry_run) {
        tell_scheduled(upkeep, NULL);
        return end(upkeep, NULL);
    }
    wall_time_format(upkeep->found.renewal_due, due);
    own_request_begin(&upkeep->request);
    own_request_add(&upkeep->request, "x:Task/set",
                    json_pack("{s:{s:{s:s, s:s, s:{s:s, s:s}}}}", "create", "r", "@type",
                              "AcmeRenewal", "domainId", upkeep->found.id, "status", "@type",
                              "Pending", "due", due),
                    "s");
    if (!own_request_finish(&upkeep->request))
        return give_up(upkeep, "out of memory");
    return enter(upkeep, UPKEEP_SCHEDULE, UPKEEP_SEND);
}

static void note_scheduled(const struct upkeep *upkeep, const char *id)
{
    struct sightings *sightings = upkeep->context->sightings;
    char name[SIGHTING_NAME_SIZE];
    struct sighting sighting;

    if (!sightings || !sightings_find(sightings, upkeep->found.id, &sighting, name))
        return;
    sighting_set_task(&sighting, id, upkeep->found.renewal_due);
    sightings_store(sightings, &sighting);
}

static bool is_forbidden(const char *type)
{
    return type && strcmp(type, "forbidden") == 0;
}

static enum upkeep_step not_scheduled(struct upkeep *upkeep)
{
    const json_t *refusals =
        json_object_get(own_request_answer(&upkeep->request, "s"), "notCreated");
    const char *why = own_request_string(json_object_get(refusals, "r"), "type");

    if (is_forbidden(why) || is_forbidden(own_request_error(&upkeep->request, "s")))
        return give_up(upkeep, "the credential may not make tasks");
    return end(upkeep, "the server did not take its renewal");
}

static enum upkeep_step feed_schedule(struct upkeep *upkeep, unsigned status, const char *body,
                                      size_t len)
{
    const char *error = own_request_read(&upkeep->request, status, body, len);
    const json_t *created = json_object_get(own_request_answer(&upkeep->request, "s"), "created");
    const char *id = own_request_string(json_object_get(created, "r"), "id");

    if (error)
        return end(upkeep, error);
    if (!id)
        return not_scheduled(upkeep);
    tell_scheduled(upkeep, id);
    note_scheduled(upkeep, id);
    note_task(upkeep, id);
    return end(upkeep, NULL);
}

/* A task is at work for the domain, or one that it has lost is queued again. */
static enum upkeep_step look_further(struct upkeep *upkeep)
{
    size_t listed = upkeep->domain->count;
    const char **ids = calloc(listed + upkeep->found.task_count + 1, sizeof *ids);
    if (!ids)
        return give_up(upkeep, "out of memory");

    size_t count = list_ids(upkeep, ids);
    bool fresh = wall_time_before(upkeep_now(upkeep), upkeep->found.renewal_due);
    enum upkeep_step step;
    if (!upkeep->found.renewable)
        step = end(upkeep, NULL);
    else if (count > 0)
        step = start_collapse(upkeep, ids, count);
    else if (fresh && lease_state(upkeep) != LEASE_OTHERS)
        step = schedule(upkeep);
    else
        step = end(upkeep, NULL);
    free(ids);
    return step;
}

static enum upkeep_step feed_lookup(struct upkeep *upkeep, unsigned status, const char *body,
                                    size_t len)
{
    switch (lookup_feed(upkeep->lookup, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return enter(upkeep, UPKEEP_LOOKUP, UPKEEP_SEND);
    case LOOKUP_DONE:
        upkeep_note_found(upkeep->context, upkeep->inventory, upkeep->domain, &upkeep->found);
        return look_further(upkeep);
    case LOOKUP_FAILED:
        return end(upkeep, lookup_error(upkeep->lookup));
    case LOOKUP_FORBIDDEN:
    case LOOKUP_NO_MEMORY:
        break;
    }
    return give_up(upkeep, lookup_error(upkeep->lookup));
}

static enum upkeep_step feed_collapse(struct upkeep *upkeep, unsigned status, const char *body,
                                      size_t len)
{
    collapse_feed(upkeep->collapse, status, body, len);
    if (collapse_body(upkeep->collapse, &len) && lease_state(upkeep) != LEASE_OTHERS)
        return enter(upkeep, UPKEEP_COLLAPSE, UPKEEP_SEND);
    if (collapse_is_forbidden(upkeep->collapse))
        return give_up(upkeep, collapse_error(upkeep->collapse));
    return end(upkeep, collapse_error(upkeep->collapse));
}

/* The sweep's side. */

enum upkeep_step upkeep_begin(struct upkeep *upkeep, const struct sweep_context *context,
                              const struct inventory *inventory,
                              const struct inventory_domain *domain)
{
    if (upkeep->domain != domain)
        upkeep->interruptions = 0;
    upkeep->context = context;
    upkeep->inventory = inventory;
    upkeep->domain = domain;
    upkeep->error = NULL;
    upkeep->is_over = false;
    return take_flight(upkeep);
}

struct own_request_order upkeep_request(const struct upkeep *upkeep)
{
    struct own_request_order order = {
        .once = upkeep->stage == UPKEEP_SCHEDULE,
        .is_awaited = upkeep->place.leading,
        .body = upkeep->request.body,
        .len = upkeep->request.len,
    };

    if (upkeep->stage == UPKEEP_LOOKUP) {
        order.is_session = lookup_state(upkeep->lookup) == LOOKUP_SEND_SESSION;
        order.body = lookup_body(upkeep->lookup, &order.len);
    } else if (upkeep->stage == UPKEEP_COLLAPSE) {
        order.body = collapse_body(upkeep->collapse, &order.len);
    }
    return order;
}

/* It may be asked again, later. A create may be made although its answer is a failure. */
static bool is_turned_away(const struct upkeep *upkeep, unsigned status)
{
    return status == 429 || (status >= 500 && upkeep->stage != UPKEEP_SCHEDULE);
}

static enum upkeep_step feed(struct upkeep *upkeep, unsigned status, const char *body, size_t len)
{
    switch (upkeep->stage) {
    case UPKEEP_LOOKUP:
        return feed_lookup(upkeep, status, body, len);
    case UPKEEP_COLLAPSE:
        return feed_collapse(upkeep, status, body, len);
    case UPKEEP_SCHEDULE:
        return feed_schedule(upkeep, status, body, len);
    default:
        return upkeep->step;
    }
}

enum upkeep_step upkeep_feed(struct upkeep *upkeep, unsigned status, const char *body, size_t len)
{
    if (upkeep->interruptions < INTERRUPTIONS_MAX && is_turned_away(upkeep, status)) {
        upkeep_end(upkeep);
        upkeep->interruptions++;
        return enter(upkeep, UPKEEP_END, UPKEEP_INTERRUPTED);
    }
    enum upkeep_step step = feed(upkeep, status, body, len);
    upkeep->is_over |= step == UPKEEP_DONE && upkeep->error && upkeep_is_over(status);
    return step;
}
