#include "proxy/server/upstream_parts.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <sys/socket.h>

/* ---- what OpenSSL reads and writes ---- */

static int read_encrypted(BIO *bio, char *into, int size)
{
    size_t len;
    struct connection *connection = BIO_get_data(bio);
    enum wire result = wire_receive_plain(connection, into, (size_t)size, &len);
    BIO_clear_retry_flags(bio);
    if (result == WIRE_LATER)
        BIO_set_retry_read(bio);
    connection->ended = result == WIRE_END;
    return result == WIRE_LATER || result == WIRE_BROKEN ? -1 : (int)len;
}

static int write_encrypted(BIO *bio, const char *bytes, int size)
{
    /* They are only read. */
    const struct iovec part = {(char *)bytes, (size_t)size};
    size_t len;
    enum wire result = wire_send_plain(BIO_get_data(bio), &part, 1, &len);
    BIO_clear_retry_flags(bio);
    if (result == WIRE_LATER)
        BIO_set_retry_write(bio);
    return result == WIRE_BYTES ? (int)len : -1;
}

static long control_encrypted(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH;
}

bool tls_prepare(struct upstream *upstream)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "connection");
    upstream->bytes_of_tls = method;
    return method != NULL && BIO_meth_set_read(method, read_encrypted) == 1 &&
           BIO_meth_set_write(method, write_encrypted) == 1 &&
           BIO_meth_set_ctrl(method, control_encrypted) == 1;
}

void tls_clear(struct upstream *upstream)
{
    BIO_meth_free(upstream->bytes_of_tls);
}

/* A kept connection is used again soon, so its buffers need not be given back in between. */
void tls_begin(struct connection *connection)
{
    struct curl_tlssessioninfo *session = NULL;
    curl_easy_getinfo(connection->easy, CURLINFO_TLS_SSL_PTR, &session);
    if (session == NULL || session->backend != CURLSSLBACKEND_OPENSSL || session->internals == NULL)
        return;
    BIO *bio = BIO_new(connection->upstream->bytes_of_tls);
    if (bio == NULL)
        return;
    BIO_set_data(bio, connection);
    BIO_set_init(bio, 1);
    connection->tls = session->internals;
    SSL_set_bio(connection->tls, bio, bio);
    SSL_clear_mode(connection->tls, SSL_MODE_RELEASE_BUFFERS);
}

/* ---- what is said ---- */

/* What a call that gave `count`, and no bytes, has met. */
static enum wire result_of(const struct connection *connection, int count)
{
    switch (SSL_get_error(connection->tls, count)) {
    case SSL_ERROR_WANT_READ:
    case SSL_ERROR_WANT_WRITE:
        return WIRE_LATER;
    case SSL_ERROR_ZERO_RETURN:
        return WIRE_END;
    default:
        return WIRE_BROKEN;
    }
}

/*
 * No more than a block is ever read at a time. An end without notice is one; what OpenSSL makes of
 * it differs by version (3.0, 3.5).
 */
enum wire tls_receive(struct connection *connection, char *into, size_t size, size_t *len)
{
    ERR_clear_error();
    int received = SSL_read(connection->tls, into, (int)size);
    if (received <= 0 && connection->ended)
        return WIRE_END;
    if (received <= 0)
        return result_of(connection, received);
    *len = (size_t)received;
    return WIRE_BYTES;
}

enum wire tls_send(struct connection *connection, const char *bytes, size_t size, size_t *len)
{
    ERR_clear_error();
    int done = SSL_write_ex(connection->tls, bytes, size, len);
    return done == 1 ? WIRE_BYTES : result_of(connection, done);
}

bool tls_holds_bytes(const struct connection *connection)
{
    return connection->tls != NULL && SSL_has_pending(connection->tls) == 1;
}

bool tls_is_quiet(struct connection *connection)
{
    char byte;
    if (!connection->drained)
        connection->drained =
            recv(connection->file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
    connection->readable = !connection->drained || tls_holds_bytes(connection);
    return !connection->readable;
}
