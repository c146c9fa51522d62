#include "proxy/relay/exchange_relay.h"

#include <string.h>

#include "proxy/http/outgoing.h"
#include "proxy/http/upgrade.h"
#include "proxy/relay/challenge.h"
#include "proxy/relay/exchange_answer.h"
#include "proxy/relay/public_session.h"
#include "proxy/relay/reading.h"
#include "proxy/relay/report.h"

/* What is here of the answer goes out, the rest as it comes. */
static void stream(struct exchange *exchange)
{
    exchange->state = EXCHANGE_STREAMING;
    client_request_ready(exchange->client_request);
}

static bool upgrade(struct exchange *exchange, const struct upstream_head *head)
{
    struct answer *answer = &exchange->answer;
    exchange->fault = upgrade_fault(exchange->request_head, &head->fields);
    if (exchange->fault != NULL)
        return false;
    *answer = (struct answer){.status = head->status, .kind = ANSWER_UPGRADE};
    if (!outgoing_answer_fields(head->status, &head->fields, exchange->arena, &answer->fields) ||
        !upgrade_answer_fields(&answer->fields, exchange->arena))
        return false;
    exchange->websocket = websocket_open(exchange->context, exchange->client_request,
                                         exchange->request_head, exchange->transfer);
    if (exchange->websocket == NULL)
        return false;
    exchange->transfer = NULL;
    exchange->state = EXCHANGE_UPGRADED;
    client_request_ready(exchange->client_request);
    return true;
}

static bool on_relay_head(void *user, const struct upstream_head *head)
{
    struct exchange *exchange = user;
    if (head->status == 101)
        return upgrade(exchange, head);
    if (!exchange_take_head(exchange, head))
        return false;
    bool rewritten = exchange->is_session && public_session_answers(&exchange->answer);
    /* Where the head is all, the end is near and the connection better kept. */
    if (exchange->answer.kind == ANSWER_EMPTY) {
        if (rewritten)
            outgoing_drop_length(&exchange->answer.fields);
        return true;
    }
    const struct field *length = field_find(&exchange->answer.fields, "Content-Length");
    size_t len;
    if (length != NULL && field_read_length(length->value, &len))
        exchange_lend_room(exchange, &exchange->received, len);
    if (rewritten)
        exchange->state = EXCHANGE_COLLECTING;
    else
        stream(exchange);
    return true;
}

static void on_relay_interim(void *user, const struct upstream_head *head)
{
    struct exchange *exchange = user;
    struct field_list fields;
    if (head->status == 100)
        client_request_give_leave(exchange->client_request);
    else if (outgoing_answer_fields(head->status, &head->fields, exchange->arena, &fields))
        client_request_interim(exchange->client_request, head->status, &fields);
}

static enum data_result on_relay_data(void *user, const char *bytes, size_t len)
{
    struct exchange *exchange = user;
    if (exchange->state == EXCHANGE_COLLECTING &&
        len > PUBLIC_SESSION_LIMIT - exchange->received.len)
        stream(exchange);
    if (exchange->state == EXCHANGE_COLLECTING) {
        if (!exchange_count_received(exchange, len))
            return DATA_FAIL;
    } else if (exchange->received.len + len > STREAM_FULL) {
        return DATA_LATER;
    }
    if (!buffer_append(&exchange->received, bytes, len))
        return DATA_FAIL;
    client_request_resume(exchange->client_request);
    return DATA_TAKEN;
}

static enum pull_result on_relay_pull(void *user, char *into, size_t max, size_t *len)
{
    struct exchange *exchange = user;
    *len = buffer_take(&exchange->upload, into, max);
    if (exchange->upload.len < STREAM_LOW && !exchange->upload_ended)
        client_request_resume(exchange->client_request);
    if (*len > 0)
        return PULL_BYTES;
    return exchange->upload_ended ? PULL_END : PULL_LATER;
}

/*
 * A CA's challenge may be there to mend the very certificate that the server shows, and the CA
 * looks at none when it fetches it (RFC 8555, section 8.3): it is tried again whoever has signed.
 * True where it is.
 */
static bool relay_challenge(struct exchange *exchange, const char *detail)
{
    if (exchange->any_issuer || exchange->frame.present ||
        !challenge_is_asked(exchange->request_head))
        return false;
    log_event(exchange->context->gate->log, LOG_LEVEL_ERROR,
              "the server's certificate is not trusted; only challenges of a CA still pass",
              log_text("detail", detail), log_text("request", exchange->request_head->id),
              log_text("peer", exchange->request_head->peer));
    exchange->any_issuer = true;
    exchange_relay(exchange);
    return true;
}

