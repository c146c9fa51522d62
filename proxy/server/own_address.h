#ifndef RENEWGATE_PROXY_SERVER_OWN_ADDRESS_H
#define RENEWGATE_PROXY_SERVER_OWN_ADDRESS_H

/*
 * The address from which the gate reaches the server. It goes along with requests of the gate's
 * own: a server that reads X-Forwarded-For complains of each request without one, and counts what
 * it has against an address against this one.
 */

#include <stdbool.h>

#include "proxy/base/networks.h"

/*
 * Asks the kernel for the route to the host of a URL, sending nothing; names are looked up, which
 * may take a while. False, and "" in `text`, where there is no answer.
 */
bool own_address_find(const char *url, char text[static NETWORK_ADDRESS_TEXT_SIZE]);

#endif
