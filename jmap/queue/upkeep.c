#include "jmap/queue/upkeep.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/domain_lock.h"
#include "jmap/facts/domain_snapshot.h"
#include "jmap/tidy/collapse.h"
#include "jmap/tidy/queue_change.h"
#include "jmap/wire/answer.h"

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

static enum upkeep_step upkeep_enter(struct upkeep *upkeep, int stage, enum upkeep_step step)
{
    upkeep->stage = stage;
    return upkeep->step = step;
}

/* Nobody is to decide about the domain before the server has had its time. */
static void leave_unknown(struct upkeep *upkeep)
{
    static const struct flight_result unknown = {.unknown = true};
    const struct sweep_context *context = upkeep->context;
    struct domain_memory known;

    memory_recall(context->memory, upkeep->domain->id, &known);
    known.unanswered_since = upkeep_now(upkeep);
    memory_store(context->memory, &known);
    if (upkeep->lease)
        context->lock->leave(context->lock->user, upkeep->lease, upkeep->domain->id);
    flight_leave(context->flights, &upkeep->place, &unknown);
}

static void upkeep_leave(struct upkeep *upkeep)
{
    static const struct flight_result nothing = {.settled = false};
    const struct sweep_context *context = upkeep->context;

    if (upkeep->lease)
        context->lock->give(context->lock->user, upkeep->lease, upkeep->domain->id);
    flight_leave(context->flights, &upkeep->place, &nothing);
}

static void settle_time(struct upkeep *upkeep)
{
    bool placed = upkeep->is_making || !wall_time_equal(upkeep->placed_at, WALL_TIME_NEVER);

    if (upkeep->took && placed)
        memory_keep_time(upkeep->context->memory, upkeep->domain->id);
    else if (upkeep->took)
        memory_give_time(upkeep->context->memory, upkeep->domain->id);
    else
        upkeep->placed_at = WALL_TIME_NEVER;
    upkeep->took = false;
}

void upkeep_end(struct upkeep *upkeep)
{
    if (!upkeep->context)
        return;
    settle_time(upkeep);
    if (upkeep->is_making)
        leave_unknown(upkeep);
    else
        upkeep_leave(upkeep);
    upkeep->is_making = false;
    upkeep->lease = NULL;
    collapse_destroy(upkeep->collapse);
    lookup_destroy(upkeep->lookup);
    own_request_clear(&upkeep->request);
    outlook_clear(&upkeep->outlook);
    upkeep->collapse = NULL;
    upkeep->lookup = NULL;
}

static enum upkeep_step upkeep_finish(struct upkeep *upkeep, const char *error)
{
    upkeep_end(upkeep);
    upkeep->error = error;
    return upkeep_enter(upkeep, UPKEEP_END, UPKEEP_DONE);
}

/* No other domain would fare better. */
static enum upkeep_step give_up(struct upkeep *upkeep, const char *error)
{
    upkeep->is_over = true;
    return upkeep_finish(upkeep, error);
}

/* What creates to come, and the next look at the domain, then need not search for. */

/* `due`: WALL_TIME_NEVER where it is what it was. */
static void note_task(const struct upkeep *upkeep, const char *id, wall_time due)
{
    struct task_memory *memory = upkeep->context->memory;

    if (upkeep->context->remembers)
        memory_note_task(memory, upkeep->domain->id, id);
    if (upkeep->context->remembers && !wall_time_equal(due, WALL_TIME_NEVER))
        memory_note_run(memory, upkeep->domain->id, id, due);
}

/* What was seen, and what is about to be left of its tasks: one. */
static void note_snapshot(const struct sweep_context *context, const struct lookup_domain *found,
                          const struct outlook *outlook)
{
    struct domain_snapshots *snapshots = context->snapshots;

    if (!snapshots)
        return;
    if (!found->renewable) {
        domain_snapshots_forget(snapshots, found->id);
        memory_forget(context->memory, found->id);
        return;
    }
    struct domain_snapshot snapshot =
        domain_snapshot_of(found, &outlook->held, context->now(context->user));
    for (size_t i = found->task_count; i < outlook->task_count; i++)
        domain_snapshot_add_task(&snapshot, &outlook->tasks[i]);
    if (snapshot.task_count > 0)
        domain_snapshot_keep_task(&snapshot, found, snapshot.task_id);
    domain_snapshots_store(snapshots, &snapshot);
}

void upkeep_note_found(const struct sweep_context *context, const struct lookup_domain *found,
                       const struct outlook *outlook)
{
    note_snapshot(context, found, outlook);
    if (wall_time_before(context->now(context->user), outlook->held.refused))
        lookup_keep_hold(
            context->memory, found,
            (struct setback_hold){.refused = outlook->held.refused, .failing = WALL_TIME_NEVER});
    /* By one certificate alone the next look would not see that the CA has had enough. */
    if (!wall_time_equal(outlook->held.until, WALL_TIME_NEVER))
        lookup_forget_certificate(context->memory, found);
}

