#ifndef RENEWGATE_JMAP_WIRE_ENDPOINT_H
#define RENEWGATE_JMAP_WIRE_ENDPOINT_H

/*
 * Which requests are to be read: those that reach the server's API, and of these the ones whose
 * bytes may hold a create.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * True when the path of a raw request target reaches the server's API endpoint: /jmap with an
 * empty second segment (recordings path-*).
 */
bool endpoint_is_api(const char *target, size_t len);

/*
 * True when the path of a raw request target reaches the server's JMAP over WebSocket (RFC 8887):
 * /jmap/ws, whatever segments follow it (recording websocket).
 */
bool endpoint_is_socket(const char *target, size_t len);

/*
 * The byte search of the fast path: false means that no create of a renewal can be in the body of a
 * call.
 */
bool endpoint_may_contain_create(const char *body, size_t len);

#endif
