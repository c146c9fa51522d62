#ifndef RENEWGATE_PROXY_RELAY_CHALLENGE_H
#define RENEWGATE_PROXY_RELAY_CHALLENGE_H

/*
 * The plain listener, port 80 for most: the CA fetches its http-01 challenges there (RFC 8555,
 * section 8.3), which are relayed, and whoever comes with anything else is sent to HTTPS.
 */

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/clients/downstream.h"
#include "proxy/config.h"

/*
 * Milliseconds within which the server must have answered one. An answer is a line of text, and no
 * CA waits for longer; who comes with invented ones holds no connection beyond that.
 */
#define CHALLENGE_TIMEOUT 10000

/*
 * Whether this reads a challenge: GET or HEAD of the well-known path and one token, nothing more.
 */
bool challenge_is_asked(const struct request_head *request_head);

/*
 * Sends a client to the same target under RENEWGATE_PUBLIC_URL, or under the host that it has asked
 * for; 400 where there is neither. All of the answer is the arena's; false when memory runs out.
 */
bool challenge_redirect(const struct config *config, const struct request_head *request_head,
                        struct arena *arena, struct answer *out);

#endif
