#ifndef RENEWGATE_PROXY_REPLICAS_LOCK_CONNECTION_H
#define RENEWGATE_PROXY_REPLICAS_LOCK_CONNECTION_H

/*
 * A connection to the lock server, plain or with TLS, that has shown that it can be locked on.
 * curl resolves, connects and encrypts; it knows nothing of what is said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buffer.h"
#include "proxy/replicas/lock_protocol.h"
#include "proxy/replicas/lock_url.h"

#define LOCK_ERROR_SIZE 256

struct lock_connection;

struct lock_connection_settings {
    const struct lock_server *server;
    const char *ca;     /* path of the certificates to trust; NULL: the system's */
    const char *prefix; /* of every key */
    int64_t timeout_ms; /* for connecting, and again for all that is said at first */
};

/*
 * Connects, authenticates, and takes and gives a lease for trial, while the caller waits. NULL with
 * the reason in words, which hold no credential.
 */
struct lock_connection *lock_connection_open(const struct lock_connection_settings *settings,
                                             char error[static LOCK_ERROR_SIZE]);

/* NULL is allowed. */
void lock_connection_close(struct lock_connection *connection);

/*
 * Its socket; to be waited for until it can be read, and written where something is left to send.
 */
int lock_connection_file(const struct lock_connection *connection);

/* Sends from the front of `bytes` what can be sent now; false with the reason when it is broken. */
bool lock_connection_send(struct lock_connection *connection, struct buffer *bytes,
                          char error[static LOCK_ERROR_SIZE]);

enum lock_receipt {
    LOCK_RECEIPT_REPLY,    /* in `out` */
    LOCK_RECEIPT_LATER,    /* the next one is not here yet */
    LOCK_RECEIPT_NONSENSE, /* something that is no reply */
    LOCK_RECEIPT_BROKEN,   /* the connection has ended */
};

/* The next reply; with the last two the reason. */
enum lock_receipt lock_connection_receive(struct lock_connection *connection,
                                          struct lock_reply *out,
                                          char error[static LOCK_ERROR_SIZE]);

#endif
