#include "proxy/clients/client_hello.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct client_hello {
    SSL_CTX *context;
    SSL *connection;
    BIO *received; /* the connection's */
    enum client_hello_kind kind;
};

/* The extension's body: a list of 11 bytes with one name of 10 (RFC 7301, section 3.1). */
static const unsigned char challenge[] = "\x00\x0b\x0a"
                                         "acme-tls/1";

/* The message is whole and well-formed. The handshake goes no further. */
static int on_hello(SSL *connection, int *alert, void *user)
{
    (void)alert;
    struct client_hello *hello = user;
    const unsigned char *body;
    size_t len;
    hello->kind =
        SSL_client_hello_get0_ext(connection, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &body, &len) &&
                len == sizeof challenge - 1 && memcmp(body, challenge, len) == 0
            ? CLIENT_HELLO_CHALLENGE
            : CLIENT_HELLO_OTHER;
    return SSL_CLIENT_HELLO_RETRY;
}

struct client_hello *client_hello_create(void)
{
    struct client_hello *hello = calloc(1, sizeof *hello);
    if (hello == NULL)
        return NULL;
    hello->context = SSL_CTX_new(TLS_server_method());
    hello->connection = hello->context != NULL ? SSL_new(hello->context) : NULL;
    hello->received = BIO_new(BIO_s_mem());
    BIO *sent = BIO_new(BIO_s_mem());
    if (hello->connection == NULL || hello->received == NULL || sent == NULL) {
        BIO_free(hello->received);
        BIO_free(sent);
        client_hello_destroy(hello);
        return NULL;
    }
    SSL_CTX_set_client_hello_cb(hello->context, on_hello, hello);
    BIO_set_mem_eof_return(hello->received, -1); /* its end is not the connection's */
    SSL_set_bio(hello->connection, hello->received, sent);
    SSL_set_accept_state(hello->connection);
    return hello;
}

void client_hello_destroy(struct client_hello *hello)
{
    if (hello == NULL)
        return;
    SSL_free(hello->connection);
    SSL_CTX_free(hello->context);
    free(hello);
}

enum client_hello_kind client_hello_feed(struct client_hello *hello, const char *bytes, size_t len)
{
    if (hello->kind != CLIENT_HELLO_PARTIAL || len == 0)
        return hello->kind;
    bool taken = len <= INT_MAX && BIO_write(hello->received, bytes, (int)len) == (int)len;
    int result = taken ? SSL_accept(hello->connection) : 0;
    if (hello->kind == CLIENT_HELLO_PARTIAL &&
        !(taken && SSL_get_error(hello->connection, result) == SSL_ERROR_WANT_READ))
        hello->kind = CLIENT_HELLO_OTHER;
    ERR_clear_error();
    return hello->kind;
}
