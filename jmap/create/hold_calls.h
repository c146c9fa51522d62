#ifndef RENEWGATE_JMAP_CREATE_HOLD_CALLS_H
#define RENEWGATE_JMAP_CREATE_HOLD_CALLS_H

/*
 * Two phases with what the gate asks for once the server has shown that the caller may: tasks that
 * are moved to another time, and creates that are forwarded after all.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_moves(struct hold *hold);
enum phase_step hold_feed_moves(struct hold *hold, unsigned status, const char *body, size_t len);

/* Whether the renewal is to follow its DNS task after all, which was made without one. */
bool hold_moves_make(const struct hold *hold, size_t i);

enum phase_step hold_begin_resends(struct hold *hold);
enum phase_step hold_feed_resends(struct hold *hold, unsigned status, const char *body, size_t len);
bool hold_resends_make(const struct hold *hold, size_t i);

#endif
