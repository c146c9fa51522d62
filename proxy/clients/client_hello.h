#ifndef RENEWGATE_PROXY_CLIENTS_CLIENT_HELLO_H
#define RENEWGATE_PROXY_CLIENTS_CLIENT_HELLO_H

/*
 * The first message of a TLS connection, as far as it says whether a CA has come to look at a
 * tls-alpn-01 challenge: such a connection offers the protocol acme-tls/1 and no other (RFC 8737,
 * section 4). OpenSSL reads the message; nothing is answered, and no key is needed.
 */

#include <stddef.h>

struct client_hello;

enum client_hello_kind {
    CLIENT_HELLO_PARTIAL,   /* more must come */
    CLIENT_HELLO_CHALLENGE, /* acme-tls/1 only */
    CLIENT_HELLO_OTHER,     /* anything else, what is no TLS included */
};

/* NULL when memory runs out. */
struct client_hello *client_hello_create(void);

/* NULL is allowed. */
void client_hello_destroy(struct client_hello *hello);

/*
 * Takes the bytes that follow those of the calls before. Once it is not partial, it stays what it
 * is. Memory grows with what has come: whoever calls must bound that.
 */
enum client_hello_kind client_hello_feed(struct client_hello *hello, const char *bytes, size_t len);

#endif
