#ifndef RENEWGATE_PROXY_RELAY_EXCHANGE_HOLD_H
#define RENEWGATE_PROXY_RELAY_EXCHANGE_HOLD_H

/*
 * A call is driven through a hold, which decides what is sent of it and answered.
 */

#include "proxy/relay/exchange_state.h"

/* False where it holds nothing after all. */
bool exchange_hold(struct exchange *exchange);

#endif
