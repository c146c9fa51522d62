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
        if (hold_domain_is_reference(domain) || domain->shared ||
            !hold_domain_has_create(hold, domain))
            continue;
        begin(hold, domain);
        if (domain->lease)
            return hold_enter(hold, PHASE_LEASES, HOLD_WAIT);
    }
    return hold_start_lookup(hold);
}

enum hold_step hold_lease_woken(struct hold *hold)
{
    if (state_of(hold, &hold->domains[hold->next_lease]) == LEASE_WAITING)
        return hold->step;
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

bool hold_disown(struct hold *hold, size_t i)
{
    const struct domain *domain = hold_domain_of(hold, hold->request.creates[i].domain);
    struct decision *decision = &hold->verdicts[i].decision;
    bool writes = decision->outcome == OUTCOME_FORWARD || decision->outcome == OUTCOME_SCHEDULE;

    if (!writes || hold_domain_is_reference(domain))
        return false;
    *decision = (struct decision){.outcome = OUTCOME_REFUSE,
                                  .row = 10,
                                  .due = WALL_TIME_NEVER,
                                  .why = "the lock that replicas share was lost"};
    return true;
}
