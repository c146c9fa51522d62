#ifndef RENEWGATE_PROXY_RELAY_CONVERSATION_H
#define RENEWGATE_PROXY_RELAY_CONVERSATION_H

/*
 * The requests on one JMAP WebSocket (RFC 8887): those that hold creates are driven through a hold,
 * and everything else is left to pass.
 *
 * The server answers a socket's messages in their order, each before it reads the next. So while a
 * request is being decided, the client's next ones wait; and before it is looked up, all earlier
 * ones must have been answered: a ping that comes back proves it.
 *
 *     PASSING --> SETTLING --> DECIDING --> ASKED --> CONCLUDING --> ANSWERING --> PASSING
 */

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "proxy/base/arena.h"
#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/http/frames.h"
#include "proxy/relay/holding.h"
#include "proxy/relay/reading.h"

/* Each state says what is waited for. */
enum conversation_state {
    CONVERSATION_PASSING,    /* nothing */
    CONVERSATION_SETTLING,   /* the pong behind the answers to earlier requests */
    CONVERSATION_DECIDING,   /* the hold, before the client's request goes out */
    CONVERSATION_ASKED,      /* the server's answer to it */
    CONVERSATION_CONCLUDING, /* the hold, after that */
    CONVERSATION_ANSWERING,  /* an end of the message that the server is sending */
};

#define CONVERSATION_PROOF_SIZE 16

/* Must stay where it is while it is open. */
struct conversation {
    struct worker_context *context;
    const struct request_head *request_head; /* the handshake's */
    struct frames *client;
    struct frames *server;
    void (*ready)(void *user); /* there is something to write or to read on */
    void *user;
    enum conversation_state state;

    struct buffer request; /* a text message of the client, as far as it has come */
    bool in_text;
    bool too_large;
    enum reading reading;          /* READING_NO_ROOM while a message comes that has none */
    struct budget_account account; /* what the request takes, and its tree and answer */
    struct budget_account unread;  /* what waits for the two ends to read it */
    bool unsettled; /* the server has got messages that it may not have answered yet */
    bool proving;   /* a ping has gone out */
    char proof[CONVERSATION_PROOF_SIZE]; /* the last one's content */

    struct holding holding; /* open from DECIDING to CONCLUDING */
    struct arena arena;     /* the holding's */
    json_t *id;             /* the request's, or NULL */
    monotonic_time asked;   /* when the ping or the request went out */
    struct buffer received; /* a message of the server in ASKED: perhaps the answer */
    bool in_received;
    struct buffer answer; /* for the client */
};

/* Everything is borrowed until conversation_close(). */
void conversation_open(struct conversation *conversation, struct worker_context *context,
                       const struct request_head *request_head, struct frames *client,
                       struct frames *server, void (*ready)(void *user), void *user);

/* True where the conversation has taken the piece; else it is to be passed on. */
bool conversation_take_from_client(struct conversation *conversation,
                                   const struct frame_piece *piece);
bool conversation_take_from_server(struct conversation *conversation,
                                   const struct frame_piece *piece);

/* Whether the client's, the server's next piece may be read now. */
bool conversation_reads_client(const struct conversation *conversation);
bool conversation_reads_server(const struct conversation *conversation);

/* Does what can be done now; after pieces were passed on. */
void conversation_step(struct conversation *conversation);

/*
 * Counts what waits in the buffers towards the two ends, which hold whole messages; as they change.
 */
void conversation_count_unread(struct conversation *conversation);

/* True where the server has left the ping or the request unanswered for too long. */
bool conversation_is_overdue(const struct conversation *conversation);

/* No more messages come from the server. */
void conversation_server_ended(struct conversation *conversation);

/*
 * True while others may wait for what comes of a request, so that even its client must not end it.
 */
bool conversation_is_committed(const struct conversation *conversation);

/* Calls off what is under way. Allowed when it is zeroed. */
void conversation_close(struct conversation *conversation);

#endif
