#ifndef RENEWGATE_PROXY_RELAY_WEBSOCKET_PARTS_H
#define RENEWGATE_PROXY_RELAY_WEBSOCKET_PARTS_H

/*
 * What the parts of a WebSocket share; nobody else includes it.
 *
 *     websocket.c          the two ends and what passes between them, from the handshake to the end
 *     websocket_client.c   the client's socket
 *     websocket_set.c      all of a worker's: which have something to do
 */

#include <stdint.h>

#include "proxy/http/frames.h"
#include "proxy/relay/conversation.h"
#include "proxy/relay/websocket.h"
#include "proxy/relay/worker_context.h"

/* One of a socket's two ends. */
struct end {
    struct frames frames;
    bool ended; /* nothing more is read from it: its Close has come, or it must not go on */
    enum {
        CLOSE_NONE,
        CLOSE_PENDING, /* the gate's own, as soon as the frame that is on its way has ended */
        CLOSE_SENT,    /* this, or the other end's */
    } close;
    unsigned code; /* of a Close that is pending */
};

enum websocket_state {
    WEBSOCKET_OPEN,
    WEBSOCKET_CLOSING,  /* both ends are to close, or one has left; until `give_up` */
    WEBSOCKET_DRAINING, /* the client has been sent all, and is to leave; likewise */
    WEBSOCKET_OVER,     /* only websocket_close() is to come */
};

struct websocket {
    enum websocket_state state;
    struct worker_context *context;
    struct client_request *client_request;
    struct websocket *next; /* in the set's `all` */
    struct websocket *previous;
    struct websocket *next_ready;
    bool is_ready; /* in the set's `ready` */

    struct end client;
    int file;                  /* -1 before websocket_begin() */
    struct loop_source source; /* the client's */
    bool in_loop;
    uint32_t watched; /* what for */
    bool client_left;

    struct end server;
    struct transfer *transfer; /* NULL: the server has closed it */
    bool pull_waits;
    bool data_waits;

    bool reads_requests; /* it is a JMAP WebSocket */
    struct conversation conversation;
    monotonic_time give_up; /* not before it is CLOSING */
};

/* ---- websocket.c ---- */

/* The client's next message has to wait. */
bool websocket_is_deciding(const struct websocket *websocket);

/* Its time to close is over. */
bool websocket_has_given_up(const struct websocket *websocket);

/* The server has left a request unanswered for too long. */
bool websocket_is_overdue(const struct websocket *websocket);

/* Does what there is to do. */
void websocket_run(struct websocket *websocket);

/* ---- websocket_client.c ---- */

/* What the loop calls for it. */
struct loop_source websocket_client_source(struct websocket *websocket);

/*
 * Reads what has come, as far as it may; what is left in a later round, as others have sockets too.
 */
void websocket_client_read(struct websocket *websocket);

/* Writes what can be written; true where something went out. */
bool websocket_client_write(struct websocket *websocket);

/* Watches it for what is waited for now, and no more. */
void websocket_client_watch(struct websocket *websocket);
void websocket_client_end_watch(struct websocket *websocket);

/* ---- websocket_set.c ---- */

/* It has something to do in the next run. */
void websocket_mark(struct websocket *websocket);

void websocket_link(struct websocket *websocket);
void websocket_unlink(struct websocket *websocket);

#endif
