#ifndef RENEWGATE_PROXY_RELAY_EXCHANGE_STATE_H
#define RENEWGATE_PROXY_RELAY_EXCHANGE_STATE_H

/*
 * What the parts of an exchange share (proxy/relay/exchange.h); nobody else includes it.
 *
 *     exchange.c          the client's side: its request as it comes, its answer as it goes
 *     exchange_relay.c    what goes to the server as it is
 *     exchange_hold.c     a request that holds creates
 *     exchange_answer.c   the answer, once it is known
 */

#include "proxy/base/arena.h"
#include "proxy/base/budget.h"
#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/clients/downstream.h"
#include "proxy/http/answer.h"
#include "proxy/http/validation.h"
#include "proxy/relay/holding.h"
#include "proxy/relay/websocket.h"
#include "proxy/relay/worker_context.h"
#include "proxy/server/upstream.h"

/* How much of a stream lies here at most, each way, before its sender has to wait. */
#define STREAM_FULL ((size_t)131072)
#define STREAM_LOW ((size_t)32768)

/* Each state says what is waited for. */
enum exchange_state {
    EXCHANGE_GATHERING,  /* the rest of the client's request, which is needed whole */
    EXCHANGE_RELAYING,   /* the head of the server's answer (or its end, where that is all) */
    EXCHANGE_STREAMING,  /* the rest of the server's answer */
    EXCHANGE_COLLECTING, /* the same, which is needed whole */
    EXCHANGE_HOLDING,    /* what the hold decides */
    EXCHANGE_ANSWERING,  /* the client, to take the answer */
    EXCHANGE_BROKEN,     /* the client, to see that there is no more */
    EXCHANGE_UPGRADED,   /* the end of the WebSocket */
};

struct exchange {
    struct worker_context *context;
    struct client_request *client_request;
    const struct request_head *request_head;
    struct arena *arena;
    enum exchange_state state;
    monotonic_time began;

    bool is_call;    /* a POST to the API endpoint */
    bool is_session; /* asks for a session, whose URLs are to change */
    bool any_issuer; /* the server's certificate is bad, and this goes on all the same */
    struct body_frame frame;
    struct budget_account account; /* open for what is read whole: a call, or a session */
    struct buffer upload;          /* of the client's body: all, or what is not sent on yet */
    bool upload_ended;
    size_t unneeded; /* bytes of the body that nobody needed */

    bool no_room; /* for the server's answer, which is read whole */

    struct transfer *transfer;     /* of the client's own request */
    struct buffer received;        /* of the server's body: all, or what is not passed on yet */
    struct answer answer;          /* status 0: none yet */
    bool is_counted;               /* its bytes are, where it went out whole */
    enum upstream_failure failure; /* of the client's own request */

    struct holding holding; /* open in HOLDING */

    bool awaits_leave; /* the client, and the server is to give it */
    bool asks_upgrade; /* it is a WebSocket's handshake */
    const char *fault; /* what is wrong with the server's answer, where that is known here */
    struct websocket *websocket;
};

#endif
