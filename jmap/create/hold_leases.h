#ifndef RENEWGATE_JMAP_CREATE_HOLD_LEASES_H
#define RENEWGATE_JMAP_CREATE_HOLD_LEASES_H

/*
 * The phase that waits for other replicas, and what keeps them away from the domains.
 */

#include "jmap/create/hold_state.h"

/* Takes the lease of every domain whose flight it leads, in the same order. */
enum phase_step hold_begin_leases(struct hold *hold);
enum phase_step hold_wake_leases(struct hold *hold);

void hold_give_lease(const struct hold *hold, struct domain *domain);

/* All of them; they are taken from the first on, if once more. */
void hold_give_leases(struct hold *hold);

/* Nobody is to have it before it runs out. */
void hold_leave_lease(const struct hold *hold, struct domain *domain);

/* Whether it may write: no other replica can have begun to decide about one of its domains. */
bool hold_owns_domains(const struct hold *hold);

/*
 * What was looked up may be past: all leases are to be taken anew, for the sake of their order.
 * False where that was done often enough.
 */
bool hold_reacquire_leases(struct hold *hold);

#endif
