#ifndef RENEWGATE_PROXY_RELAY_PUBLIC_SESSION_H
#define RENEWGATE_PROXY_RELAY_PUBLIC_SESSION_H

/*
 * A session on its way to a client, or the document that people sign in with: its URLs are made to
 * lead back to the gate (jmap/wire/session.h), by RENEWGATE_PUBLIC_URL to the address that the
 * client used, or to a fixed one; and it tells no larger requests than RENEWGATE_MAX_REQUEST.
 *
 * A session is small, so such an answer is read whole. One that is too large, or no JSON, passes as
 * it is; one that is compressed has failed before (proxy/server/upstream.h, `identity`).
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/buffer.h"
#include "proxy/config.h"
#include "proxy/clients/downstream.h"

/* The largest session that is read whole. */
#define PUBLIC_SESSION_LIMIT ((size_t)1 << 20)

/* True where the answer may be a session. */
bool public_session_asked(const struct request_head *request_head);

/* True where its head says that the answer to such a request is one. */
bool public_session_answers(const struct answer *answer);

/*
 * Changes `body`, and Content-Length among `fields` with it. False when memory runs
 * out.
 */
bool public_session_rewrite(const struct config *config, const struct request_head *request_head,
                            struct buffer *body, struct field_list *fields, struct arena *arena);

#endif
