#include "jmap/queue/sweep.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/facts/inventory.h"
#include "jmap/facts/lookup.h"
#include "jmap/queue/clearing.h"
#include "jmap/queue/outlook.h"
#include "jmap/queue/pace.h"
#include "jmap/queue/upkeep.h"

enum {
    /* So many domains in a row passed over: it is not the domains. */
    TURNED_AWAY_MAX = 3, /* by a server that has no time */
    SKIPPED_MAX = 100,
    SMALL_TRIES = 2, /* of a look at fewer domains, after one at more has failed */
};

enum stage {
    STAGE_LIST,
    STAGE_OVERVIEW, /* of some domains, to see which need a change */
    STAGE_UPKEEP,   /* of one of those */
    STAGE_CLEAR,
    STAGE_END,
};

struct sweep {
    const struct sweep_context *context;
    uint64_t moment; /* the memory's, when it began */
    struct inventory inventory;
    size_t start; /* the domain that the sweep begins with */
    size_t next;  /* how many of the inventory's domains, from that one on, were looked over */
    size_t at_a_time;
    size_t skipped; /* domains in a row */
    struct lookup_domain some[LOOKUP_AT_A_TIME];
    const struct inventory_domain *listed[LOOKUP_AT_A_TIME]; /* first the same, then those of
                                                                 them that need a change */
    wall_time not_before[LOOKUP_AT_A_TIME];                  /* the account's pace for those */
    size_t count, at;                                        /* of these, and the one at hand */
    struct pace pace;
    struct lookup *lookup;
    struct upkeep upkeep;
    struct clearing clearing;

    enum stage stage;
    enum machine_step step;
    const char *error;
};

static enum machine_step look_over(struct sweep *sweep);
static enum machine_step change_one(struct sweep *sweep);

static enum machine_step sweep_enter(struct sweep *sweep, enum stage stage, enum machine_step step)
{
    sweep->stage = stage;
    return sweep->step = step;
}

static enum machine_step sweep_end(struct sweep *sweep, const char *error)
{
    sweep->error = error;
    return sweep_enter(sweep, STAGE_END, MACHINE_DONE);
}

static wall_time sweep_now(const struct sweep *sweep)
{
    return sweep->context->now(sweep->context->user);
}

/* Where it begins, and goes on from. */

static const struct inventory_domain *domain_at(const struct sweep *sweep, size_t place)
{
    return &sweep->inventory.domains[(sweep->start + place) % sweep->inventory.domain_count];
}

static size_t sweep_place_of(const struct sweep *sweep, const struct inventory_domain *domain)
{
    size_t count = sweep->inventory.domain_count;

    return ((size_t)(domain - sweep->inventory.domains) + count - sweep->start) % count;
}

static void find_start(struct sweep *sweep)
{
    const struct inventory *inventory = &sweep->inventory;

    while (sweep->start < inventory->domain_count &&
           strcmp(inventory->domains[sweep->start].id, sweep->context->place->after) <= 0)
        sweep->start++;
    if (sweep->start == inventory->domain_count)
        sweep->start = 0;
}

static void keep_place(struct sweep *sweep, const char *after, size_t at_a_time)
{
    struct sweep_place *place = sweep->context->place;

    if (after)
        memmove(place->after, after, strlen(after) + 1);
    place->at_a_time = at_a_time;
}

/* What is passed over. */

static enum machine_step give_up(struct sweep *sweep, const struct inventory_domain *domain,
                                 const char *error)
{
    keep_place(sweep, domain->id, 0);
    return sweep_end(sweep, error);
}

/* False where so many were passed over that the others would fare no better. */
static bool skip(struct sweep *sweep, const struct inventory_domain *domain, const char *error,
                 unsigned status)
{
    sweep->context->skipped(sweep->context->user, &(struct sweep_skip){.domain_id = domain->id,
                                                                       .domain_name = domain->name,
                                                                       .error = error,
                                                                       .status = status});
    bool turned_away = status == 429 || status >= 500;
    return ++sweep->skipped < (turned_away ? TURNED_AWAY_MAX : SKIPPED_MAX);
}

