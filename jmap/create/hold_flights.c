#include "jmap/create/hold_flights.h"

#include <string.h>

#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_verdict.h"

/*
 * Whether what another request settled answers all of this one's creates for the domain too. Called
 * on the other's thread, while this hold waits.
 */
static bool result_serves(void *user, const struct flight_result *result)
{
    const struct domain *domain = user;
    const struct hold *hold = domain->hold;

    if (!result->settled || hold_removes(hold, result->id) ||
        batch_changes_after(&hold->batch, hold->request.creates[domain->earliest].call) ||
        (hold->context->forced && hold->context->settings->force_allowed && !result->forced))
        return false;
    for (size_t i = domain->earliest; i < hold->request.count; i = hold->verdicts[i].next) {
        const struct held_create *create = &hold->request.creates[i];
        if (create->asked_now != result->asked_now ||
            (!create->asked_now && !wall_time_equal(create->asked, result->asked)))
            return false;
    }
    return true;
}

/* On any thread. */
static void wake_up(void *user)
{
    const struct hold_context *context = ((const struct domain *)user)->hold->context;

    context->wake(context->user);
}

/* Takes the lead on every domain in turn, in ascending order; waits where another has it. */
enum phase_step hold_begin_flights(struct hold *hold)
{
    if (hold->context->settings->observe || hold->caller.unauthorized)
        return PHASE_NEXT;
    for (; hold->flights.next < hold->domain_count; hold->flights.next++) {
        struct domain *domain = &hold->domains[hold->flights.next];
        if (hold_domain_is_reference(domain))
            continue;
        domain->place =
            (struct flight_place){.wake = wake_up, .serves = result_serves, .user = domain};
        switch (flight_join(hold->context->flights, domain->id, &domain->place)) {
        case FLIGHT_LEADING:
            break;
        case FLIGHT_WAITING:
            return PHASE_WAIT;
        case FLIGHT_NO_MEMORY:
            return PHASE_GIVE_UP;
        }
    }
    return PHASE_NEXT;
}

enum phase_step hold_wake_flights(struct hold *hold)
{
    struct domain *domain = &hold->domains[hold->flights.next];

    switch (flight_standing(hold->context->flights, &domain->place)) {
    case FLIGHT_WAITS:
        return PHASE_WAIT;
    case FLIGHT_SERVED:
        domain->shared = true;
        break;
    case FLIGHT_OVERTIME:
        domain->alone = true;
        break;
    case FLIGHT_LEADS:
    case FLIGHT_OUT:
        break;
    }
    hold->flights.next++;
    return hold_begin_flights(hold);
}

void hold_leave_flights(struct hold *hold)
{
    static const struct flight_result nothing = {.settled = false};

    hold_give_leases(hold);
    for (size_t i = 0; i < hold->domain_count; i++)
        flight_leave(hold->context->flights, &hold->domains[i].place, &nothing);
    hold->flights.next = 0;
}

void hold_start_over(struct hold *hold)
{
    hold_leave_flights(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        verdict_give_time(hold, &hold->domains[i]);
        hold->domains[i].facts = NULL;
        hold->domains[i].shared = hold->domains[i].alone = hold->domains[i].late = false;
    }
    hold->lookup_error = NULL;
    hold_note_time(hold);
}