/* What has come of it is let go at once, so that the next one finds room. */
static void refuse_session(struct exchange *exchange)
{
    buffer_clear(&exchange->received);
    budget_keep(&exchange->account, 0);
    exchange_answer_own(exchange, exchange_refuse_room(exchange));
}

/* A session is here, whole. */
static void answer_session(struct exchange *exchange)
{
    struct buffer *received = &exchange->received;
    if (!reading_takes_answer(&exchange->account, buffer_content(received), received->len)) {
        refuse_session(exchange);
    } else if (public_session_rewrite(exchange->context->gate->config, exchange->request_head,
                                      received, &exchange->answer.fields, exchange->arena)) {
        budget_keep(&exchange->account, received->capacity);
        exchange_answer_received(exchange);
    } else {
        report_failure(exchange->context->gate, exchange->request_head, UPSTREAM_MEMORY,
                       "a session is not rewritten");
        exchange_answer_failure(exchange, UPSTREAM_MEMORY);
    }
}

static void on_relay_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct exchange *exchange = user;
    bool begun = exchange->state == EXCHANGE_STREAMING;
    exchange->transfer = NULL;
    if (failure == UPSTREAM_TLS && !begun && relay_challenge(exchange, detail))
        return;
    /* Whoever still sends a body must not wait for room that never comes. */
    client_request_resume(exchange->client_request);
    if (exchange->no_room) {
        refuse_session(exchange);
        return;
    }
    if (failure == UPSTREAM_FINE && exchange->state == EXCHANGE_COLLECTING) {
        answer_session(exchange);
        return;
    }
    if (failure == UPSTREAM_FINE) {
        exchange_answer_received(exchange);
        return;
    }
    report_failure(exchange->context->gate, exchange->request_head, failure,
                   exchange->fault != NULL ? exchange->fault : detail);
    exchange->failure = failure;
    if (begun) {
        /* Nothing of it has gone out where the client still sends. */
        exchange->state = EXCHANGE_BROKEN;
        client_request_ready(exchange->client_request);
    } else {
        exchange_answer_failure(exchange, failure);
    }
}

static const struct transfer_handler relay_handler = {
    .interim = on_relay_interim,
    .head = on_relay_head,
    .data = on_relay_data,
    .pull = on_relay_pull,
    .done = on_relay_done,
};

static enum body_kind relay_body_kind(const struct exchange *exchange)
{
    if (exchange->asks_upgrade)
        return BODY_UPGRADE;
    if (!exchange->frame.present || strcmp(exchange->request_head->method, "HEAD") == 0)
        return BODY_NONE;
    if (exchange->upload_ended)
        return BODY_WHOLE;
    return exchange->frame.len == LENGTH_UNKNOWN ? BODY_CHUNKS : BODY_STREAM;
}

void exchange_relay(struct exchange *exchange)
{
    struct upstream_request request = {
        .method = exchange->request_head->method,
        .target = exchange->request_head->target,
        .body_kind = relay_body_kind(exchange),
        .any_issuer = exchange->any_issuer,
        .whole = exchange->is_session,
        .identity = exchange->is_session,
        .timeout_ms = exchange->context->only_challenges ? CHALLENGE_TIMEOUT : 0,
        .arena = exchange->arena,
    };
    size_t length = 0;
    if (request.body_kind == BODY_WHOLE) {
        request.body = buffer_content(&exchange->upload);
        request.len = length = exchange->upload.len;
    } else if (request.body_kind == BODY_STREAM || request.body_kind == BODY_CHUNKS) {
        request.len = length = exchange->frame.len;
    }
    exchange->state = EXCHANGE_RELAYING;
    client_request_expect_soon(exchange->client_request);
    if (outgoing_relay_fields(exchange->request_head, length, exchange->awaits_leave,
                              exchange->arena, &request.fields) &&
        (!exchange->asks_upgrade || upgrade_request_fields(&request.fields, exchange->arena)))
        exchange->transfer =
            transfer_start(exchange->context->upstream, &request, &relay_handler, exchange);
    if (exchange->transfer == NULL)
        exchange_answer_failure(exchange, UPSTREAM_MEMORY);
}