/* From domain to domain. */

static enum machine_step next(struct sweep *sweep)
{
    sweep->at++;
    return change_one(sweep);
}

/* What became of the one at hand, with an answer of that status. */
static enum machine_step after_upkeep(struct sweep *sweep, enum upkeep_step step, unsigned status)
{
    const struct upkeep *upkeep = &sweep->upkeep;

    switch (step) {
    case UPKEEP_SEND:
        return sweep_enter(sweep, STAGE_UPKEEP, MACHINE_SEND);
    case UPKEEP_WAIT:
        return sweep_enter(sweep, STAGE_UPKEEP, MACHINE_WAIT);
    case UPKEEP_INTERRUPTED:
        /* Creates are not to wait until the server has time: it is looked over again, then. */
        sweep->next = sweep_place_of(sweep, upkeep->domain);
        return look_over(sweep);
    case UPKEEP_DONE:
        break;
    }
    if (!wall_time_equal(upkeep->placed_at, WALL_TIME_NEVER) &&
        !pace_shift(&sweep->pace, upkeep->domain, upkeep->placed_at))
        return sweep_end(sweep, "out of memory");
    if (!upkeep->error)
        sweep->skipped = 0;
    else if (upkeep->is_over || !skip(sweep, upkeep->domain, upkeep->error, status))
        return give_up(sweep, upkeep->domain, upkeep->error);
    return next(sweep);
}

static enum machine_step change_one(struct sweep *sweep)
{
    if (sweep->at == sweep->count)
        return look_over(sweep);
    return after_upkeep(sweep,
                        upkeep_begin(&sweep->upkeep, sweep->context, &sweep->inventory,
                                     sweep->listed[sweep->at], sweep->not_before[sweep->at]),
                        200);
}

enum machine_step sweep_woken(struct sweep *sweep)
{
    return after_upkeep(sweep, upkeep_woken(&sweep->upkeep), 200);
}

static enum machine_step after_clearing(struct sweep *sweep, bool has_more)
{
    return has_more ? sweep_enter(sweep, STAGE_CLEAR, MACHINE_SEND)
                    : sweep_end(sweep, sweep->clearing.error);
}

static enum machine_step sweep_finish(struct sweep *sweep)
{
    keep_place(sweep, "", 0);
    return after_clearing(sweep,
                          clearing_begin(&sweep->clearing, sweep->context, &sweep->inventory));
}

/* The next ones. They ascend, so none of them stands behind the end of the list. */
static void choose_some(struct sweep *sweep)
{
    size_t all = sweep->inventory.domain_count;

    sweep->count = 0;
    for (; sweep->next < all && sweep->count < sweep->at_a_time; sweep->next++) {
        const struct inventory_domain *domain = domain_at(sweep, sweep->next);
        if (sweep->count > 0 && domain == sweep->inventory.domains)
            break;
        if (!domain->automatic)
            continue;
        sweep->listed[sweep->count] = domain;
        sweep->some[sweep->count++] = (struct lookup_domain){
            .id = domain->id,
            .asked = sweep_now(sweep),
            .with_dns_tasks = true,
            .stuck_after_seconds = sweep->context->settings->table.stuck_after_seconds};
    }
}

/*
 * Many at a time and in no flight, so that no create waits. Nothing is changed by it: it only shows
 * which domains are to be looked at again, alone.
 */
static enum machine_step look_over(struct sweep *sweep)
{
    choose_some(sweep);
    if (sweep->count == 0)
        return sweep_finish(sweep);
    /* The list has been read, to its end. */
    sweep->lookup =
        lookup_create(sweep->some, sweep->count, sweep->context->memory, sweep_now(sweep));
    if (!sweep->lookup)
        return sweep_end(sweep, "out of memory");
    lookup_spare_tasks(sweep->lookup);
    return sweep_enter(sweep, STAGE_OVERVIEW, MACHINE_SEND);
}

