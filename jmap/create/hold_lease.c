#include "jmap/create/domain_lock.h"
#include "jmap/create/hold_parts.h"

/* How often a request begins anew because the domains ceased to be its own while it looked. */
#define RETAKES_MAX 3

static enum lease_state state_of(const struct hold *hold, const struct domain *domain)
{
    const struct domain_lock *lock = hold->context->lock;

    return domain->lease ? lock->state(lock->user, domain->lease) : LEASE_ALONE;
}

void hold_give_lease(const struct hold *hold, struct domain *domain)
{
    const struct domain_lock *lock = hold->context->lock;

    if (domain->lease)
        lock->give(lock->user, domain->lease, domain->id);
    domain->lease = NULL;
}

void hold_leave_lease(const struct hold *hold, struct domain *domain)
{
    const struct domain_lock *lock = hold->context->lock;

    if (domain->lease)
        lock->leave(lock->user, domain->lease, domain->id);
    domain->lease = NULL;
}

static void begin(const struct hold *hold, struct domain *domain)
{
    const struct hold_context *context = hold->context;

    if (context->lock)
        domain->lease =
            context->lock->take(context->lock->user, domain->id, context->wake, context->user);
}

enum hold_step hold_take_leases(struct hold *hold)
{
    for (; hold->next_lease < hold->domain_count; hold->next_lease++) {
        struct domain *domain = &hold->domains[hold->next_lease];
        if (hold_domain_is_reference(domain) || domain->shared || domain->alone)
            continue;
        begin(hold, domain);
        if (domain->lease)
            return hold_enter(hold, PHASE_LEASES, HOLD_WAIT);
    }
    return hold_start_lookup(hold);
}

enum hold_step hold_lease_woken(struct hold *hold)
{
    struct domain *domain = &hold->domains[hold->next_lease];
    enum lease_state state = state_of(hold, domain);

    if (state == LEASE_WAITING)
        return hold->step;
    if (state == LEASE_LATE) {
        hold_give_lease(hold, domain);
        domain->alone = true;
    }
    hold->next_lease++;
    return hold_take_leases(hold);
}

bool hold_owns_domains(const struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (state_of(hold, &hold->domains[i]) == LEASE_OTHERS)
            return false;
    }
    return true;
}

bool hold_may_retake(const struct hold *hold)
{
    return hold->retakes < RETAKES_MAX;
}

enum hold_step hold_retake_leases(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++)
        hold_give_lease(hold, &hold->domains[i]);
    hold->next_lease = 0;
    hold->retakes++;
    return hold_take_leases(hold);
}

static bool makes_a_task(const struct hold *hold, size_t i)
{
    enum outcome outcome = hold->verdicts[i].decision.outcome;

    return (outcome == OUTCOME_FORWARD || outcome == OUTCOME_SCHEDULE) &&
           !hold_domain_is_reference(hold_domain_of(hold, hold->request.creates[i].domain));
}

static void refuse(struct verdict *verdict, const char *why)
{
    verdict->decision =
        (struct decision){.outcome = OUTCOME_REFUSE, .row = 10, .due = WALL_TIME_NEVER, .why = why};
    verdict->id[0] = '\0';
}

bool hold_disown(struct hold *hold, size_t i)
{
    if (!makes_a_task(hold, i))
        return false;
    refuse(&hold->verdicts[i], "the lock that replicas share was lost");
    return true;
}

void hold_keep_off(struct hold *hold, size_t i)
{
    struct verdict *verdict = &hold->verdicts[i];

    if (makes_a_task(hold, i) || verdict->decision.outcome == OUTCOME_MOVE || hold->refused)
        refuse(verdict, hold->outsider ? "the server has not shown that the caller may create"
                                       : "another request for the domain has no answer yet");
}
