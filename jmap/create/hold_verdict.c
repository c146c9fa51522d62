#include "jmap/create/hold_verdict.h"

#include <stdio.h>
#include <string.h>

#include "jmap/facts/judgement.h"
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

/* What it removes was there, whichever of its creates is decided next. */
static void take_removed_back(struct lookup_domain *facts)
{
    facts->task_count += facts->removed_count;
    facts->removed_count = 0;
}

/* Whether one of those behind the others would have been a renewal on its way. */
static bool has_removed_live(const struct lookup_domain *facts)
{
    for (size_t i = 0; i < facts->removed_count; i++) {
        if (facts->tasks[facts->task_count + i].state != TASK_FAILED)
            return true;
    }
    return false;
}

/* Whether the request takes away the DNS task that a renewal would follow. */
static bool removes_follower(const struct hold *hold, const struct domain *domain)
{
    const char *id = domain->facts->follower.id;

    return id && (domain->late ? answer_has_destroyed(&hold->answer, id) : hold_removes(hold, id));
}

/* Whether the request takes a Failed task away, by which the next order waits. */
static bool removes_failure(const struct hold *hold, const struct lookup_domain *found)
{
    for (size_t i = 0; i < found->task_count; i++) {
        if (renewal_task_has_failed(&found->tasks[i]) && hold_removes(hold, found->tasks[i].id))
            return true;
    }
    return false;
}

/* What holds a domain that is not to end with the tasks that tell of it. */
static struct setback_hold hold_of(const struct lookup_domain *found, const struct held *held)
{
    return (struct setback_hold){
        .order = found->order,
        .setup = found->setup,
        .refused = held->refused,
        .failing = wall_time_later(held->by_source[HELD_BY_FAILURES], found->kept.failing),
        .failures = held->failures < found->failures ? found->failures : held->failures,
        .counted = found->kept.counted};
}

/*
 * What the request has taken away was refused, or has failed, all the same: for these names and
 * settings. Whether it has taken failures away.
 */
static bool carry_over(struct setback_hold *now, const struct setback_hold *before)
{
    if (before->order == now->order)
        now->refused = wall_time_later(now->refused, before->refused);
    if (before->setup != now->setup ||
        (now->failures >= before->failures && !wall_time_before(now->failing, before->failing)))
        return false;
    now->failing = wall_time_later(now->failing, before->failing);
    if (now->failures < before->failures) {
        now->failures = before->failures;
        now->counted = before->counted;
    }
    return true;
}

static void prolong(struct held *held, const struct setback_hold *hold, bool forced)
{
    held->refused = hold->refused;
    held_prolong(held, HELD_BY_CA, hold->refused);
    if (forced)
        return;
    held->failures = hold->failures;
    held_prolong(held, HELD_BY_FAILURES, hold->failing);
}

/* It is known to later requests, too. */
static void keep_hold(const struct hold *hold, const struct lookup_domain *found,
                      struct setback_hold keep, bool failures_go)
{
    if (!wall_time_before(hold->now, keep.refused))
        keep.refused = WALL_TIME_NEVER;
    if (!failures_go)
        keep.failing = WALL_TIME_NEVER;
    if (!wall_time_equal(wall_time_later(keep.refused, keep.failing), WALL_TIME_NEVER))
        lookup_keep_hold(hold->context->memory, found, keep);
}

/* What was found of the domain, less what the request removes. */
static void take_facts(const struct hold *hold, struct domain *domain, struct decision_facts *out)
{
    struct lookup_domain *found = domain->facts;

    take_removed_back(found);
    struct held held = judgement_add(out, hold->context->settings, found);
    struct setback_hold now = hold_of(found, &held);
    bool failures_go =
        removes_failure(hold, found) || !wall_time_equal(found->kept.failing, WALL_TIME_NEVER);

    if (domain->late) {
        failures_go |= carry_over(&now, &domain->before);
        prolong(&held, &now, out->forced);
    }
    keep_hold(hold, found, now, failures_go);
    domain->before = now;
    domain->refused_until = held.until;
    domain->held_by = held.by;
    domain->failures = held.failures;
    domain->failure = held.reason;
    out->held_by = held.by;
    out->refused_until = held.until;
    out->task_count = domain->late ? found->task_count : tasks_left(hold, found);
    if (removes_follower(hold, domain))
        out->follower = NULL;
}

