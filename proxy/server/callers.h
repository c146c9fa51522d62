#ifndef RENEWGATE_PROXY_SERVER_CALLERS_H
#define RENEWGATE_PROXY_SERVER_CALLERS_H

/*
 * Whom the server lets create renewals: the credentials that it took for one a short while ago. Who
 * is among them may keep others waiting; nothing else is allowed to anyone by it, since the server
 * is asked each time.
 *
 * Of a fixed size, some 130 KiB: of what does not fit, who was seen longest ago is forgotten. Only
 * keyed digests are kept, no credentials. Shared by all threads.
 */

#include <stdbool.h>

#include "proxy/base/clock.h"

struct callers;

/* NULL when memory or randomness runs out. */
struct callers *callers_create(void);

/* NULL is allowed. */
void callers_destroy(struct callers *callers);

/* Whether the server took a create of theirs within the last hour; NULL: nobody's. */
bool callers_know(struct callers *callers, const char *credential, monotonic_time now);

/* What the server has just said to one. */
void callers_note(struct callers *callers, const char *credential, bool may_create,
                  monotonic_time now);

#endif
