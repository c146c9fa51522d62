#ifndef RENEWGATE_JMAP_CREATE_HOLD_CALLER_H
#define RENEWGATE_JMAP_CREATE_HOLD_CALLER_H

/*
 * The phase that asks the server whether a stranger may create: with the creates of the request as
 * they are, pointed at a domain that cannot exist, and without the rest of it. That makes nothing.
 * A request that does nothing but to make renewals, and to read, shows it by itself: it goes first
 * with nothing to make in it, and then in earnest.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_proof(struct hold *hold);
enum phase_step hold_feed_proof(struct hold *hold, unsigned status, const char *body, size_t len);
void hold_describe_proof(const struct hold *hold, struct hold_request *request);

/* Keeps in mind what the answer to the client's request says of the caller. */
void hold_note_caller(struct hold *hold, unsigned status);

/* Creates that did not pass then cost no look-up: they get the server's own error. */
void hold_bar(struct hold *hold);

#endif