/* Whether nothing has been forwarded of late, or it is taken away again. */
static bool is_gone(const struct hold *hold, const struct domain *domain, const char *forwarded_id)
{
    return !forwarded_id[0] || (domain->late ? answer_has_destroyed(&hold->answer, forwarded_id)
                                             : hold_removes(hold, forwarded_id));
}

/* What stands in where nothing could be looked up. */
static void take_blind_facts(const struct hold *hold, const struct domain *domain,
                             struct decision_facts *out, struct domain_memory *known)
{
    judgement_recall(out, hold->context->settings, hold->context->memory, domain->id, known);
    /* What this request has sent itself is no other's. */
    if (domain->sent)
        out->blind_unanswered = false;
    if (is_gone(hold, domain, known->forwarded_id))
        out->blind_id = NULL;
}

/* Whether what a first decision rests on may be another once the request has been answered. */
static bool may_change(const struct hold *hold, const struct held_create *create,
                       const struct domain *domain, const struct decision_facts *facts,
                       const char *forwarded_id)
{
    if (hold->context->settings->observe)
        return false;
    return batch_changes_after(&hold->batch, create->call) ||
           (facts->looked_up ? has_removed_live(domain->facts)
                             : forwarded_id[0] && hold_removes(hold, forwarded_id));
}

void verdict_settle_time(const struct hold *hold, struct domain *domain)
{
    bool made = !hold->context->settings->observe &&
                (hold->verdicts[domain->first].state == VERDICT_ANSWERED ||
                 verdict_is_unknown(hold, domain));

    if (!made)
        verdict_give_time(hold, domain);
    else if (domain->took)
        memory_keep_time(hold->context->memory, domain->id);
    domain->took = false;
}

void verdict_give_time(const struct hold *hold, struct domain *domain)
{
    if (domain->took)
        memory_give_time(hold->context->memory, domain->id);
    domain->took = false;
}

/* The id that is answered, where it is known yet; the decision's dies with the facts. */
static void keep_answer(const struct domain *domain, struct verdict *verdict)
{
    struct decision *decision = &verdict->decision;

    snprintf(verdict->id, OBJECT_ID_SIZE, "%s", decision->id ? decision->id : "");
    decision->id = NULL;
    if (decision->outcome == OUTCOME_NO_OP)
        no_op_id(domain->id, domain->facts->certificate_id, verdict->id);
}

/*
 * The order counts. The facts are taken by `late` as it stands: whether the client's request has
 * been carried out. They tell what it removes, and so whether this is to be decided once more
 * afterwards, which sets `late`. Reading the table takes one of the account's times and may make H
 * later; so what holds the domain is kept after that.
 */
static void decide_domain(struct hold *hold, size_t i, struct domain *domain)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct hold_settings *settings = hold->context->settings;
    struct task_memory *memory = hold->context->memory;
    struct verdict *verdict = &hold->verdicts[i];
    struct domain_memory known = {0};
    struct decision_trace trace;
    struct decision_facts facts = decision_begin(
        &settings->table, hold->now, hold_asked_time(hold, create), hold_is_forced(hold));

    facts.ends_dns_task = create->of_dns_task;
    if (domain->facts && (domain->late || !hold->lookup_error))
        take_facts(hold, domain, &facts);
    else
        take_blind_facts(hold, domain, &facts, &known);

    if (may_change(hold, create, domain, &facts, known.forwarded_id))
        domain->late = true;

    verdict->decision =
        judgement_decide(&facts, settings, memory, domain->facts, &domain->took, &trace);
    if (facts.looked_up) {
        domain->refused_until = facts.refused_until;
        domain->held_by = facts.held_by;
    }
    keep_answer(domain, verdict);
}

static bool is_no_op(const struct hold *hold, size_t i)
{
    return hold->verdicts[i].decision.outcome == OUTCOME_NO_OP;
}

/* What has come to nothing leaves those behind it to themselves; for as long as the certificate is
 * fresh, they come to the same. */
static void decide_behind_no_op(struct hold *hold, size_t i, struct domain *domain)
{
    const struct verdict *first = &hold->verdicts[domain->first];
    struct verdict *verdict = &hold->verdicts[i];
    wall_time asked = hold_asked_time(hold, &hold->request.creates[i]);

    if (domain->shared || wall_time_before(asked, domain->facts->renewal_due)) {
        verdict->decision = first->decision;
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
        return;
    }
    domain->first = i;
    decide_domain(hold, i, domain);
}

