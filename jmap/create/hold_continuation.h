#ifndef RENEWGATE_JMAP_CREATE_HOLD_CONTINUATION_H
#define RENEWGATE_JMAP_CREATE_HOLD_CONTINUATION_H

/*
 * Some calls mean nothing certain before those in front of them have been answered
 * (jmap/wire/batch.h). So the request is cut before the first of them. What comes before is sent in
 * the client's request, what comes after as a request of the gate's own, in the last phase: with a
 * hold of its own, which hold.c drives. Here it is written and its answer joined.
 */

#include "jmap/create/hold_state.h"

/* Reads what the calls do to one another, and cuts. False when memory ran out. */
bool hold_cut(struct hold *hold);

enum phase_step hold_begin_continuation(struct hold *hold);

/* The answer of its own hold, or of the server where there is nothing to decide; NULL: none that
 * could be read. */
enum phase_step hold_join_continuation(struct hold *hold, const json_t *answer);
enum phase_step hold_feed_continuation(struct hold *hold, unsigned status, const char *body,
                                       size_t len);

#endif
