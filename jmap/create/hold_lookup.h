#ifndef RENEWGATE_JMAP_CREATE_HOLD_LOOKUP_H
#define RENEWGATE_JMAP_CREATE_HOLD_LOOKUP_H

/*
 * The phase that asks the server about the domains: as the caller, and where that one may not read,
 * with the gate's own credential.
 */

#include "jmap/create/hold_state.h"

enum phase_step hold_begin_lookup(struct hold *hold);
enum phase_step hold_feed_lookup(struct hold *hold, unsigned status, const char *body, size_t len);
enum phase_step hold_fail_lookup(struct hold *hold, const char *why);
void hold_describe_lookup(const struct hold *hold, struct hold_request *request);

/* Ends what is under way, and frees the facts that it has found. Allowed twice. */
void hold_drop_lookup(struct hold *hold);

#endif
