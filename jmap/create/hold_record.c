#include "jmap/create/hold_record.h"

#include <string.h>

#include "jmap/create/hold_verdict.h"
#include "jmap/facts/memory.h"
#include "jmap/facts/domain_snapshot.h"

/* The latest that has failed, which holds the next one; or NULL. */
static const struct renewal_task *latest_failure(const struct lookup_domain *facts)
{
    const struct renewal_task *latest = NULL;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];
        if (task->state == TASK_FAILED &&
            (!latest || wall_time_before(latest->failed_at, task->failed_at)))
            latest = task;
    }
    return latest;
}

/* Where there is room, of the Failed ones the latest: of a long list of those not all are read. */
static void remember_tasks(struct domain_memory *known, const struct domain *domain)
{
    const struct lookup_domain *facts = domain->facts;
    size_t kept = 0;

    memset(known->task_ids, 0, sizeof known->task_ids);
    if (domain->survivor[0])
        memcpy(known->task_ids[kept++], domain->survivor, OBJECT_ID_SIZE);
    for (size_t i = 0; i < facts->task_count && kept < MEMORY_TASKS; i++) {
        if (facts->tasks[i].state != TASK_FAILED)
            strncpy(known->task_ids[kept++], facts->tasks[i].id, OBJECT_ID_SIZE - 1);
    }
    const struct renewal_task *failed = latest_failure(facts);
    if (failed && kept < MEMORY_TASKS)
        strncpy(known->task_ids[kept], failed->id, OBJECT_ID_SIZE - 1);
}

/* Whether the request that is going out now lets the server make a task for this create. */
static bool goes_out(const struct hold *hold, size_t i)
{
    return !hold->context->settings->observe && hold->request.creates[i].domain[0] != '#' &&
           hold->makes && hold->makes(hold, i);
}

/* Names that a client made up are not worth the room, unless nobody could look. */
static bool is_worth_remembering(const struct hold *hold, const struct domain *domain)
{
    return hold->lookup_error || !domain->facts || domain->facts->renewable;
}

static void note_unanswered(const struct hold *hold, const struct domain *domain, wall_time since)
{
    struct domain_memory known;

    memory_recall(hold->context->memory, domain->id, &known);
    known.unanswered_since = since;
    memory_store(hold->context->memory, &known);
}

void hold_remember_sent(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (!goes_out(hold, i))
            continue;
        struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
        domain->sent = true;
        if (is_worth_remembering(hold, domain))
            note_unanswered(hold, domain, hold->now);
    }
}

void hold_forget_sent(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (!goes_out(hold, i))
            continue;
        struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
        domain->sent = false;
        if (is_worth_remembering(hold, domain))
            note_unanswered(hold, domain, WALL_TIME_NEVER);
    }
}

/* Whether the server may have made a task of it, or of the one that decides for its domain. */
static bool may_be_made(const struct hold *hold, size_t i)
{
    size_t first = hold_domain_of(hold, hold->request.creates[i].domain)->first;

    return goes_out(hold, i) ||
           (!hold->has_answer && !hold->verdicts[i].barred && goes_out(hold, first));
}

void hold_lose_answer(struct hold *hold)
{
    hold->lost = hold->lost || !hold->has_answer;
    for (size_t i = 0; i < hold->request.count; i++) {
        if (may_be_made(hold, i))
            hold->verdicts[i].state = VERDICT_UNKNOWN;
    }
}

void hold_remember(struct hold *hold, const struct domain *domain)
{
    const struct verdict *verdict = &hold->verdicts[domain->first];
    const struct lookup_domain *facts = domain->facts;
    bool seen = facts && !hold->lookup_error && facts->renewable;
    bool made = verdict->state == VERDICT_ANSWERED && !verdict->is_placeholder;
    bool moved = verdict->state == VERDICT_ANSWERED && verdict->decision.outcome == OUTCOME_MOVE;
    struct domain_memory known;

    /* Names that a client made up are not worth the room. */
    if (!seen && !made && !(domain->sent && is_worth_remembering(hold, domain)))
        return;
    memory_recall(hold->context->memory, domain->id, &known);
    if (seen) {
        remember_tasks(&known, domain);
        memcpy(known.certificate_id, facts->certificate_id, OBJECT_ID_SIZE);
        memcpy(known.refused_id, facts->known.refused_id, OBJECT_ID_SIZE);
        known.refused_seen = facts->known.refused_seen;
    }
    if (made) {
        memcpy(known.forwarded_id, verdict->id, OBJECT_ID_SIZE);
        known.forwarded_at = hold->now;
        memcpy(known.task_ids[MEMORY_TASKS - 1], verdict->id, OBJECT_ID_SIZE);
    }
    if (!verdict_is_unknown(hold, domain))
        known.unanswered_since = WALL_TIME_NEVER;
    if (made || moved)
        memcpy(known.runs_id, verdict->id, OBJECT_ID_SIZE);
    if (made || moved)
        known.runs_at = verdict_due(hold, domain);
    memory_store(hold->context->memory, &known);
}

