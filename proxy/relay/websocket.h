#ifndef RENEWGATE_PROXY_RELAY_WEBSOCKET_H
#define RENEWGATE_PROXY_RELAY_WEBSOCKET_H

/*
 * An open WebSocket (RFC 6455) and its two ends, between which frames are passed on as they come.
 * On a JMAP WebSocket requests are read (proxy/relay/conversation.h).
 *
 * A worker's sockets are run from its loop, by websocket_set_run(): what events and handlers of
 * either side do is no more than to say that a socket has something to do.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/clock.h"
#include "proxy/clients/downstream.h"
#include "proxy/server/upstream.h"

struct worker_context; /* proxy/relay/worker_context.h */
struct websocket;

/* A worker's. Zeroed at first. */
struct websocket_set {
    struct websocket *all;
    struct websocket *ready;
    bool draining;
    bool ran;      /* since the last tick */
    size_t passed; /* bytes since memory was last given back to the system */
};

/*
 * Takes the transfer over, on which the 101 has come. It is the request's arena's; ended by
 * websocket_close(). NULL when memory runs out.
 */
struct websocket *websocket_open(struct worker_context *context,
                                 struct client_request *client_request,
                                 const struct request_head *request_head,
                                 struct transfer *transfer);

/* The client's side is there too; see upgraded() in proxy/clients/downstream.h. */
void websocket_begin(struct websocket *websocket, int file, const char *early, size_t len);

/* Ends it at once; from the request's closed(). NULL is allowed. */
void websocket_close(struct websocket *websocket);

/* Does what there is to do. */
void websocket_set_run(struct websocket_set *set);

/* True where websocket_set_run() is to be called now. */
bool websocket_set_is_ready(const struct websocket_set *set);

/* Looks for sockets whose peers do not close them; about once a second. */
void websocket_set_tick(struct websocket_set *set);

/* Closes every socket, and those that are still to come, with 1001. */
void websocket_set_drain(struct websocket_set *set);

#endif
