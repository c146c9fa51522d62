#include "jmap/create/hold_leases.h"

#include "jmap/create/domain_lock.h"

/* How often a request begins anew because the domains ceased to be its own while it looked. */
#define REACQUIRED_MAX 3

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

void hold_give_leases(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++)
        hold_give_lease(hold, &hold->domains[i]);
    hold->leases.next = 0;
}

void hold_leave_lease(const struct hold *hold, struct domain *domain)
{
    const struct domain_lock *lock = hold->context->lock;

    if (domain->lease)
        lock->leave(lock->user, domain->lease, domain->id);
    domain->lease = NULL;
}

enum phase_step hold_begin_leases(struct hold *hold)
{
    const struct hold_context *context = hold->context;
    const struct domain_lock *lock = context->lock;

    if (!lock || context->settings->observe || hold->caller.unauthorized)
        return PHASE_NEXT;
    for (; hold->leases.next < hold->domain_count; hold->leases.next++) {
        struct domain *domain = &hold->domains[hold->leases.next];
        if (hold_domain_is_reference(domain) || domain->shared || domain->alone)
            continue;
        domain->lease = lock->take(lock->user, domain->id, context->wake, context->user);
        if (domain->lease)
            return PHASE_WAIT;
    }
    return PHASE_NEXT;
}

enum phase_step hold_wake_leases(struct hold *hold)
{
    struct domain *domain = &hold->domains[hold->leases.next];
    enum lease_state state = state_of(hold, domain);

    if (state == LEASE_WAITING)
        return PHASE_WAIT;
    if (state == LEASE_LATE) {
        hold_give_lease(hold, domain);
        domain->alone = true;
    }
    hold->leases.next++;
    return hold_begin_leases(hold);
}

bool hold_owns_domains(const struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (state_of(hold, &hold->domains[i]) == LEASE_OTHERS)
            return false;
    }
    return true;
}

bool hold_reacquire_leases(struct hold *hold)
{
    if (hold->leases.reacquired == REACQUIRED_MAX)
        return false;
    hold_give_leases(hold);
    hold->leases.reacquired++;
    return true;
}
