#ifndef RENEWGATE_JMAP_CREATE_HOLD_CONTINUATION_H
#define RENEWGATE_JMAP_CREATE_HOLD_CONTINUATION_H

/*
 * Some calls mean nothing certain before those in front of them have been answered
 * (jmap/wire/batch.h). So the request is cut before the first of them. What comes before is sent in
 * the client's request, what comes after as a request of the gate's own, with a hold of its own:
 * hold.c drives that, here it is written and its answer joined.
 */

#include "jmap/create/hold_state.h"

/* Reads what the calls do to one another, and cuts. False when memory ran out. */
bool hold_cut(struct hold *hold);

/*
 * Writes the calls that were cut off, and lets go of what only the part before them has needed.
 * False where they can not be sent.
 */
bool hold_write_continuation(struct hold *hold);

/* NULL: there is no answer that could be read. False when memory ran out. */
bool hold_join_continuation(struct hold *hold, const json_t *answer);

#endif
