#include "proxy/server/upstream_parts.h"

#include <errno.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static bool would_block(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK;
}

/*
 * Less than was asked for is all there was: what comes later is another edge. Who is interrupted
 * tries again at once: no other edge would come for what is there.
 */
enum wire wire_receive_plain(struct connection *connection, char *into, size_t size, size_t *len)
{
    ssize_t received;
    *len = 0;
    if (connection->drained)
        return WIRE_LATER;
    do {
        received = recv(connection->file, into, size, MSG_DONTWAIT);
    } while (received < 0 && errno == EINTR);
    if (received < 0 && !would_block())
        return WIRE_BROKEN;
    connection->drained =
        received < 0 || (received > 0 && (size_t)received < size && !connection->hung_up);
    if (received < 0)
        return WIRE_LATER;
    *len = (size_t)received;
    return received > 0 ? WIRE_BYTES : WIRE_END;
}

static enum wire receive_by_curl(struct connection *connection, char *into, size_t size,
                                 size_t *len)
{
    CURLcode code = curl_easy_recv(connection->easy, into, size, len);
    if (code == CURLE_AGAIN)
        return WIRE_LATER;
    if (code != CURLE_OK)
        return WIRE_BROKEN;
    return *len > 0 ? WIRE_BYTES : WIRE_END;
}

enum wire wire_receive(struct connection *connection, char *into, size_t size, size_t *len)
{
    enum wire result;
    *len = 0;
    if (connection->tls != NULL)
        result = tls_receive(connection, into, size, len);
    else if (connection->easy != NULL)
        result = receive_by_curl(connection, into, size, len);
    else
        result = wire_receive_plain(connection, into, size, len);
    if (result == WIRE_LATER || (connection->drained && !tls_holds_bytes(connection)))
        connection->readable = false;
    connection->hung_up |= result == WIRE_END || result == WIRE_BROKEN;
    return result;
}

enum wire wire_send_plain(struct connection *connection, const struct iovec *parts, size_t count,
                          size_t *len)
{
    /* The parts are only read. */
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    ssize_t sent;
    do {
        sent = sendmsg(connection->file, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    *len = sent < 0 ? 0 : (size_t)sent;
    if (sent < 0)
        return would_block() ? WIRE_LATER : WIRE_BROKEN;
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
    if (connection->tls != NULL)
        return tls_send(connection, whole.iov_base, whole.iov_len, len);
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
                                                : wire_send_plain(connection, parts, count, len);
    if (result == WIRE_LATER)
        connection->writable = false;
    return result;
}

size_t wire_untaken(const struct connection *connection)
{
    int count = 0;
    return ioctl(connection->file, SIOCOUTQ, &count) == 0 && count > 0 ? (size_t)count : 0;
}
