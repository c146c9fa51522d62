/*
 * What "#key" and a result reference mean in the arguments of a call (RFC 8620, sections 3.7 and
 * 5.3), found out as the server does it, before the call is run or its permissions are looked at.
 */
#ifndef STANDIN_REFERENCES_H
#define STANDIN_REFERENCES_H

#include "tests/standin/api.h"

/* The call's arguments change in place. On false the call's error is set. */
bool references_resolve_set(struct api_call *call, const json_t *created_ids,
                            const json_t *responses);
bool references_resolve_get(struct api_call *call, const json_t *created_ids,
                            const json_t *responses);

#endif
