#ifndef RENEWGATE_JMAP_WIRE_RESULT_REFERENCE_H
#define RENEWGATE_JMAP_WIRE_RESULT_REFERENCE_H

/*
 * Result references (RFC 8620, section 3.7) to calls that were sent and answered before, resolved
 * as the server does it (its source, crates/jmap-proto/src/references): in `ids`, `properties` and
 * `destroy`, to gets, queries and changes; and of what a path finds only ids count, which are told
 * from other texts by the property that holds them.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Puts what a call's arguments refer to in place of the references, as far as the responses have
 * it, and takes its length as JSON from `*room`. What refers to anything else stays, and the server
 * refuses it with the words of its own; so does what has no room, or what there was no memory for.
 */
void result_references_resolve(json_t *arguments, const json_t *responses, size_t *room);

#endif
