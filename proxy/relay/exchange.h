#ifndef RENEWGATE_PROXY_RELAY_EXCHANGE_H
#define RENEWGATE_PROXY_RELAY_EXCHANGE_H

/*
 * One exchange, from a request's arrival to the end of its answer: relayed as a stream both ways,
 * or, when it is a JMAP request that holds creates, driven through a hold (jmap/create/hold.h).
 *
 *     GATHERING --> HOLDING                what the hold decides
 *         |            |
 *         v            v
 *     RELAYING ---> ANSWERING              the server has it; all of the answer is here
 *         |            ^
 *         v            |
 *     STREAMING -------+--> BROKEN         the answer is on its way; it broke off
 *         ^            |
 *         |            |
 *     COLLECTING ------+                   the answer is a session, needed whole
 */

#include "proxy/clients/downstream.h"
#include "proxy/relay/gate.h"
#include "proxy/base/mailbox.h"
#include "proxy/server/turn.h"
#include "proxy/server/upstream.h"
#include "proxy/relay/websocket.h"

/* Where a worker's exchanges live. All borrowed for as long as there are any. */
struct exchange_context {
    struct gate *gate;
    struct loop *loop;
    struct upstream *upstream;
    struct mailbox *mailbox;
    struct turns *turns;
    struct cors *cors; /* what web pages may see of the gate's own answers */
    struct websocket_set *websockets;
    bool only_challenges; /* of the plain listener: all else is redirected */
};

/* The downstream's handler; its user is a struct exchange_context. */
extern const struct downstream_handler exchange_handler;

#endif
