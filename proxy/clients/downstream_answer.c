#include "proxy/clients/downstream_parts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/http/raw_answer.h"

#define STREAM_BLOCK ((size_t)32768)
/* Larger answers leave in several records anyhow. */
#define RECORD_SIZE ((size_t)16384)
/* The status line, and what libmicrohttpd adds to a head. */
#define HEAD_SIZE ((size_t)512)
/* What an idle socket takes at once, whatever its buffer. */
#define SENT_AT_ONCE ((size_t)16384)

static ssize_t on_content(void *user, uint64_t position, char *into, size_t max)
{
    (void)position;
    struct client_request *client_request = user;
    if (client_request->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t len = 0;
    client_request->downstream->busy = true;
    switch (client_request->downstream->handler->content(client_request->object, into, max, &len)) {
    case CONTENT_BYTES:
        return (ssize_t)len;
    case CONTENT_LATER:
        client_request_suspend(client_request);
        return 0;
    case CONTENT_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case CONTENT_FAIL:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static struct MHD_Response *create_response(struct client_request *client_request,
                                            const struct answer *answer)
{
    uint64_t len = answer->len == LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : answer->len;
    switch (answer->kind) {
    case ANSWER_EMPTY:
        return MHD_create_response_empty((enum MHD_ResponseFlags)(
            MHD_RF_HEAD_ONLY_RESPONSE | MHD_RF_INSANITY_HEADER_CONTENT_LENGTH));
    case ANSWER_WHOLE:
        return MHD_create_response_from_buffer_static(answer->len, answer->body);
    case ANSWER_STREAM:
        return MHD_create_response_from_callback(len, STREAM_BLOCK, on_content, client_request,
                                                 NULL);
    case ANSWER_UPGRADE:
        return MHD_create_response_for_upgrade(upgrade_begin, client_request);
    }
    return NULL;
}

/*
 * libmicrohttpd would put Content-Length last; with its flag it stays where the server had it. A
 * client that speaks HTTP/1.0 is answered in it, as the server does (RFC 9110, section 6.2).
 */
static void set_options(const struct client_request *client_request, struct MHD_Response *response,
                        const struct answer *answer)
{
    unsigned flags = MHD_RF_INSANITY_HEADER_CONTENT_LENGTH;
    if (answer->kind == ANSWER_UPGRADE)
        return;
    if (answer->kind == ANSWER_EMPTY)
        flags |= MHD_RF_HEAD_ONLY_RESPONSE;
    if (strcmp(client_request->request_head.version, "1.0") == 0)
        flags |= MHD_RF_HTTP_1_0_SERVER;
    MHD_set_response_options(response, (enum MHD_ResponseFlags)flags, MHD_RO_END);
}

/*
 * libmicrohttpd takes no field without a value, but one of a blank, which is the same (RFC 9112,
 * section 5.1).
 */
static bool add_fields(struct MHD_Response *response, const struct answer *answer)
{
    for (size_t i = 0; i < answer->fields.count; i++) {
        const struct field *field = &answer->fields.fields[i];
        const char *value = field->value_len > 0 ? field->value : " ";
        if (MHD_add_response_header(response, field->name, value) != MHD_YES)
            return false;
    }
    return !answer->close || MHD_add_response_header(response, "Connection", "close") == MHD_YES;
}

/* Content of another length than the fields promise would become a part of the next answer, or lack
 * it. */
static bool tells_length(const struct answer *answer)
{
    size_t promised;
    const struct field *told = field_find(&answer->fields, "Content-Length");
    return told == NULL || answer->kind != ANSWER_WHOLE ||
           (field_read_length(told->value, &promised) && promised == answer->len);
}

/*
 * libmicrohttpd would encrypt and send a head and a body one after the other. Until it has written
 * both they are kept, if the socket is sure to take them then.
 */
static void cork(struct client_request *client_request, const struct answer *answer)
{
    void *session = connection_tls_session(client_request->connection);
    size_t len = HEAD_SIZE + answer->len;
    if (session == NULL || answer->kind != ANSWER_WHOLE || answer->len == 0)
        return;
    for (size_t i = 0; i < answer->fields.count; i++)
        len += answer->fields.fields[i].name_len + answer->fields.fields[i].value_len + 4;
    if (len > RECORD_SIZE ||
        !raw_answer_has_room(connection_socket(client_request->connection), len))
        return;
    gnutls_record_cork(session);
    client_request->corked = true;
}

/* It has corked the socket, too; this makes it send, corked or not (tcp(7)). */
void client_request_uncork(struct client_request *client_request)
{
    int file = connection_socket(client_request->connection);
    if (gnutls_record_uncork(connection_tls_session(client_request->connection), 0) < 0)
        shutdown(file, SHUT_RDWR);
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
}

enum MHD_Result client_request_queue_answer(struct client_request *client_request)
{
    struct answer answer = {0};
    if (!client_request->downstream->handler->answer(client_request->object, &answer) ||
        !tells_length(&answer))
        return MHD_NO;
    if (answer.kind == ANSWER_UPGRADE && !client_request_may_upgrade(client_request))
        return MHD_NO;
    answer.close =
        answer.kind != ANSWER_UPGRADE && (answer.close || client_request->downstream->draining);
    struct MHD_Response *response = create_response(client_request, &answer);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    set_options(client_request, response, &answer);
    client_request->queued = true;
    client_request->downstream->busy |=
        answer.kind != ANSWER_EMPTY && (answer.kind != ANSWER_WHOLE || answer.len > SENT_AT_ONCE);
    cork(client_request, &answer);
    if (add_fields(response, &answer))
        result = MHD_queue_response(client_request->connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
}

static const char *reason_of(unsigned status)
{
    const char *reason = MHD_get_reason_phrase_for(status);
    return reason == NULL ? "" : reason;
}

/* libmicrohttpd must have nothing of its own to write. */
static enum raw_result write_past_library(struct client_request *client_request,
                                          const struct buffer *bytes)
{
    int file = connection_socket(client_request->connection);
    void *session = connection_tls_session(client_request->connection);
    if (file < 0)
        return RAW_UNSENT;
    return session == NULL ? raw_answer_send(file, bytes)
                           : raw_answer_send_tls(file, session, bytes);
}

void client_request_interim(struct client_request *client_request, unsigned status,
                            const struct field_list *fields)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (strcmp(client_request->request_head.version, "1.0") == 0 || client_request->ready ||
        client_request->aborted)
        return;
    if (raw_answer_interim(status, reason_of(status), fields, &bytes) &&
        write_past_library(client_request, &bytes) == RAW_BROKEN)
        client_request_abort(client_request);
    buffer_clear(&bytes);
}

/*
 * What still comes of the body is read and dropped after it: a socket that is closed with bytes
 * unread takes the answer back.
 */
static void answer_early(struct client_request *client_request)
{
    struct answer answer = {0};
    struct buffer bytes = BUFFER_EMPTY;
    if (client_request->downstream->handler->answer(client_request->object, &answer) &&
        answer.kind != ANSWER_STREAM && answer.kind != ANSWER_UPGRADE &&
        answer.len <= SENT_AT_ONCE && tells_length(&answer) &&
        raw_answer_last(&answer, reason_of(answer.status), &bytes)) {
        enum raw_result result = write_past_library(client_request, &bytes);
        client_request->answered = result == RAW_SENT;
        if (result == RAW_SENT)
            raw_answer_end(connection_socket(client_request->connection),
                           connection_tls_session(client_request->connection));
        else if (result == RAW_BROKEN)
            client_request_abort(client_request);
    }
    buffer_clear(&bytes);
}

void client_request_ready(struct client_request *client_request)
{
    client_request->ready = true;
    if (!client_request->in_head && !client_request->awaits_leave && !client_request->queued &&
        !client_request->body_ended && !client_request->answered && !client_request->aborted)
        answer_early(client_request);
    client_request_resume(client_request);
}
