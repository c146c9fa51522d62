#ifndef RENEWGATE_JMAP_QUEUE_SWEEP_H
#define RENEWGATE_JMAP_QUEUE_SWEEP_H

/*
 * One sweep over all domains, without I/O, with the gate's own credential:
 *
 * - All tasks and domains are listed (jmap/facts/inventory.h).
 * - Those with automatic certificates are looked over, many at a time, which shows those that need
 * a change (policy/upkeep.h).
 * - Each of these is looked at again alone (jmap/queue/upkeep.h), and changed.
 * - Failed tasks that say nothing but that no renewal was due, or what a newer one says, are
 * removed (jmap/queue/clearing.h),
 *
 * and nothing else. It may be broken off anywhere and done again.
 *
 * A domain for which the server has no good answer is passed over, and told; what is asked of many
 * is asked of fewer, until such a one stands alone. Only where no domain would fare better the
 * sweep ends: no answer, 401, 403, a permission that is lacking; or many that are passed over in a
 * row, which for those that the server turns away (429, 5xx) are three. The next one then begins
 * behind the place where it ended.
 */

#include "jmap/queue/sweep_context.h"
#include "jmap/wire/machine.h"

struct sweep;

/* NULL when memory runs out. */
struct sweep *sweep_create(const struct sweep_context *context);

/* Ends it in any state and gives its flight to whoever waits. NULL is allowed. */
void sweep_destroy(struct sweep *sweep);

extern const struct machine sweep_machine;

/* MACHINE_WAIT only: the waker was called. */
enum machine_step sweep_woken(struct sweep *sweep);

/* Why it ended before its end, in words; NULL where it did not. Static. */
const char *sweep_error(const struct sweep *sweep);

#endif
