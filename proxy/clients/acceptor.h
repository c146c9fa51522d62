#ifndef RENEWGATE_PROXY_CLIENTS_ACCEPTOR_H
#define RENEWGATE_PROXY_CLIENTS_ACCEPTOR_H

/*
 * Accepts connections whose beginning has to be read before they are anybody's.
 *
 * A PROXY header is taken off, and the address that it tells goes with the connection. Only trusted
 * proxies may connect then: nobody else's header could be believed, and a connection without one is
 * not to be taken for a client's own (haproxy's doc/proxy-protocol.txt, section 2). Everything else
 * is closed, with a line in the log.
 *
 * The first message of TLS is only looked at: where it is a CA's that wants a tls-alpn-01 challenge
 * answered, the connection is the passthrough's, all others are the handler's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proxy/telemetry/log.h"
#include "proxy/base/loop.h"
#include "proxy/base/networks.h"

struct acceptor;
struct passthrough; /* proxy/clients/passthrough.h */

struct acceptor_settings {
    bool proxy_protocol;                /* there is a PROXY header, of who is `trusted` */
    const struct network_list *trusted; /* borrowed */
    struct passthrough *passthrough;    /* for challenges; NULL: no TLS is looked at; borrowed */
    const struct log *log;              /* borrowed */
    int64_t header_timeout_ms;          /* for all that has to be read */
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

/* Closes connections whose beginning takes too long; about once a second. */
void acceptor_tick(struct acceptor *acceptor);

#endif
