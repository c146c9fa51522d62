#ifndef RENEWGATE_JMAP_CREATE_HOLD_LATE_H
#define RENEWGATE_JMAP_CREATE_HOLD_LATE_H

/*
 * The phase that looks up what the client's request may itself have changed: in the call of the
 * create or in one behind it, what the decision rests on. That is the domain, its certificates,
 * their provider, the settings, or the tasks that wait; so too if the server has queued a renewal
 * by itself meanwhile. Whether it has done so only its answer tells, so such creates were pointed
 * at no domain. They are decided here, all together, by what is there afterwards.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_late(struct hold *hold);
enum phase_step hold_feed_late(struct hold *hold, unsigned status, const char *body, size_t len);
void hold_describe_late(const struct hold *hold, struct hold_request *request);

/* Ends what is under way, and frees the facts that it has found. Allowed twice. */
void hold_drop_late(struct hold *hold);

#endif
