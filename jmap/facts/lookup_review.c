#include "jmap/facts/lookup_parts.h"

#include <stdlib.h>
#include <string.h>

#include "policy/issuer.h"

/* For the next look at the domain, whoever looks then. */
static void remember_renewal(const struct lookup *lookup, const struct lookup_domain *domain)
{
    const struct domain_memory *known = &domain->known;
    const char *id = domain->certificate_id;
    const char *name = certificate_search_name(&domain->names);

    if (strcmp(id, known->certificate_id) == 0 && strcmp(name, known->search_name) == 0 &&
        wall_time_equal(domain->renewal_due, known->renewal_due))
        return;
    memory_note_renewal(lookup->memory, domain->id, id, domain->renewal_due, name);
}

static wall_time last_issue(const struct lookup_domain *domain)
{
    wall_time last = WALL_TIME_NEVER;

    for (size_t i = 0; i < domain->stored_count; i++)
        last = wall_time_later(last, domain->stored[i].begins);
    return last;
}

/* Which of its refusals and failures were for the names and settings that it has now. */
static void review_tasks(const struct lookup *lookup, struct lookup_domain *domain)
{
    uint64_t order = san_set_hash(&domain->names) ^ domain->ca;
    uint64_t setup = order * 3 ^ domain->settings;
    struct setback reviewed;

    domain->order = order ? order : 1;
    domain->setup = setup ? setup : 1;
    memory_review(lookup->memory, domain->id,
                  &(struct setback_look){.order = domain->order,
                                         .setup = domain->setup,
                                         .tasks = domain->tasks,
                                         .task_count = domain->task_count,
                                         .issued = last_issue(domain),
                                         .now = lookup->now},
                  &reviewed);
    domain->failures = reviewed.failures;
    domain->kept = setback_kept(&reviewed);
    memcpy(domain->invalid, reviewed.invalid, sizeof domain->invalid);
}

/* When the CA has issued. */

static bool is_remembered(const struct lookup_domain *domain, const char *id)
{
    for (size_t i = 0; i < MEMORY_TASKS; i++) {
        if (strcmp(domain->known.task_ids[i], id) == 0)
            return true;
    }
    return false;
}

/*
 * Whether the task that was to run by now has run and succeeded: it is gone, and there is the one
 * that the server queues after it. Who takes a task out of the queue leaves none.
 */
static bool has_run(const struct lookup *lookup, const struct lookup_domain *domain)
{
    const struct domain_memory *known = &domain->known;
    bool follows = false;

    if (!known->runs_id[0] || !is_remembered(domain, known->runs_id) ||
        wall_time_before(lookup->now, known->runs_at))
        return false;
    for (size_t i = 0; i < domain->task_count; i++) {
        const struct renewal_task *task = &domain->tasks[i];

        if (strcmp(task->id, known->runs_id) == 0)
            return false;
        follows |= task->state == TASK_PENDING && !is_remembered(domain, task->id);
    }
    return follows;
}

/* What the domain's certificates, in their order, and then its Failed tasks show. NULL when memory
 * runs out. */
static struct issue *seen_issues(const struct lookup_domain *domain, size_t *count)
{
    struct issue *seen = calloc(domain->stored_count + domain->task_count + 1, sizeof *seen);
    struct issue issue = {.order = domain->order,
                          .ca = domain->ca,
                          .authority = issuer_authority(domain->directory),
                          .kind = ISSUE_STORED};

    *count = 0;
    for (size_t i = 0; seen && i < domain->stored_count; i++) {
        issue.at = domain->stored[i].begins;
        const char *issuer = domain->stored[i].issuer;
        issue.other_ca = issuer_is_other(issuer, domain->directory);
        issue.own_ca = issuer_judge(issuer, domain->directory) == ISSUER_EXPECTED;
        seen[(*count)++] = issue;
    }
    issue.kind = ISSUE_THROWN_AWAY;
    issue.other_ca = issue.own_ca = false;
    for (size_t i = 0; seen && i < domain->task_count; i++) {
        const struct renewal_task *task = &domain->tasks[i];

        if (task->state != TASK_FAILED || task->other_order ||
            !refusal_is_thrown_away(task->failure_reason))
            continue;
        issue.at = task->failed_at;
        seen[(*count)++] = issue;
    }
    return seen;
}

