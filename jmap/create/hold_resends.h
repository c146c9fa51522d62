#ifndef RENEWGATE_JMAP_CREATE_HOLD_RESENDS_H
#define RENEWGATE_JMAP_CREATE_HOLD_RESENDS_H

/*
 * The phase with creates that are forwarded after all, now that the server has shown that the
 * caller may.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_resends(struct hold *hold);
enum phase_step hold_feed_resends(struct hold *hold, unsigned status, const char *body, size_t len);
bool hold_resends_make(const struct hold *hold, size_t i);

#endif
