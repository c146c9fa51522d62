#ifndef RENEWGATE_PROXY_CLIENTS_ACCEPTOR_H
#define RENEWGATE_PROXY_CLIENTS_ACCEPTOR_H

/*
 * Accepts connections that begin with a PROXY header, and passes them on with the address that it
 * tells and without it. Only trusted proxies may connect: nobody else's header could be believed,
 * and a connection without one is not to be taken for a client's own (haproxy's
 * doc/proxy-protocol.txt, section 2). Everything else is closed, with a line in the log.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/telemetry/log.h"
#include "proxy/base/loop.h"
#include "proxy/base/networks.h"

struct acceptor;

struct acceptor_settings {
    const struct network_list *trusted; /* borrowed */
    const struct log *log;              /* borrowed */
    int64_t header_timeout_ms;          /* for a header, whole */
};

struct acceptor_handler {
    /* False while no more connections are wanted, `waiting` of which have yet to tell whose. */
    bool (*has_room)(void *user, size_t waiting);
    /* A connection, the handler's from now on, and whose it is. */
    void (*accepted)(void *user, int file, const struct sockaddr *address, socklen_t len);
};

/*
 * Takes over `listener`, a non-blocking listening socket, and closes it in the end. NULL when it
 * cannot be started (`listener` is then closed). The loop must outlive it.
 */
struct acceptor *acceptor_create(const struct acceptor_settings *settings, int listener,
                                 struct loop *loop, const struct acceptor_handler *handler,
                                 void *user);

/* Closes what has not been passed on. NULL is allowed. */
void acceptor_destroy(struct acceptor *acceptor);

/* There may be room again. */
void acceptor_resume(struct acceptor *acceptor);

/* Closes connections whose header takes too long; about once a second. */
void acceptor_tick(struct acceptor *acceptor);

#endif
