#ifndef RENEWGATE_JMAP_WIRE_RESULT_REFERENCE_H
#define RENEWGATE_JMAP_WIRE_RESULT_REFERENCE_H

/*
 * Result references (RFC 8620, section 3.7) to calls that were sent and answered before.
 */

#include <jansson.h>

/*
 * Puts what a call's arguments refer to in place of the references, as far as the responses have
 * it. What refers to anything else stays, and the server refuses it with the words of its own; so
 * does what there was no memory for.
 */
void result_references_resolve(json_t *arguments, const json_t *responses);

#endif
