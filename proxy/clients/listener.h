#ifndef RENEWGATE_PROXY_CLIENTS_LISTENER_H
#define RENEWGATE_PROXY_CLIENTS_LISTENER_H

/*
 * Listening sockets, and addresses as text.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/listen_address.h"

/* "[address]:port" and its NUL. */
#define LISTENER_TEXT_SIZE 64

/*
 * Opens `count` sockets (into `sockets`) that listen on the same address and share its connections;
 * with port 0 on the same free port. IPv6's wildcard takes IPv4 too. `text` gets the real address.
 * False with errno; nothing is then open.
 */
bool listener_open(const struct listen_address *address, int *sockets, size_t count,
                   char text[static LISTENER_TEXT_SIZE]);

#endif
