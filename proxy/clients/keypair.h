#ifndef RENEWGATE_PROXY_CLIENTS_KEYPAIR_H
#define RENEWGATE_PROXY_CLIENTS_KEYPAIR_H

/*
 * The certificate and the key by which clients know the gate over TLS, from two PEM files, and what
 * TLS the gate speaks. All functions are safe for threads.
 *
 * The files are read again when the operator asks for it. What was read is never changed
 * afterwards: a connection keeps the pair that it began with until it ends, and the last one to
 * let go of a pair frees it.
 */

#include <stdbool.h>

struct keypair;
struct keypair_store;

#define KEYPAIR_ERROR_SIZE 256

/* Both paths are borrowed. NULL, and `error` says why, where they are not a pair. */
struct keypair_store *keypair_store_open(const char *certificate, const char *key,
                                         char error[static KEYPAIR_ERROR_SIZE]);

/* Reads the files again. False, and the pair from before stays, where they are not a pair. */
bool keypair_store_reload(struct keypair_store *store, char error[static KEYPAIR_ERROR_SIZE]);

/* NULL is allowed. Pairs that are taken stay. */
void keypair_store_close(struct keypair_store *store);

/* The present pair; the caller's until keypair_release(). */
struct keypair *keypair_take(struct keypair_store *store);

/* NULL is allowed. */
void keypair_release(struct keypair *keypair);

/*
 * Shows the pair to a client: `session` is a connection's gnutls_session_t before its handshake,
 * and has to end before the pair is released.
 */
void keypair_show(const struct keypair *keypair, void *session);

/* The versions and ciphers that are spoken, as GnuTLS wants them told. */
extern const char keypair_priorities[];

#endif