/* What the look-up saw, and what has become of it since. */
void hold_note_snapshot(const struct hold *hold, const struct domain *domain)
{
    const struct verdict *verdict = &hold->verdicts[domain->first];
    const struct decision *decision = &verdict->decision;
    const struct lookup_domain *facts = domain->facts;
    bool answered = verdict->state == VERDICT_ANSWERED;

    if (!hold->context->snapshots || !facts || hold->lookup_error)
        return;
    if (!facts->renewable) {
        domain_snapshots_forget(hold->context->snapshots, domain->id);
        memory_forget(hold->context->memory, domain->id);
        return;
    }
    const struct held held = {.until = domain->refused_until,
                              .by = domain->held_by,
                              .failures = domain->failures,
                              .reason = domain->failure};
    struct domain_snapshot snapshot = domain_snapshot_of(facts, &held, hold->now);
    if (answered && verdict->is_placeholder && decision->outcome == OUTCOME_MOVE)
        domain_snapshot_set_task(&snapshot, verdict->id, decision->due);
    else if (answered && !verdict->is_placeholder && !verdict->followed)
        domain_snapshot_set_task(&snapshot, verdict->id, verdict_due(hold, domain));
    if (domain->survivor[0])
        domain_snapshot_keep_task(&snapshot, facts, domain->survivor);
    domain_snapshots_store(hold->context->snapshots, &snapshot);
}

/* In place of the decision's own word: the DNS task is made, and no renewal of its own. */
static bool is_dns_only(const struct hold *hold, size_t i)
{
    enum outcome outcome = hold->verdicts[i].decision.outcome;

    return hold->request.creates[i].of_dns_task &&
           (outcome == OUTCOME_EXISTING || outcome == OUTCOME_NO_OP);
}

void hold_report_verdict(const struct hold *hold, size_t i)
{
    const struct verdict *verdict = &hold->verdicts[i];
    const struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
    const struct lookup_domain *facts = domain->facts;
    bool rejected = verdict->state == VERDICT_REJECTED || verdict->state == VERDICT_OPEN;
    struct hold_report report = {
        .domain_id = domain->id,
        .domain_name = facts && !hold->lookup_error ? facts->name : NULL,
        .outcome = is_dns_only(hold, i) ? OUTCOME_DNS_ONLY : verdict->decision.outcome,
        .why = hold->lookup_error && facts ? hold->lookup_error : verdict->decision.why,
        .id = verdict->id[0] ? verdict->id : NULL,
        .row = verdict->decision.row,
        .observed = hold->context->settings->observe,
        .forwarded = verdict->decision.outcome == OUTCOME_FORWARD ||
                     verdict->decision.outcome == OUTCOME_SCHEDULE,
        .due = verdict->decision.due,
        .renewal_due = facts && !hold->lookup_error ? facts->renewal_due : WALL_TIME_NEVER,
        .refused_until = facts && !hold->lookup_error ? domain->refused_until : WALL_TIME_NEVER,
        .failure = facts && !hold->lookup_error ? domain->failure : NULL,
    };

    if (rejected && !report.observed) {
        report.outcome = OUTCOME_REJECTED;
        report.why = verdict->error[0]   ? verdict->error
                     : hold->lost        ? "the server's answer was lost, but it makes nothing"
                     : hold->status == 0 ? "the request did not reach the server"
                                         : "the server refused the request";
        report.id = NULL;
        report.forwarded = false;
    }
    if (verdict->state == VERDICT_UNKNOWN && !report.observed) {
        report.outcome = OUTCOME_UNKNOWN;
        report.why = "the server's answer was lost: it may have done what was asked";
        report.id = NULL;
        report.forwarded = domain->sent;
    }
    hold->context->report(hold->context->user, &report);
}