static const char *stays(const struct outlook *outlook)
{
    return outlook->plan.stays ? outlook->plan.stays->id : NULL;
}

static void tell_task(const struct sweep_context *context, const struct lookup_domain *found,
                      const struct outlook *outlook, size_t i)
{
    const struct renewal_task *task = &outlook->tasks[i];
    struct queue_change change = queue_change_of(QUEUE_DESTROYED, task, found->id, found->name);

    change.survivor = stays(outlook);
    switch (outlook->fates[i]) {
    case COLLAPSE_REWRITTEN:
        change.due = outlook->plan.due;
        change.action = queue_action_of_move(task, change.due);
        break;
    case COLLAPSE_REMOVED:
        break;
    case COLLAPSE_YIELDS:
        change.action = QUEUE_SUPERSEDED;
        break;
    default:
        return;
    }
    context->changed(context->user, &change);
}

static void tell_made(const struct sweep_context *context, const struct lookup_domain *found,
                      wall_time due, const char *id)
{
    context->changed(context->user, &(struct queue_change){.domain_id = found->id,
                                                           .domain_name = found->name,
                                                           .action = QUEUE_SCHEDULED,
                                                           .id = id,
                                                           .due = due,
                                                           .old_due = WALL_TIME_NEVER});
}

void upkeep_tell_plan(const struct sweep_context *context, const struct lookup_domain *found,
                      const struct outlook *outlook)
{
    if (outlook->plan.makes)
        tell_made(context, found, outlook->plan.due, NULL);
    for (size_t i = 0; i < outlook->task_count; i++)
        tell_task(context, found, outlook, i);
}

/* Flight, lease, look-up. */

static bool leads(const struct upkeep *upkeep)
{
    return flight_standing(upkeep->context->flights, &upkeep->place) == FLIGHT_LEADS;
}

static enum upkeep_step start_lookup(struct upkeep *upkeep)
{
    wall_time now = upkeep_now(upkeep);

    upkeep->found = (struct lookup_domain){
        .id = upkeep->domain->id,
        .asked = now,
        .with_dns_tasks = true,
        .stuck_after_seconds = upkeep->context->settings->table.stuck_after_seconds};
    upkeep->lookup = lookup_create(&upkeep->found, 1, upkeep->context->memory, now);
    if (!upkeep->lookup)
        return give_up(upkeep, "out of memory");
    lookup_spare_tasks(upkeep->lookup);
    return upkeep_enter(upkeep, UPKEEP_LOOKUP, UPKEEP_SEND);
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
    return upkeep->lease ? upkeep_enter(upkeep, UPKEEP_LEASE, UPKEEP_WAIT) : start_lookup(upkeep);
}

static enum upkeep_step take_flight(struct upkeep *upkeep)
{
    upkeep->place = (struct flight_place){
        .patient = true, .wake = upkeep->context->wake, .user = upkeep->context->user};
    switch (flight_join(upkeep->context->flights, upkeep->domain->id, &upkeep->place)) {
    case FLIGHT_LEADING:
        return take_lease(upkeep);
    case FLIGHT_WAITING:
        return upkeep_enter(upkeep, UPKEEP_FLIGHT, UPKEEP_WAIT);
    case FLIGHT_NO_MEMORY:
        break;
    }
    return give_up(upkeep, "out of memory");
}

enum upkeep_step upkeep_woken(struct upkeep *upkeep)
{
    if (upkeep->stage == UPKEEP_FLIGHT)
        return leads(upkeep) ? take_lease(upkeep) : upkeep->step;
    if (upkeep->stage != UPKEEP_LEASE)
        return take_flight(upkeep);
    switch (lease_state(upkeep)) {
    case LEASE_WAITING:
        return upkeep->step;
    case LEASE_LATE:
        return upkeep_finish(upkeep,
                             NULL); /* another replica is at it, and the next sweep looks again */
    default:
        return start_lookup(upkeep);
    }
}

/* What is to be changed. */

static void collapsed(void *user, const struct queue_change *change)
{
    struct upkeep *upkeep = user;

    if (change->survivor)
        note_task(upkeep, change->survivor, change->due);
    if (!wall_time_equal(change->due, WALL_TIME_NEVER))
        upkeep->placed_at = change->due;
    upkeep->context->changed(upkeep->context->user, change);
}

static wall_time collapse_now(void *user)
{
    return upkeep_now(user);
}

