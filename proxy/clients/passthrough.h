#ifndef RENEWGATE_PROXY_CLIENTS_PASSTHROUGH_H
#define RENEWGATE_PROXY_CLIENTS_PASSTHROUGH_H

/*
 * Connections that are passed on byte for byte to another listener: those of a CA that looks at a
 * tls-alpn-01 challenge, which only the mail server can answer. There are a handful for a renewal,
 * one for each name at the same time, so each has a thread of its own. Where there are too many the
 * oldest ends, none lives longer than PASSTHROUGH_MILLISECONDS, and none carries more than a
 * handshake. Safe for threads.
 */

#include <stdint.h>
#include <sys/socket.h>

#include "proxy/telemetry/log.h"

#define PASSTHROUGH_MILLISECONDS 10000
#define PASSTHROUGH_MAX 64      /* at one time, with those that end */
#define PASSTHROUGH_MAX_EACH 16 /* of them from one client, see network_address_client() */

struct passthrough;

/* Borrows all. `most` at one time, up to PASSTHROUGH_MAX. NULL with errno. */
struct passthrough *passthrough_create(const char *host, uint16_t port, unsigned most,
                                       const struct log *log);

/* Ends those that are left, and waits for that. NULL is allowed. */
void passthrough_destroy(struct passthrough *passthrough);

/* Takes a connection over, whatever comes of it. `address` is whose it is. */
void passthrough_begin(struct passthrough *passthrough, int file, const struct sockaddr *address);

#endif
