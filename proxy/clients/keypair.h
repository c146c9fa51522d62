#ifndef RENEWGATE_PROXY_CLIENTS_KEYPAIR_H
#define RENEWGATE_PROXY_CLIENTS_KEYPAIR_H

/*
 * The certificate and the key by which clients know the gate over TLS, from two PEM files, and what
 * TLS the gate speaks. All functions are safe for threads.
 *
 * The files are read again when the operator asks for it and when they have changed. What was read
 * is never changed afterwards: a connection keeps the pair that it began with until it ends, and
 * the last one to let go of a pair frees it.
 */

#include <stdbool.h>
#include <stdint.h>

struct keypair;
struct keypair_store;

#define KEYPAIR_ERROR_SIZE 256

/* Both paths are borrowed. NULL, and `error` says why, where they are not a pair. */
struct keypair_store *keypair_store_open(const char *certificate, const char *key,
                                         char error[static KEYPAIR_ERROR_SIZE]);

/* Reads the files again. False, and the pair from before stays, where they are not a pair. */
bool keypair_store_reload(struct keypair_store *store, char error[static KEYPAIR_ERROR_SIZE]);

/*
 * Whether the files are others than those that were last read, and have stayed as they are since
 * the last look: whoever replaces them one after the other is not to be met half-way. They are
 * compared by what stat(2) says of the files that the paths lead to now, so that links may be
 * swapped at any place in between, as certbot and Kubernetes do.
 */
bool keypair_store_is_stale(struct keypair_store *store);

/* When the present certificate ends, in seconds since 1970. */
int64_t keypair_store_expiry(struct keypair_store *store);

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
