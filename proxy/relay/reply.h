#ifndef RENEWGATE_PROXY_RELAY_REPLY_H
#define RENEWGATE_PROXY_RELAY_REPLY_H

/*
 * What the gate answers by itself: problem documents, in the server's shape.
 */

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/clients/downstream.h"
#include "proxy/server/upstream.h"

/* Each makes a whole answer; all of it is the arena's. False when memory runs out. */

/* about:blank with a title and a detail. */
bool reply_problem(unsigned status, const char *title, const char *detail, struct arena *arena,
                   struct answer *out);

/*
 * A JMAP request of more than `limit` bytes, as the server answers one (RFC 8620, section 3.6.1).
 */
bool reply_too_large(size_t limit, struct arena *arena, struct answer *out);

/* There is no room for the request: 503. */
bool reply_no_room(struct arena *arena, struct answer *out);

/* The request has more values than are parsed, in the words of the server's limits. */
bool reply_too_much(struct arena *arena, struct answer *out);

/* The server did not answer: 504 where it took too long, else 502. */
bool reply_upstream_failure(enum upstream_failure failure, struct arena *arena, struct answer *out);

/* Any body that is in memory. `body` is borrowed. */
bool reply_body(unsigned status, const char *type, const char *body, size_t len,
                struct arena *arena, struct answer *out);

#endif
