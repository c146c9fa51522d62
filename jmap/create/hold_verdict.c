#include "jmap/create/hold_parts.h"

#include <stdio.h>
#include <string.h>

#include "policy/no_op_id.h"

/* Deciding. */

/* Puts those that the request itself removes behind the others, which keep their order. */
static size_t tasks_left(const struct hold *hold, struct lookup_domain *facts)
{
    size_t kept = 0;

    for (size_t i = 0; i < facts->task_count; i++) {
        struct renewal_task task = facts->tasks[i];
        if (hold_removes(hold, task.id))
            continue;
        facts->tasks[i] = facts->tasks[kept];
        facts->tasks[kept++] = task;
    }
    facts->removed_count += facts->task_count - kept;
    return facts->task_count = kept;
}

static void recall_blind(const struct hold *hold, const char *domain_id,
                         struct domain_memory *known)
{
    const struct hold_settings *settings = hold->context->settings;

    memory_recall(hold->context->memory, domain_id, known);
    wall_time until = wall_time_add(known->forwarded_at, settings->blind_interval_seconds);
    if (!wall_time_before(hold->now, until) || hold_removes(hold, known->forwarded_id))
        known->forwarded_id[0] = '\0';
}

static struct held held_of(const struct hold *hold, const struct lookup_domain *found)
{
    struct held_facts facts =
        lookup_held_facts(found, hold_limits(hold->context->settings), hold->now);

    facts.forced = hold_is_forced(hold);
    return held_until(&facts);
}

void verdict_take_facts(const struct hold *hold, struct domain *domain, struct decision_facts *out)
{
    struct lookup_domain *found = domain->facts;

    if (!out->looked_up)
        return;
    struct held held = held_of(hold, found);
    domain->refused_until = held.until;
    domain->failure = held.reason;
    out->held_by = held.by;
    out->renewable = found->renewable;
    out->renewal_due = found->renewal_due;
    out->refused_until = domain->refused_until;
    out->task_count = tasks_left(hold, found);
    out->tasks = found->tasks;
}

static struct decision decide_create(struct hold *hold, const struct held_create *create,
                                     struct domain *domain)
{
    const struct hold_settings *settings = hold->context->settings;
    struct domain_memory known = {0};
    struct decision_facts facts = {
        .now = hold->now,
        .asked = hold_asked_time(hold, create),
        .forced = hold_is_forced(hold),
        .looked_up = !hold->lookup_error && domain->facts,
        .renewal_due = WALL_TIME_NEVER,
        .refused_until = WALL_TIME_NEVER,
        .not_due = settings->not_due,
        .on_lookup_failure = settings->on_lookup_failure,
    };

    verdict_take_facts(hold, domain, &facts);
    if (!facts.looked_up)
        recall_blind(hold, domain->id, &known);
    facts.blind_id = known.forwarded_id[0] ? known.forwarded_id : NULL;

    struct decision decision = decide(&facts);
    struct verdict *verdict = &hold->verdicts[create - hold->request.creates];
    if (decision.id)
        strncpy(verdict->id, decision.id, OBJECT_ID_SIZE - 1);
    decision.id = NULL; /* it does not outlive the facts */
    return decision;
}

static struct decision shared_decision(const struct domain *domain, struct verdict *verdict)
{
    const struct flight_result *result = &domain->place.result;

    memcpy(verdict->id, result->id, OBJECT_ID_SIZE);
    return (struct decision){
        .outcome = result->no_op ? OUTCOME_NO_OP : OUTCOME_EXISTING,
        .row = result->no_op ? 4 : 2,
        .due = WALL_TIME_NEVER,
        .why = "another request settled the domain at the same moment",
    };
}

void verdict_decide(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct domain *domain = hold_domain_of(hold, create->domain);
    struct verdict *verdict = &hold->verdicts[i];

    if (verdict->barred) {
        verdict->decision = (struct decision){.outcome = OUTCOME_REFUSE,
                                              .row = 10,
                                              .due = WALL_TIME_NEVER,
                                              .why = "the caller may not create it"};
    } else if (domain->first != i) {
        verdict->decision = (struct decision){.outcome = OUTCOME_EXISTING,
                                              .row = 2,
                                              .due = WALL_TIME_NEVER,
                                              .why = "created earlier in the same request"};
        memcpy(verdict->id, hold->verdicts[domain->first].id, OBJECT_ID_SIZE);
    } else if (domain->shared) {
        verdict->decision = shared_decision(domain, verdict);
    } else if (hold_domain_is_reference(domain)) {
        verdict->decision = (struct decision){.outcome = OUTCOME_FORWARD,
                                              .row = 8,
                                              .due = WALL_TIME_NEVER,
                                              .why = "the domain is made in the same request"};
    } else {
        verdict->decision = decide_create(hold, create, domain);
        if (verdict->decision.outcome == OUTCOME_NO_OP)
            no_op_id(domain->id, domain->facts->certificate_id ? domain->facts->certificate_id : "",
                     verdict->id);
    }
}

/* The client's request. */

static bool mask(struct hold *hold, size_t i)
{
    struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    size_t first = hold_domain_of(hold, create->domain)->first;

    verdict->masked = hold->masked = hold->changed = true;
    if (!request_mask(create))
        return false;
    if (verdict->barred)
        return true;
    if (verdict->id[0])
        return request_seed(&hold->request, create->call, create->key, verdict->id);
    if (first != i)
        return request_alias(&hold->request, create->call, create->key,
                             hold->request.creates[first].key);
    return true;
}

bool verdict_write(struct hold *hold, size_t i)
{
    const struct decision *decision = &hold->verdicts[i].decision;

    switch (decision->outcome) {
    case OUTCOME_FORWARD:
        return !hold_awaits_birth(hold, hold_domain_of(hold, hold->request.creates[i].domain)) ||
               mask(hold, i);
    case OUTCOME_SCHEDULE:
        hold->changed = true;
        return request_set_due(&hold->request.creates[i], decision->due);
    default:
        return mask(hold, i);
    }
}

/* Judging. */

/* What the decision makes of a create that the server let pass as far as its domain. */
static enum verdict_state accepted_state(const struct verdict *verdict)
{
    switch (verdict->decision.outcome) {
    case OUTCOME_REFUSE:
        return VERDICT_UNAVAILABLE;
    case OUTCOME_FORWARD:
    case OUTCOME_SCHEDULE:
        return VERDICT_RESEND;
    default:
        return VERDICT_ANSWERED;
    }
}

static void judge_masked(struct hold *hold, size_t i)
{
    struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
    const struct verdict *first = &hold->verdicts[domain->first];
    struct verdict *verdict = &hold->verdicts[i];

    if (domain->first != i && first->state != VERDICT_REJECTED && !verdict->barred) {
        verdict->state = VERDICT_TWIN;
        return;
    }
    if (domain->first != i && !verdict->barred) {
        verdict->decision = first->decision;
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
        domain->first = i;
    }
    verdict->state = accepted_state(verdict);
}

void verdict_judge(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = answer_created_id(&hold->answer, create->call, create->key);

    if (id) {
        verdict->state = VERDICT_ANSWERED;
        snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
    } else if (verdict->masked && answer_is_masked(&hold->answer, create->call, create->key)) {
        judge_masked(hold, i);
    } else {
        verdict->state = VERDICT_REJECTED;
        verdict->error = answer_error_type(&hold->answer, create->call, create->key);
    }
}
