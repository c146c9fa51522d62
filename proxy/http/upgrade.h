#ifndef RENEWGATE_PROXY_HTTP_UPGRADE_H
#define RENEWGATE_PROXY_HTTP_UPGRADE_H

/*
 * The upgrade by which an HTTP connection becomes a WebSocket (RFC 6455, section 4), as the gate
 * passes it on. What becomes of the connection then is proxy/relay/websocket.h.
 */

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/http/request_head.h"
#include "proxy/http/field.h"

/* True for a request that asks for a WebSocket, of whatever version. */
bool upgrade_is_asked(const struct request_head *request_head);

/*
 * The fields of such a request on its way to the server, in the place of `fields`, those of any
 * relayed request. False when memory runs out.
 */
bool upgrade_request_fields(struct field_list *fields, struct arena *arena);

/* What is wrong with the server's 101, in words for the log; NULL where nothing is. */
const char *upgrade_fault(const struct request_head *request_head, const struct field_list *answer);

/* The fields of the 101 on its way to the client, likewise. */
bool upgrade_answer_fields(struct field_list *fields, struct arena *arena);

#endif