static void forget_overview(struct sweep *sweep)
{
    lookup_destroy(sweep->lookup);
    sweep->lookup = NULL;
}

/* Where one has Failed since the list was read, the next sweep finds it. */
static void mark_spent(struct sweep *sweep, const struct inventory_domain *domain,
                       const struct outlook *outlook)
{
    for (size_t i = 0; outlook->spent_count > 0 && i < outlook->task_count; i++) {
        const struct inventory_task *task =
            outlook->spent[i] ? inventory_task_of(&sweep->inventory, domain, outlook->tasks[i].id)
                              : NULL;
        if (task)
            sweep->inventory.tasks[task - sweep->inventory.tasks].spent = true;
    }
}

/* Whether it is to be changed, which in a dry run is told instead. False when memory ran out. */
static bool look_at(struct sweep *sweep, size_t i, wall_time *not_before, bool *changes)
{
    const struct lookup_domain *found = &sweep->some[i];
    struct outlook outlook;

    if (!outlook_open(&outlook, &sweep->inventory, sweep->listed[i], found,
                      sweep->context->settings, sweep_now(sweep)))
        return false;
    bool placed = pace_place(&sweep->pace, sweep->listed[i], found, &outlook, not_before);
    if (placed) {
        outlook_plan(&outlook, found, *not_before, sweep_now(sweep));
        mark_spent(sweep, sweep->listed[i], &outlook);
        upkeep_note_found(sweep->context, found, &outlook);
        *changes = outlook.plan.changes > 0 && !sweep->context->dry_run;
        if (sweep->context->dry_run)
            upkeep_tell_plan(sweep->context, found, &outlook);
    }
    outlook_clear(&outlook);
    return placed;
}

static enum machine_step change_some(struct sweep *sweep)
{
    size_t kept = 0;
    bool fine = true, changes;
    wall_time not_before;

    for (size_t i = 0; fine && i < sweep->count; i++) {
        fine = look_at(sweep, i, &not_before, &changes);
        if (!fine || !changes)
            continue;
        sweep->not_before[kept] = not_before;
        sweep->listed[kept++] = sweep->listed[i];
    }
    forget_overview(sweep);
    if (!fine)
        return sweep_end(sweep, "out of memory");
    sweep->count = kept;
    sweep->at = 0;
    sweep->skipped = 0;
    sweep->at_a_time =
        2 * sweep->at_a_time < LOOKUP_AT_A_TIME ? 2 * sweep->at_a_time : LOOKUP_AT_A_TIME;
    return change_one(sweep);
}

/* Without any answer it may be the look itself that the server does not survive: the next sweep
 * looks at fewer. */
static enum machine_step give_up_overview(struct sweep *sweep, const char *error)
{
    if (sweep->count == 1)
        return give_up(sweep, sweep->listed[0], error);
    size_t first = sweep_place_of(sweep, sweep->listed[0]);
    keep_place(sweep, first > 0 ? domain_at(sweep, first - 1)->id : NULL, sweep->count / 2);
    return sweep_end(sweep, error);
}

/* Something is wrong with one of them, or with the server: halved, until it is one. */
static enum machine_step overview_failed(struct sweep *sweep, enum lookup_state state,
                                         unsigned status)
{
    const char *error = lookup_error(sweep->lookup);

    forget_overview(sweep);
    if (state != LOOKUP_FAILED)
        return sweep_end(sweep, error);
    if (upkeep_is_over(status))
        return give_up_overview(sweep, error);
    if (sweep->count > 1) {
        sweep->at_a_time = sweep->count / 2;
        sweep->next = sweep_place_of(sweep, sweep->listed[0]);
    } else if (!skip(sweep, sweep->listed[0], error, status)) {
        return give_up(sweep, sweep->listed[0], error);
    }
    return look_over(sweep);
}

static enum machine_step feed_overview(struct sweep *sweep, unsigned status, const char *body,
                                       size_t len)
{
    enum lookup_state state = lookup_feed(sweep->lookup, status, body, len);

    if (state == LOOKUP_SEND_API || state == LOOKUP_SEND_SESSION)
        return sweep->step = MACHINE_SEND;
    return state == LOOKUP_DONE ? change_some(sweep) : overview_failed(sweep, state, status);
}

