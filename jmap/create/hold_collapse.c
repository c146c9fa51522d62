#include "jmap/create/hold_collapse.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_verdict.h"
#include "jmap/facts/memory.h"
#include "jmap/tidy/collapse.h"
#include "jmap/tidy/queue_change.h"
#include "policy/collapse.h"

/* The ids that a collapse is to look at; borrowed from the look-up, the request and its answer. */
struct id_list {
    const char **ids;
    size_t count;
};

/* The task that the client's create has made, or NULL. */
static const char *created_id(const struct hold *hold, const struct domain *domain)
{
    const struct verdict *verdict = &hold->verdicts[domain->first];

    return verdict->state == VERDICT_ANSWERED && !verdict->is_placeholder && !verdict->followed
               ? verdict->id
               : NULL;
}

/* Live when it was read, and not destroyed by the client's own request since. */
static bool is_left(const struct hold *hold, const struct renewal_task *task)
{
    return task->state != TASK_FAILED && !answer_has_destroyed(&hold->answer, task->id);
}

static bool list_ids(const struct hold *hold, const struct domain *domain,
                     const struct lookup_domain *facts, struct id_list *list)
{
    size_t count = facts->task_count + facts->removed_count;
    const char *created = created_id(hold, domain);
    bool is_listed = false;

    *list = (struct id_list){.ids = calloc(count + 1, sizeof *list->ids)};
    if (!list->ids)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (!is_left(hold, &facts->tasks[i]))
            continue;
        list->ids[list->count++] = facts->tasks[i].id;
        is_listed |= created && strcmp(created, facts->tasks[i].id) == 0;
    }
    if (created && !is_listed)
        list->ids[list->count++] = created;
    return true;
}

/* What was forced is to run before its certificate is due. */
static wall_time renewal_due(const struct hold *hold, const struct lookup_domain *facts)
{
    return hold_is_forced(hold) ? WALL_TIME_NEVER : facts->renewal_due;
}

/* Answered with the next renewal, which is not to be later than the certificate needs it. */
static bool is_fresh(const struct hold *hold, const struct domain *domain)
{
    return hold->verdicts[domain->first].decision.next_renewal;
}

/* Whether the tasks, as they were read, are more than one or not as they should be. */
static bool needs_collapse(const struct hold *hold, const struct domain *domain,
                           const struct lookup_domain *facts)
{
    size_t count = facts->task_count + facts->removed_count, left = 0;
    struct renewal_task *tasks = calloc(count + 1, sizeof *tasks);
    const char *created = created_id(hold, domain);
    int64_t stuck_after = hold->context->settings->table.stuck_after_seconds;

    if (!tasks)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (is_left(hold, &facts->tasks[i]))
            tasks[left++] = facts->tasks[i];
    }
    if (created)
        tasks[left++] = (struct renewal_task){.id = created, .due = verdict_due(hold, domain)};
    bool needed = collapse_plan(&(struct collapse_facts){.now = hold->now,
                                                         .refused_until = domain->refused_until,
                                                         .renewal_due = renewal_due(hold, facts),
                                                         .expires = facts->newest_expiry,
                                                         .upkeep = is_fresh(hold, domain),
                                                         .stuck_after_seconds = stuck_after,
                                                         .tasks = tasks,
                                                         .task_count = left},
                                NULL)
                      .changes > 0;
    free(tasks);
    return needed;
}

/* A task that creates are answered with has got another due time. */
static void note_moved(struct hold *hold, const struct queue_change *change)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        struct verdict *verdict = &hold->verdicts[i];

        if (verdict->decision.outcome == OUTCOME_EXISTING && strcmp(verdict->id, change->id) == 0)
            verdict->decision.due = change->due;
    }
}

static void tell_change(void *user, const struct queue_change *change)
{
    struct hold *hold = user;
    struct domain *domain = &hold->domains[hold->collapse.next];

    if (change->action == QUEUE_POSTPONED || change->action == QUEUE_ADVANCED)
        note_moved(hold, change);
    if (change->survivor)
        strncpy(domain->survivor, change->survivor, OBJECT_ID_SIZE - 1);
    if (hold->context->changed)
        hold->context->changed(hold->context->user, change);
}