/* Of all live tasks, and of one that was just made, or NULL. */
static enum upkeep_step start_collapse(struct upkeep *upkeep, const char *made)
{
    const struct hold_settings *settings = upkeep->context->settings;
    const struct lookup_domain *found = &upkeep->found;
    const struct outlook *outlook = &upkeep->outlook;
    const char **ids = calloc(outlook->task_count + 1, sizeof *ids);
    size_t count = 0;

    for (size_t i = 0; ids && i < outlook->task_count; i++) {
        if (outlook->tasks[i].state != TASK_FAILED)
            ids[count++] = outlook->tasks[i].id;
    }
    if (ids && made)
        ids[count++] = made;
    if (ids)
        upkeep->collapse = collapse_create(&(struct collapse_order){
            .domain_id = found->id,
            .domain_name = found->name,
            .task_ids = ids,
            .task_count = count,
            .most = memory_objects_a_call(upkeep->context->memory),
            .refused_until = outlook->held.until,
            .renewal_due = found->renewal_due,
            .expires = found->newest_expiry,
            .not_before = upkeep->not_before,
            .upkeep = true,
            .followed = outlook->plan.followed,
            .stuck_after_seconds = settings->table.stuck_after_seconds,
            .blind_hold_seconds = settings->blind_hold_seconds,
            .released = renewal_task_released(outlook->tasks, outlook->task_count),
            .now = collapse_now,
            .changed = collapsed,
            .user = upkeep,
        });
    free(ids);
    bool sends = upkeep->collapse && collapse_body(upkeep->collapse, &count);
    return sends ? upkeep_enter(upkeep, UPKEEP_COLLAPSE, UPKEEP_SEND)
                 : give_up(upkeep, "out of memory");
}

/* A task for a domain that has none. */

static enum upkeep_step make(struct upkeep *upkeep)
{
    char due[WALL_TIME_TEXT_SIZE];

    wall_time_format(upkeep->outlook.plan.due, due);
    own_request_begin(&upkeep->request);
    own_request_add(&upkeep->request, "x:Task/set",
                    json_pack("{s:{s:{s:s, s:s, s:{s:s, s:s}}}}", "create", "r", "@type",
                              "AcmeRenewal", "domainId", upkeep->found.id, "status", "@type",
                              "Pending", "due", due),
                    "s");
    if (!own_request_finish(&upkeep->request))
        return give_up(upkeep, "out of memory");
    upkeep->is_making = true;
    return upkeep_enter(upkeep, UPKEEP_MAKE, UPKEEP_SEND);
}

static void note_made(const struct upkeep *upkeep, const char *id)
{
    struct domain_snapshots *snapshots = upkeep->context->snapshots;
    struct domain_snapshot_texts texts;
    struct domain_snapshot snapshot;

    note_task(upkeep, id, upkeep->outlook.plan.due);
    if (!snapshots || !domain_snapshots_find(snapshots, upkeep->found.id, &snapshot, &texts))
        return;
    domain_snapshot_set_task(&snapshot, id, upkeep->outlook.plan.due);
    domain_snapshots_store(snapshots, &snapshot);
}

static bool is_forbidden(const char *type)
{
    return type && strcmp(type, "forbidden") == 0;
}

static enum upkeep_step not_made(struct upkeep *upkeep)
{
    const json_t *refusals =
        json_object_get(own_request_answer(&upkeep->request, "s"), "notCreated");
    const char *why = own_request_string(json_object_get(refusals, "r"), "type");

    if (is_forbidden(why) || is_forbidden(own_request_error(&upkeep->request, "s")))
        return give_up(upkeep, "the credential may not make tasks");
    return upkeep_finish(upkeep, "the server did not take its renewal");
}

static enum upkeep_step upkeep_feed_make(struct upkeep *upkeep, unsigned status, const char *body,
                                         size_t len)
{
    const char *error = own_request_read(&upkeep->request, status, body, len);
    const json_t *created = json_object_get(own_request_answer(&upkeep->request, "s"), "created");
    const char *id = own_request_string(json_object_get(created, "r"), "id");

    upkeep->is_making = error && answer_is_lost(status);
    if (error)
        return upkeep_finish(upkeep, error);
    if (!id)
        return not_made(upkeep);
    upkeep->placed_at = upkeep->outlook.plan.due;
    tell_made(upkeep->context, &upkeep->found, upkeep->placed_at, id);
    note_made(upkeep, id);
    return upkeep->outlook.plan.removed > 0 ? start_collapse(upkeep, id)
                                            : upkeep_finish(upkeep, NULL);
}

/*
 * Creates have placed orders too since the sweep has begun, and will: what the pace has found is
 * brought in line with theirs.
 */
