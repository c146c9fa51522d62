#include "proxy/clients/client_hello.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct client_hello_reader {
    SSL_CTX *context;
    enum client_hello_kind kind; /* of the message that is being read */
};

/* The extension's body: a list of 11 bytes with one name of 10 (RFC 7301, section 3.1). */
static const unsigned char challenge[] = "\x00\x0b\x0a"
                                         "acme-tls/1";

/* The message is whole and well-formed. The handshake goes no further. */
static int on_hello(SSL *connection, int *alert, void *user)
{
    (void)alert;
    struct client_hello_reader *reader = user;
    const unsigned char *body;
    size_t len;
    reader->kind =
        SSL_client_hello_get0_ext(connection, TLSEXT_TYPE_application_layer_protocol_negotiation,
                                  &body, &len) &&
                len == sizeof challenge - 1 && memcmp(body, challenge, len) == 0
            ? CLIENT_HELLO_CHALLENGE
            : CLIENT_HELLO_OTHER;
    return SSL_CLIENT_HELLO_RETRY;
}

struct client_hello_reader *client_hello_reader_create(void)
{
    struct client_hello_reader *reader = malloc(sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->context = SSL_CTX_new(TLS_server_method());
    if (reader->context == NULL) {
        free(reader);
        return NULL;
    }
    SSL_CTX_set_client_hello_cb(reader->context, on_hello, reader);
    return reader;
}

void client_hello_reader_destroy(struct client_hello_reader *reader)
{
    if (reader == NULL)
        return;
    SSL_CTX_free(reader->context);
    free(reader);
}

/* A server's side of a connection from which so much has come; NULL when memory runs out. */
static SSL *accept_bytes(struct client_hello_reader *reader, const char *bytes, size_t len)
{
    SSL *connection = len <= INT_MAX ? SSL_new(reader->context) : NULL;
    BIO *received = connection != NULL ? BIO_new_mem_buf(bytes, (int)len) : NULL;
    BIO *sent = received != NULL ? BIO_new(BIO_s_mem()) : NULL;
    if (sent == NULL) {
        BIO_free(received);
        SSL_free(connection);
        return NULL;
    }
    BIO_set_mem_eof_return(received, -1); /* its end is not the connection's */
    SSL_set_bio(connection, received, sent);
    SSL_set_accept_state(connection);
    return connection;
}

enum client_hello_kind client_hello_read(struct client_hello_reader *reader, const char *bytes,
                                         size_t len)
{
    SSL *connection = accept_bytes(reader, bytes, len);
    reader->kind = CLIENT_HELLO_PARTIAL;
    int result = connection != NULL ? SSL_accept(connection) : 0;
    bool wants_more =
        connection != NULL && SSL_get_error(connection, result) == SSL_ERROR_WANT_READ;
    if (reader->kind == CLIENT_HELLO_PARTIAL && !wants_more)
        reader->kind = CLIENT_HELLO_OTHER;
    SSL_free(connection);
    ERR_clear_error();
    return reader->kind;
}