/* Certificates first; those that were thrown away behind them. */
static bool add_issues(struct lookup_domain *domain, const struct issue *missing, size_t count)
{
    domain->issued = calloc(domain->stored_count + count + 1, sizeof *domain->issued);
    if (!domain->issued)
        return false;
    for (size_t i = 0; i < domain->stored_count; i++) {
        if (!domain->stored[i].other_ca)
            domain->issued[domain->issued_count++] = domain->stored[i].begins;
    }
    for (size_t i = 0; i < count; i++) {
        if (missing[i].kind != ISSUE_THROWN_AWAY)
            domain->issued[domain->issued_count++] = missing[i].at;
    }
    for (size_t i = 0; i < count; i++) {
        if (missing[i].kind == ISSUE_THROWN_AWAY)
            domain->issued[domain->issued_count + domain->spent_count++] = missing[i].at;
    }
    return true;
}

static bool review_issues(const struct lookup *lookup, struct lookup_domain *domain)
{
    struct issue missing[ISSUE_HISTORY_MAX];
    size_t count;
    struct issue *seen = seen_issues(domain, &count);

    if (!seen)
        return false;
    count =
        memory_review_issues(lookup->memory, domain->id,
                             &(struct issue_look){.now = lookup->now,
                                                  .order = domain->order,
                                                  .ca = domain->ca,
                                                  .authority = issuer_authority(domain->directory),
                                                  .seen = seen,
                                                  .seen_count = count,
                                                  .ran = has_run(lookup, domain),
                                                  .ran_at = domain->known.runs_at},
                             missing);
    for (size_t i = 0; i < domain->stored_count; i++)
        domain->stored[i].other_ca = seen[i].other_ca;
    free(seen);
    return add_issues(domain, missing, count);
}

/* For the limit of its provider's account. A failure was an order too, as a rule. */
static void note_orders(const struct lookup *lookup, const struct lookup_domain *domain)
{
    const struct renewal_task *next = NULL;
    wall_time ordered = WALL_TIME_NEVER;

    for (size_t i = 0; i < domain->task_count; i++) {
        const struct renewal_task *task = &domain->tasks[i];

        if (task->state != TASK_FAILED)
            next = next && wall_time_before(next->due, task->due) ? next : task;
        else if (refusal_is_failure(task->failure_reason))
            ordered = wall_time_later(ordered, task->failed_at);
    }
    memory_note_orders(lookup->memory, domain->id, domain->provider_id,
                       wall_time_earlier(ordered, lookup->now), next ? next->due : WALL_TIME_NEVER,
                       lookup->now, lookup->moment);
    memory_note_run(lookup->memory, domain->id, next ? next->id : "",
                    next ? next->due : WALL_TIME_NEVER);
}

bool lookup_review(const struct lookup *lookup, struct lookup_domain *domain)
{
    remember_renewal(lookup, domain);
    review_tasks(lookup, domain);
    if (!review_issues(lookup, domain))
        return false;
    note_orders(lookup, domain);
    return true;
}

/* For whoever has looked. */

struct held_facts lookup_held_facts(const struct lookup_domain *found, struct held_limits limits,
                                    wall_time now)
{
    return (struct held_facts){.limits = limits,
                               .now = now,
                               .tasks = found->tasks,
                               .task_count = found->task_count,
                               .issued = found->issued,
                               .issued_count = found->issued_count,
                               .spent_count = found->spent_count,
                               .last_issue = last_issue(found),
                               .kept_refused = found->kept.refused,
                               .kept_failing = found->kept.failing,
                               .failures = found->failures,
                               .invalid = found->invalid,
                               .paced_until = WALL_TIME_NEVER};
}

void lookup_keep_hold(struct task_memory *memory, const struct lookup_domain *found,
                      struct setback_hold hold)
{
    hold.order = found->order;
    hold.setup = found->setup;
    hold.issued = last_issue(found);
    memory_keep_hold(memory, found->id, &hold);
}

void lookup_forget_certificate(struct task_memory *memory, const struct lookup_domain *found)
{
    if (!found->certificate_id[0])
        return;
    memory_note_renewal(memory, found->id, "", WALL_TIME_NEVER,
                        certificate_search_name(&found->names));
    memory_forget_certificate(memory, &found->names, found->certificate_id);
}
