#ifndef RENEWGATE_JMAP_CREATE_HOLD_OWN_H
#define RENEWGATE_JMAP_CREATE_HOLD_OWN_H

/*
 * Requests of the gate's own in the caller's name, with the `using` of the client's: one call for
 * each of the client's, so that its limits hold here too.
 */

#include "jmap/create/hold_state.h"

/*
 * Whether there is something to ask for: for a create that is wanted. Where another may be deciding
 * about its domain at the same time it is unavailable instead.
 */
bool hold_wants_calls(struct hold *hold, bool (*wanted)(const struct hold *hold, size_t i));

/* Puts what there is to ask for of a create. False when memory ran out. */
typedef bool hold_put_entry(const struct hold *hold, size_t i, json_t *entries);

/*
 * Writes x:Task/set calls with one member, of what `put` puts, as what is sent. False when memory
 * ran out.
 */
bool hold_write_calls(struct hold *hold, const char *member, hold_put_entry *put);

#endif
