#ifndef RENEWGATE_JMAP_CREATE_HOLD_MOVES_H
#define RENEWGATE_JMAP_CREATE_HOLD_MOVES_H

/*
 * The phase in which queued tasks are updated, now that the server has shown that the caller may:
 * moved to another time, or told that a renewal is to follow them.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_moves(struct hold *hold);
enum phase_step hold_feed_moves(struct hold *hold, unsigned status, const char *body, size_t len);

/* Whether the renewal is to follow its DNS task after all, which was made without one. */
bool hold_moves_make(const struct hold *hold, size_t i);

#endif