static enum machine_step feed_list(struct sweep *sweep, unsigned status, const char *body,
                                   size_t len)
{
    inventory_feed(&sweep->inventory, status, body, len);
    if (sweep->inventory.error)
        return sweep_end(sweep, sweep->inventory.error);
    if (inventory_body(&sweep->inventory, &len))
        return sweep_enter(sweep, STAGE_LIST, MACHINE_SEND);
    if (!pace_open(&sweep->pace, &sweep->inventory, sweep->context->settings->account_limit,
                   sweep_now(sweep)))
        return sweep_end(sweep, "out of memory");
    if (sweep->context->remembers)
        inventory_note_tasks(&sweep->inventory, sweep->context->memory, sweep->moment);
    find_start(sweep);
    return look_over(sweep);
}

/* The driver's side. */

struct sweep *sweep_create(const struct sweep_context *context)
{
    size_t at_a_time = context->place->at_a_time;
    struct sweep *sweep = calloc(1, sizeof *sweep);
    if (!sweep)
        return NULL;

    sweep->context = context;
    sweep->moment = memory_moment(context->memory);
    sweep->at_a_time = at_a_time > 0 && at_a_time < LOOKUP_AT_A_TIME ? at_a_time : LOOKUP_AT_A_TIME;
    inventory_begin(&sweep->inventory, context->memory, sweep_now(sweep));
    const struct issue_limit limit = context->settings->account_limit;
    if (limit.burst > 0)
        sweep->inventory.issued_since = account_limit_past(limit, sweep_now(sweep));
    if (sweep->inventory.error) {
        sweep_destroy(sweep);
        return NULL;
    }
    sweep_enter(sweep, STAGE_LIST, MACHINE_SEND);
    return sweep;
}

void sweep_destroy(struct sweep *sweep)
{
    if (!sweep)
        return;
    upkeep_end(&sweep->upkeep);
    forget_overview(sweep);
    clearing_end(&sweep->clearing);
    pace_close(&sweep->pace);
    inventory_clear(&sweep->inventory);
    free(sweep);
}

static enum machine_step sweep_step(const void *self)
{
    return ((const struct sweep *)self)->step;
}

static struct machine_order sweep_order(const void *self)
{
    const struct sweep *sweep = self;
    const struct own_request *clearing = &sweep->clearing.request;
    struct machine_order order = {.body = clearing->body, .len = clearing->len};

    switch (sweep->stage) {
    case STAGE_LIST:
        order.body = inventory_body(&sweep->inventory, &order.len);
        break;
    case STAGE_OVERVIEW:
        order.is_session = lookup_state(sweep->lookup) == LOOKUP_SEND_SESSION;
        order.body = lookup_body(sweep->lookup, &order.len);
        order.tries = sweep->at_a_time < LOOKUP_AT_A_TIME ? SMALL_TRIES : 0;
        break;
    case STAGE_UPKEEP:
        return upkeep_request(&sweep->upkeep);
    default:
        break;
    }
    return order;
}

static void sweep_feed(void *self, unsigned status, const char *body, size_t len)
{
    struct sweep *sweep = self;

    switch (sweep->stage) {
    case STAGE_LIST:
        feed_list(sweep, status, body, len);
        break;
    case STAGE_OVERVIEW:
        feed_overview(sweep, status, body, len);
        break;
    case STAGE_UPKEEP:
        after_upkeep(sweep, upkeep_feed(&sweep->upkeep, status, body, len), status);
        break;
    case STAGE_CLEAR:
        after_clearing(sweep, clearing_feed(&sweep->clearing, status, body, len));
        break;
    case STAGE_END:
        break;
    }
}

const struct machine sweep_machine = {.step = sweep_step, .order = sweep_order, .feed = sweep_feed};

const char *sweep_error(const struct sweep *sweep)
{
    return sweep->error;
}
