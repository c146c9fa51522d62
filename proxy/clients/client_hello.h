#ifndef RENEWGATE_PROXY_CLIENTS_CLIENT_HELLO_H
#define RENEWGATE_PROXY_CLIENTS_CLIENT_HELLO_H

/*
 * The first message of a TLS connection, as far as it says whether a CA has come to look at a
 * tls-alpn-01 challenge: such a connection offers the protocol acme-tls/1 and no other (RFC 8737,
 * section 4). OpenSSL reads the message; nothing is answered, and no key is needed.
 *
 * It is read anew whenever more of it has come: that takes some microseconds, where what OpenSSL
 * would keep of a message that is not whole takes 70 KiB.
 */

#include <stddef.h>

/* What reads messages of any number of connections, in one thread. */
struct client_hello_reader;

enum client_hello_kind {
    CLIENT_HELLO_PARTIAL,   /* more must come */
    CLIENT_HELLO_CHALLENGE, /* acme-tls/1 only */
    CLIENT_HELLO_OTHER,     /* anything else, what is no TLS included */
};

/* NULL when memory runs out. */
struct client_hello_reader *client_hello_reader_create(void);

/* NULL is allowed. */
void client_hello_reader_destroy(struct client_hello_reader *reader);

/*
 * What the first `len` bytes of a connection, at least one, are the beginning of. They may go on
 * behind the message. CLIENT_HELLO_OTHER also when memory runs out.
 */
enum client_hello_kind client_hello_read(struct client_hello_reader *reader, const char *bytes,
                                         size_t len);

#endif
