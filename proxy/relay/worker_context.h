#ifndef RENEWGATE_PROXY_RELAY_WORKER_CONTEXT_H
#define RENEWGATE_PROXY_RELAY_WORKER_CONTEXT_H

/*
 * What a worker's exchanges share, on its thread alone but for the gate.
 */

#include <stdbool.h>

#include "proxy/relay/gate.h"

struct cors;          /* proxy/http/cors.h */
struct loop;          /* proxy/base/loop.h */
struct mailbox;       /* proxy/base/mailbox.h */
struct request_slots; /* proxy/server/request_slot.h */
struct upstream;      /* proxy/server/upstream.h */
struct websocket_set; /* proxy/relay/websocket.h */

/* All borrowed for as long as there are exchanges. */
struct worker_context {
    struct gate *gate;
    struct loop *loop;
    struct upstream *upstream;
    struct mailbox *mailbox;
    struct request_slots *slots;
    struct cors *cors; /* what web pages may see of the gate's own answers */
    struct websocket_set *websockets;
    bool only_challenges; /* of the plain listener: all else is redirected */
};

#endif
