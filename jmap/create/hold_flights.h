#ifndef RENEWGATE_JMAP_CREATE_HOLD_FLIGHTS_H
#define RENEWGATE_JMAP_CREATE_HOLD_FLIGHTS_H

/*
 * The phase that waits for other requests which are deciding on one of the domains.
 */

#include "jmap/create/hold_state.h"

/* Takes the lead on every domain in turn, in ascending order; waits where another has it. */
enum phase_step hold_begin_flights(struct hold *hold);
enum phase_step hold_wake_flights(struct hold *hold);

/* Gives all flights and leases to others. */
void hold_leave_flights(struct hold *hold);

/*
 * Leaves them, and forgets what was found out: it may be past, and others may have decided about
 * the domains since.
 */
void hold_start_over(struct hold *hold);

#endif