static wall_time time_now(void *user)
{
    const struct hold *hold = user;

    return hold->context->now(hold->context->user);
}

/* The Failed ones that say what a newer one says; NULL where there are none, or no memory. */
static struct renewal_task *list_spent(const struct hold *hold, const struct lookup_domain *facts,
                                       size_t *count)
{
    const struct held_facts held =
        lookup_held_facts(facts, hold_limits(hold->context->settings), hold->now);
    struct renewal_task *list = calloc(facts->task_count + 1, sizeof *list);
    bool *spent = calloc(facts->task_count + 1, sizeof *spent);

    *count = 0;
    if (list && spent && !memory_failed_stay(hold->context->memory))
        held_find_spent(&held, spent);
    for (size_t i = 0; list && spent && i < facts->task_count; i++) {
        if (spent[i] && !answer_has_destroyed(&hold->answer, facts->tasks[i].id))
            list[(*count)++] = facts->tasks[i];
    }
    free(spent);
    return list;
}

static bool begin_collapse(struct hold *hold, const struct domain *domain,
                           const struct lookup_domain *facts)
{
    size_t spent_count;
    struct renewal_task *spent = list_spent(hold, facts, &spent_count);
    bool needed = needs_collapse(hold, domain, facts);
    struct id_list list = {0};

    if ((!needed && spent_count == 0) || (needed && !list_ids(hold, domain, facts, &list))) {
        free(spent);
        return false;
    }
    hold->collapse.machine = collapse_create(&(struct collapse_order){
        .domain_id = facts->id,
        .domain_name = facts->name,
        .task_ids = list.ids,
        .task_count = list.count,
        .most = memory_objects_a_call(hold->context->memory),
        .spent = spent,
        .spent_count = spent_count,
        .refused_until = domain->refused_until,
        .renewal_due = renewal_due(hold, facts),
        .expires = facts->newest_expiry,
        .upkeep = is_fresh(hold, domain),
        .stuck_after_seconds = hold->context->settings->table.stuck_after_seconds,
        .blind_hold_seconds = hold->context->settings->blind_hold_seconds,
        .released = renewal_task_released(facts->tasks, facts->task_count),
        .now = time_now,
        .changed = tell_change,
        .user = hold,
    });
    free(list.ids);
    free(spent);
    return hold->collapse.machine != NULL &&
           collapse_body(hold->collapse.machine, &(size_t){0}) != NULL;
}

void hold_drop_collapse(struct hold *hold)
{
    collapse_destroy(hold->collapse.machine);
    hold->collapse.machine = NULL;
}

/* Whether something is to be sent for the domain. */
static bool begin_domain(struct hold *hold, struct domain *domain)
{
    if (hold->verdicts[domain->first].state != VERDICT_ANSWERED || domain->shared || domain->alone)
        return false;
    if (!domain->facts || hold->lookup_error || !domain->facts->renewable ||
        !begin_collapse(hold, domain, domain->facts))
        return false;
    return true;
}

enum phase_step hold_begin_collapse(struct hold *hold)
{
    bool owned = hold_owns_domains(hold);

    verdict_settle_twins(hold);
    for (; owned && hold->collapse.next < hold->domain_count; hold->collapse.next++) {
        hold_drop_collapse(hold);
        if (begin_domain(hold, &hold->domains[hold->collapse.next]))
            return PHASE_SEND;
    }
    return PHASE_NEXT;
}

enum phase_step hold_feed_collapse(struct hold *hold, unsigned status, const char *body, size_t len)
{
    collapse_feed(hold->collapse.machine, status, body, len);
    if (collapse_keeps_failed(hold->collapse.machine))
        memory_note_failed_stay(hold->context->memory);
    if (collapse_body(hold->collapse.machine, &len) && hold_owns_domains(hold))
        return PHASE_SEND;
    hold->collapse.next++;
    return hold_begin_collapse(hold);
}

void hold_describe_collapse(const struct hold *hold, struct hold_request *request)
{
    request->is_lookup = true;
    request->body = collapse_body(hold->collapse.machine, &request->len);
}