static void decide_twin(struct hold *hold, size_t i, const struct domain *domain)
{
    struct verdict *verdict = &hold->verdicts[i];

    verdict->decision = (struct decision){.outcome = OUTCOME_EXISTING,
                                          .row = 2,
                                          .due = WALL_TIME_NEVER,
                                          .why = "created in the same request"};
    memcpy(verdict->id, hold->verdicts[domain->first].id, OBJECT_ID_SIZE);
}

static struct decision shared_decision(const struct domain *domain, struct verdict *verdict)
{
    const struct flight_result *result = &domain->place.result;

    memcpy(verdict->id, result->id, OBJECT_ID_SIZE);
    return (struct decision){
        .outcome = result->no_op ? OUTCOME_NO_OP : OUTCOME_EXISTING,
        .row = result->row,
        .due = WALL_TIME_NEVER,
        .why = "another request settled the domain at the same moment",
    };
}

/* The earliest that the caller may create, or the earliest. */
static size_t first_allowed(const struct hold *hold, const struct domain *domain)
{
    size_t i = domain->earliest;

    while (i < hold->request.count && hold->verdicts[i].barred)
        i = hold->verdicts[i].next;
    return i < hold->request.count ? i : domain->earliest;
}

void verdict_decide(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct domain *domain = hold_domain_of(hold, create->domain);
    struct verdict *verdict = &hold->verdicts[i];

    if (domain->earliest == i)
        domain->first = first_allowed(hold, domain);
    if (hold_domain_is_reference(domain)) {
        /* It means nothing, or what the same call makes, which is no domain. */
        verdict->decision = (struct decision){.outcome = OUTCOME_FORWARD,
                                              .row = 8,
                                              .due = WALL_TIME_NEVER,
                                              .why = "the reference to the domain means none"};
    } else if (verdict->barred) {
        verdict->decision = (struct decision){.outcome = OUTCOME_REFUSE,
                                              .row = 10,
                                              .due = WALL_TIME_NEVER,
                                              .why = "the caller may not create it"};
    } else if (domain->first != i && !domain->late && is_no_op(hold, domain->first)) {
        decide_behind_no_op(hold, i, domain);
    } else if (domain->first != i) {
        decide_twin(hold, i, domain);
    } else if (domain->shared) {
        verdict->decision = shared_decision(domain, verdict);
    } else {
        domain->late = false;
        decide_domain(hold, i, domain);
    }
}

/* The client's request. */

/* It is made in any case, with or without a renewal that follows. */
static bool write_dns_task(struct hold *hold, struct held_create *create, struct verdict *verdict,
                           bool late)
{
    verdict->followed = !late && verdict->decision.outcome == OUTCOME_FORWARD;
    if (verdict->followed)
        return true;
    hold->changed = verdict->is_placeholder = true;
    return hold->caller.unauthorized && hold->caller.rehearses ? request_make_placeholder(create)
                                                               : request_drop_renewal(create);
}

