#ifndef RENEWGATE_PROXY_RELAY_EXCHANGE_RELAY_H
#define RENEWGATE_PROXY_RELAY_EXCHANGE_RELAY_H

/*
 * A client's request goes to the server as it is: what is here of its body, the rest as it comes;
 * and so does the answer come back, but for a session, whose URLs are changed.
 */

#include "proxy/relay/exchange_state.h"

void exchange_relay(struct exchange *exchange);

#endif