static void take_time(struct upkeep *upkeep)
{
    const struct issue_limit limit = upkeep->context->settings->account_limit;
    const struct lookup_domain *found = &upkeep->found;
    wall_time now = upkeep_now(upkeep);
    bool late = wall_time_before(wall_time_add(now, COLLAPSE_MARGIN_SECONDS), upkeep->not_before);

    if (limit.burst == 0 || !found->renewable || wall_time_before(now, found->renewal_due) ||
        (!late && outlook_is_on_its_way(&upkeep->outlook, now)))
        return;
    wall_time from =
        wall_time_later(now, wall_time_later(upkeep->outlook.held.until, upkeep->not_before));
    upkeep->not_before =
        memory_take_time(upkeep->context->memory, found->id, found->provider_id, limit, from, now);
    upkeep->took = true;
}

static enum upkeep_step look_further(struct upkeep *upkeep)
{
    const struct sweep_context *context = upkeep->context;

    if (!outlook_open(&upkeep->outlook, upkeep->inventory, upkeep->domain, &upkeep->found,
                      context->settings, upkeep_now(upkeep)))
        return give_up(upkeep, "out of memory");
    take_time(upkeep);
    outlook_plan(&upkeep->outlook, &upkeep->found, upkeep->not_before, upkeep_now(upkeep));
    upkeep_note_found(context, &upkeep->found, &upkeep->outlook);
    if (upkeep->outlook.plan.changes == 0 || lease_state(upkeep) == LEASE_OTHERS)
        return upkeep_finish(upkeep, NULL);
    return upkeep->outlook.plan.makes ? make(upkeep) : start_collapse(upkeep, NULL);
}

static enum upkeep_step upkeep_feed_lookup(struct upkeep *upkeep, unsigned status, const char *body,
                                           size_t len)
{
    switch (lookup_feed(upkeep->lookup, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return upkeep_enter(upkeep, UPKEEP_LOOKUP, UPKEEP_SEND);
    case LOOKUP_DONE:
        return look_further(upkeep);
    case LOOKUP_FAILED:
        return upkeep_finish(upkeep, lookup_error(upkeep->lookup));
    case LOOKUP_FORBIDDEN:
    case LOOKUP_NO_MEMORY:
        break;
    }
    return give_up(upkeep, lookup_error(upkeep->lookup));
}

static enum upkeep_step upkeep_feed_collapse(struct upkeep *upkeep, unsigned status,
                                             const char *body, size_t len)
{
    collapse_feed(upkeep->collapse, status, body, len);
    if (collapse_body(upkeep->collapse, &len) && lease_state(upkeep) != LEASE_OTHERS)
        return upkeep_enter(upkeep, UPKEEP_COLLAPSE, UPKEEP_SEND);
    if (collapse_is_forbidden(upkeep->collapse))
        return give_up(upkeep, collapse_error(upkeep->collapse));
    return upkeep_finish(upkeep, collapse_error(upkeep->collapse));
}

/* The sweep's side. */

enum upkeep_step upkeep_begin(struct upkeep *upkeep, const struct sweep_context *context,
                              const struct inventory *inventory,
                              const struct inventory_domain *domain, wall_time not_before)
{
    if (upkeep->domain != domain)
        upkeep->interruptions = 0;
    upkeep->context = context;
    upkeep->inventory = inventory;
    upkeep->domain = domain;
    upkeep->not_before = not_before;
    upkeep->placed_at = WALL_TIME_NEVER;
    upkeep->error = NULL;
    upkeep->is_over = false;
    return take_flight(upkeep);
}

struct machine_order upkeep_request(const struct upkeep *upkeep)
{
    struct machine_order order = {
        .once = upkeep->stage == UPKEEP_MAKE,
        .is_awaited = leads(upkeep),
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
    return status == 429 || (status >= 500 && upkeep->stage != UPKEEP_MAKE);
}

static enum upkeep_step feed(struct upkeep *upkeep, unsigned status, const char *body, size_t len)
{
    switch (upkeep->stage) {
    case UPKEEP_LOOKUP:
        return upkeep_feed_lookup(upkeep, status, body, len);
    case UPKEEP_COLLAPSE:
        return upkeep_feed_collapse(upkeep, status, body, len);
    case UPKEEP_MAKE:
        return upkeep_feed_make(upkeep, status, body, len);
    default:
        return upkeep->step;
    }
}

enum upkeep_step upkeep_feed(struct upkeep *upkeep, unsigned status, const char *body, size_t len)
{
    if (upkeep->interruptions < INTERRUPTIONS_MAX && is_turned_away(upkeep, status)) {
        upkeep->is_making = false;
        upkeep_end(upkeep);
        upkeep->interruptions++;
        return upkeep_enter(upkeep, UPKEEP_END, UPKEEP_INTERRUPTED);
    }
    enum upkeep_step step = feed(upkeep, status, body, len);
    upkeep->is_over |= step == UPKEEP_DONE && upkeep->error && upkeep_is_over(status);
    return step;
}