bool verdict_write(struct hold *hold, size_t i)
{
    struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    bool late = hold_domain_of(hold, create->domain)->late;

    if (create->of_dns_task)
        return write_dns_task(hold, create, verdict, late);
    if (!late && verdict->decision.outcome == OUTCOME_FORWARD)
        return true;
    hold->changed = true;
    if (!late && verdict->decision.outcome == OUTCOME_SCHEDULE)
        return request_set_due(create, verdict->decision.due);
    verdict->is_placeholder = hold->has_placeholders = true;
    return request_make_placeholder(create);
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

/*
 * The server has refused the create that was to decide, so what the table says to this one counts:
 * it may have been asked for at another time. What was decided without the table stays.
 */
static void take_the_lead(struct hold *hold, size_t i, struct domain *domain)
{
    const struct verdict *first = &hold->verdicts[domain->first];
    struct verdict *verdict = &hold->verdicts[i];

    if (domain->shared || first->decision.outcome == OUTCOME_REFUSE) {
        verdict->decision = first->decision;
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
    } else if (!domain->late) {
        verdict_give_time(hold, domain);
        decide_domain(hold, i, domain);
    }
    domain->first = i;
}

static void judge_placeholder(struct hold *hold, size_t i)
{
    struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
    struct verdict *verdict = &hold->verdicts[i];
    bool is_second = domain->first != i && !verdict->barred;
    bool is_apart = is_no_op(hold, i) && !domain->late;

    if (is_second && hold->verdicts[domain->first].state == VERDICT_REJECTED)
        take_the_lead(hold, i, domain);
    else if (is_second && !is_apart) {
        verdict->state = VERDICT_TWIN;
        return;
    }
    verdict->state = domain->late ? VERDICT_LATE : accepted_state(verdict);
}

void verdict_judge(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = answer_created_id(&hold->answer, create->call, create->key);

    bool made_alone = id && create->of_dns_task && verdict->is_placeholder;

    if (made_alone || (verdict->is_placeholder &&
                       answer_is_placeholder(&hold->answer, create->call, create->key))) {
        judge_placeholder(hold, i);
    } else if (id) {
        verdict->state = VERDICT_ANSWERED;
        snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
    } else {
        verdict->state = VERDICT_REJECTED;
        verdict_note_error(verdict, answer_error_type(&hold->answer, create->call, create->key));
    }
}

void verdict_note_error(struct verdict *verdict, const char *type)
{
    snprintf(verdict->error, sizeof verdict->error, "%s", type ? type : "");
}

void verdict_decide_late(struct hold *hold, struct domain *domain)
{
    size_t i = domain->first;

    decide_domain(hold, i, domain);
    hold->verdicts[i].state = accepted_state(&hold->verdicts[i]);
    for (i = hold->verdicts[i].next; i < hold->request.count && is_no_op(hold, domain->first);
         i = hold->verdicts[i].next) {
        if (hold->verdicts[i].state != VERDICT_TWIN)
            continue;
        decide_behind_no_op(hold, i, domain);
        hold->verdicts[i].state = accepted_state(&hold->verdicts[i]);
    }
}

/* Refusing. */

static bool makes_a_task(const struct hold *hold, size_t i)
{
    enum outcome outcome = hold->verdicts[i].decision.outcome;

    return (outcome == OUTCOME_FORWARD || outcome == OUTCOME_SCHEDULE) &&
           !hold_domain_is_reference(hold_domain_of(hold, hold->request.creates[i].domain));
}

static void set_refusal(struct verdict *verdict, const char *why)
{
    verdict->decision =
        (struct decision){.outcome = OUTCOME_REFUSE, .row = 10, .due = WALL_TIME_NEVER, .why = why};
    verdict->id[0] = '\0';
}

bool verdict_refuse(struct hold *hold, size_t i)
{
    if (!makes_a_task(hold, i))
        return false;
    set_refusal(&hold->verdicts[i], "the lock that replicas share was lost");
    return true;
}

void verdict_keep_off(struct hold *hold, size_t i)
{
    struct verdict *verdict = &hold->verdicts[i];

    /* One that is a reference to no domain makes nothing, and the server has its own error. */
    if (hold_domain_is_reference(hold_domain_of(hold, hold->request.creates[i].domain)))
        return;
    if (makes_a_task(hold, i) || verdict->decision.outcome == OUTCOME_MOVE || hold->caller.refused)
        set_refusal(verdict, hold->caller.unauthorized
                                 ? "the server has not shown that the caller may create"
                                 : "another request for the domain has no answer yet");
}

/* Settling. */

void verdict_settle_twins(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
        const struct verdict *first = &hold->verdicts[domain->first];
        struct verdict *verdict = &hold->verdicts[i];
        if (verdict->state != VERDICT_TWIN)
            continue;
        verdict->state = first->state;
        memcpy(verdict->error, first->error, ERROR_TYPE_SIZE);
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
    }
}

bool verdict_is_unknown(const struct hold *hold, const struct domain *domain)
{
    return domain->sent && hold->verdicts[domain->first].state == VERDICT_UNKNOWN;
}

wall_time verdict_due(const struct hold *hold, const struct domain *domain)
{
    const struct decision *decision = &hold->verdicts[domain->first].decision;

    return decision->outcome == OUTCOME_SCHEDULE || decision->outcome == OUTCOME_MOVE
               ? decision->due
               : hold_asked_time(hold, &hold->request.creates[domain->first]);
}
