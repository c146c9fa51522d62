#ifndef RENEWGATE_JMAP_CREATE_HOLD_SETTLE_H
#define RENEWGATE_JMAP_CREATE_HOLD_SETTLE_H

/*
 * The phase in which all is settled: it writes the answer, tells what came of each create and gives
 * the flights and leases back.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_settling(struct hold *hold);

/* Gives one domain to whoever waits for it, with what came of it. */
void hold_release(struct hold *hold, struct domain *domain);

#endif
