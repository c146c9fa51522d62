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

/* The downstream's handler; its user is a struct worker_context (proxy/relay/worker_context.h). */
extern const struct downstream_handler exchange_handler;

#endif
