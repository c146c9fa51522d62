#include "proxy/http/raw_answer.h"

#include <gnutls/gnutls.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static bool append_head(unsigned status, const char *reason, const struct field_list *fields,
                        struct buffer *out)
{
    if (!buffer_format(out, "HTTP/1.1 %u %s\r\n", status, reason))
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->fields[i];
        if (!buffer_format(out, "%s: %s\r\n", field->name, field->value))
            return false;
    }
    return true;
}

bool raw_answer_interim(unsigned status, const char *reason, const struct field_list *fields,
                        struct buffer *out)
{
    return append_head(status, reason, fields, out) && buffer_append(out, "\r\n", 2);
}

bool raw_answer_last(const struct answer *answer, const char *reason, struct buffer *out)
{
    bool content = answer->kind == ANSWER_WHOLE;
    bool told = field_find(&answer->fields, "Content-Length") != NULL;
    return append_head(answer->status, reason, &answer->fields, out) &&
           (!content || told || buffer_format(out, "Content-Length: %zu\r\n", answer->len)) &&
           buffer_format(out, "Connection: close\r\n\r\n") &&
           (!content || buffer_append(out, answer->body, answer->len));
}

/*
 * The kernel counts what it needs to keep bytes, too, so of a socket's buffer only half is relied
 * on.
 */
bool raw_answer_has_room(int socket, size_t len)
{
    int size = 0;
    int unsent = 0;
    socklen_t option_len = sizeof size;
    if (getsockopt(socket, SOL_SOCKET, SO_SNDBUF, &size, &option_len) != 0 ||
        ioctl(socket, SIOCOUTQ, &unsent) != 0)
        return false;
    return size / 2 > unsent && len <= (size_t)(size / 2 - unsent);
}

enum raw_result raw_answer_send(int socket, const struct buffer *bytes)
{
    if (!raw_answer_has_room(socket, bytes->len))
        return RAW_UNSENT;
    ssize_t sent = send(socket, buffer_content(bytes), bytes->len, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent <= 0)
        return RAW_UNSENT;
    return (size_t)sent == bytes->len ? RAW_SENT : RAW_BROKEN;
}

/*
 * What GnuTLS has begun to send it must end, so less than all of it is of no use. Its records need
 * less than the other half of the buffer.
 */
enum raw_result raw_answer_send_tls(int socket, void *session, const struct buffer *bytes)
{
    size_t sent = 0;
    if (!raw_answer_has_room(socket, bytes->len))
        return RAW_UNSENT;
    while (sent < bytes->len) {
        ssize_t len = gnutls_record_send(session, buffer_content(bytes) + sent, bytes->len - sent);
        if (len <= 0)
            return RAW_BROKEN;
        sent += (size_t)len;
    }
    return RAW_SENT;
}

void raw_answer_end(int socket, void *session)
{
    if (session != NULL)
        gnutls_bye(session, GNUTLS_SHUT_WR);
    shutdown(socket, SHUT_WR);
}
