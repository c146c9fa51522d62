#ifndef RENEWGATE_JMAP_CREATE_HOLD_OWN_H
#define RENEWGATE_JMAP_CREATE_HOLD_OWN_H

/*
 * Requests of the gate's own in the caller's name, with the `using` of the client's: one call for
 * each of the client's, so that its limits hold here too.
 */

#include "jmap/create/hold_state.h"

/* Takes over `calls`, as `sent`. False where these are NULL, or memory ran out. */
bool hold_write_own(struct hold *hold, json_t *calls);

/*
 * Whether there is something to ask for: for a create that is wanted. Where another may be deciding
 * about its domain at the same time it is unavailable instead.
 */
bool hold_wants_calls(struct hold *hold, bool (*wanted)(const struct hold *hold, size_t i));

/* Puts what there is to ask for of a create. False when memory ran out. */
typedef bool hold_put_entry(const struct hold *hold, size_t i, json_t *entries);

/* x:Task/set calls with one member, of what `put` puts. */
bool hold_write_calls(struct hold *hold, const char *member, hold_put_entry *put);

#endif
