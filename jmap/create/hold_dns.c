#include "jmap/create/hold_parts.h"

/* Row 1 to 5 of the table: no renewal is due, or one is on its way. */
#define LAST_ROW_WITHOUT_NEED 5

/* Whether a DNS task is there already, or made before in the request, that will end with one. */
static bool is_followed(const struct hold *hold, const struct domain *domain)
{
    const struct renewal_task *follower = &domain->facts->follower;

    return domain->followed ||
           (follower->id && !hold_removes(hold, follower->id) &&
            !renewal_task_stuck(follower, hold->now, hold->context->settings->stuck_after_seconds));
}

/* Whether the task is to end without a renewal; row 0 where the table was not asked. */
static bool needs_no_renewal(const struct hold *hold, struct domain *domain,
                             struct decision *decision)
{
    struct decision_facts facts = {
        .now = hold->now,
        .asked = hold->now,
        .looked_up = !hold->lookup_error && domain->facts,
        .renewal_due = WALL_TIME_NEVER,
        .refused_until = WALL_TIME_NEVER,
        .not_due = hold->context->settings->not_due,
        .stuck_after_seconds = hold->context->settings->stuck_after_seconds,
    };

    *decision =
        (struct decision){.due = WALL_TIME_NEVER, .why = "another create has settled the domain"};
    if (domain->shared)
        return true;
    if (!facts.looked_up)
        return false;
    if (hold_domain_has_create(hold, domain))
        return domain->late || domain->facts->renewable;
    verdict_take_facts(hold, domain, &facts);
    *decision = decide(&facts);
    if (decision->row <= LAST_ROW_WITHOUT_NEED)
        return true;
    if (domain->facts->renewable && is_followed(hold, domain)) {
        *decision = (struct decision){
            .row = 2, .due = WALL_TIME_NEVER, .why = "a DNS task that renews is already there"};
        return true;
    }
    domain->followed = domain->facts->renewable;
    return false;
}

bool hold_write_dns(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.dns_count; i++) {
        struct dns_create *create = &hold->request.dns_creates[i];
        struct dns_verdict *verdict = &hold->dns_verdicts[i];
        if (!needs_no_renewal(hold, hold_domain_of(hold, create->domain), &verdict->decision))
            continue;
        if (!request_drop_renewal(create))
            return false;
        hold->changed = verdict->dropped = true;
    }
    return true;
}

void hold_report_dns(const struct hold *hold, size_t i)
{
    const struct dns_create *create = &hold->request.dns_creates[i];
    const struct dns_verdict *verdict = &hold->dns_verdicts[i];
    const struct domain *domain = hold_domain_of(hold, create->domain);
    const struct lookup_domain *facts = domain->facts;
    bool made = answer_created_id(&hold->answer, create->call, create->key) != NULL;
    const char *error = answer_error_type(&hold->answer, create->call, create->key);

    if (!verdict->dropped)
        return;
    hold->context->report(hold->context->user,
                          &(struct hold_report){
                              .domain_id = domain->id,
                              .domain_name = facts ? facts->name : NULL,
                              .outcome = made ? OUTCOME_DNS_ONLY : OUTCOME_REJECTED,
                              .why = made    ? verdict->decision.why
                                     : error ? error
                                             : "the server refused the request",
                              .row = verdict->decision.row,
                              .due = verdict->decision.due,
                              .renewal_due = facts ? facts->renewal_due : WALL_TIME_NEVER,
                              .refused_until = domain->refused_until,
                          });
}
