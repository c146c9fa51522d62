#include "proxy/server/upstream_parts.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/* Who is interrupted tries again at once: no other edge would come for what is there. */
static enum wire receive_plain(struct connection *connection, char *into, size_t size, size_t *len)
{
    ssize_t received;
    do {
        received = recv(connection->file, into, size, MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < 0)
        return would_block() ? WIRE_LATER : WIRE_BROKEN;
    *len = (size_t)received;
    return received > 0 ? WIRE_BYTES : WIRE_END;
}

static enum wire receive_tls(struct connection *connection, char *into, size_t size, size_t *len)
{
    CURLcode code = curl_easy_recv(connection->easy, into, size, len);
    if (code == CURLE_AGAIN)
        return WIRE_LATER;
    if (code != CURLE_OK)
        return WIRE_BROKEN;
    return *len > 0 ? WIRE_BYTES : WIRE_END;
}

/*
 * Less than a whole block is all there was: what comes later is another edge. With TLS bytes may
 * wait in the library, so there only its word counts.
 */
enum wire wire_receive(struct connection *connection, char *into, size_t size, size_t *len)
{
    bool tls = connection->easy != NULL;
    *len = 0;
    enum wire result =
        tls ? receive_tls(connection, into, size, len) : receive_plain(connection, into, size, len);
    if (result == WIRE_LATER ||
        (!tls && result == WIRE_BYTES && *len < size && !connection->hung_up))
        connection->readable = false;
    connection->hung_up |= result == WIRE_END || result == WIRE_BROKEN;
    return result;
}

static enum wire send_plain(struct connection *connection, const struct iovec *parts, size_t count,
                            size_t *len)
{
    /* The parts are only read. */
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(connection->file, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return would_block() ? WIRE_LATER : WIRE_BROKEN;
    *len = (size_t)sent;
    return WIRE_BYTES;
}

/* Two parts that fit into one record leave in one. */
static enum wire send_tls(struct connection *connection, const struct iovec *parts, size_t count,
                          size_t *len)
{
    char *record = connection->upstream->record;
    struct iovec whole = parts[0];
    if (count > 1 && parts[0].iov_len + parts[1].iov_len <= RECORD_SIZE) {
        memcpy(record, parts[0].iov_base, parts[0].iov_len);
        memcpy(record + parts[0].iov_len, parts[1].iov_base, parts[1].iov_len);
        whole = (struct iovec){record, parts[0].iov_len + parts[1].iov_len};
    }
    CURLcode code = curl_easy_send(connection->easy, whole.iov_base, whole.iov_len, len);
    if (code == CURLE_AGAIN)
        return WIRE_LATER;
    return code == CURLE_OK ? WIRE_BYTES : WIRE_BROKEN;
}

enum wire wire_send(struct connection *connection, const struct iovec *parts, size_t count,
                    size_t *len)
{
    *len = 0;
    enum wire result = connection->easy != NULL ? send_tls(connection, parts, count, len)
                                                : send_plain(connection, parts, count, len);
    if (result == WIRE_LATER)
        connection->writable = false;
    return result;
}
