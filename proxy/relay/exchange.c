#include "proxy/relay/exchange.h"

#include <stdio.h>
#include <string.h>

#include "jmap/wire/endpoint.h"
#include "proxy/http/upgrade.h"
#include "proxy/http/validation.h"
#include "proxy/relay/challenge.h"
#include "proxy/relay/exchange_answer.h"
#include "proxy/relay/exchange_hold.h"
#include "proxy/relay/exchange_relay.h"
#include "proxy/relay/public_session.h"
#include "proxy/relay/reading.h"
#include "proxy/relay/reply.h"
#include "proxy/relay/report.h"

/* Smaller bodies are sent on in one piece with their head. */
#define SMALL_BODY ((size_t)65536)
/* How much of a body that nobody needs any more is read, so that its client reads the answer. */
#define UNNEEDED_LIMIT ((size_t)256 << 20)

static bool refuse_values(struct exchange *exchange)
{
    report_refused_request(exchange->context->gate, exchange->request_head, true,
                           reading_refusal(READING_TOO_MUCH));
    return reply_too_much(exchange->arena, &exchange->answer);
}

/* A call is here, whole. Where it is not read, it goes on only if it is only observed anyway. */
static void take_call(struct exchange *exchange)
{
    const char *body = buffer_content(&exchange->upload);
    enum reading reading = reading_of(&exchange->account, body, exchange->upload.len);
    bool observed = exchange->context->gate->config->hold.observe;
    if (reading == READING_ALLOWED && exchange_hold(exchange))
        return;
    budget_keep(&exchange->account, exchange->upload.capacity);
    if (reading == READING_NEEDLESS || reading == READING_ALLOWED || observed)
        exchange_relay(exchange);
    else
        exchange_answer(exchange, reading == READING_TOO_MUCH ? refuse_values(exchange)
                                                              : exchange_refuse_room(exchange));
}

static bool targets_api(const struct request_head *request_head)
{
    struct target_path path = validation_target_path(request_head);
    return strcmp(request_head->method, "POST") == 0 && endpoint_is_api(path.text, path.len);
}

/* A call must be readable, or a create in it would pass unseen. True where it was refused. */
static bool refuse_call(struct exchange *exchange)
{
    size_t limit = exchange->context->gate->config->max_request;
    bool made;
    if (field_list_is_encoded(&exchange->request_head->fields))
        made = reply_problem(415, "Unsupported Media Type",
                             "A JMAP request must not have a Content-Encoding.", exchange->arena,
                             &exchange->answer);
    else if (exchange->frame.len != LENGTH_UNKNOWN && exchange->frame.len > limit)
        made = reply_too_large(limit, exchange->arena, &exchange->answer);
    else if (exchange->frame.len != LENGTH_UNKNOWN &&
             !budget_fits(&exchange->account, exchange->frame.len))
        made = exchange_refuse_room(exchange);
    else
        return false;
    /* Without leave to send, the client's bytes are on their way: they must be read. */
    if (made && field_find(&exchange->request_head->fields, "Expect") == NULL &&
        exchange_add_cors(exchange))
        exchange->state = EXCHANGE_ANSWERING;
    else
        exchange_answer_own(exchange, made);
    return true;
}

/* True where there is no room for a WebSocket, which is then not opened at the server either. */
static bool refuse_upgrade(struct exchange *exchange)
{
    if (!exchange->asks_upgrade || client_request_may_upgrade(exchange->client_request))
        return false;
    exchange_answer_own(exchange, reply_no_room(exchange->arena, &exchange->answer));
    return true;
}

/* True where the request's head was refused. Its body may not end where it seems to. */
static bool refuse_head(struct exchange *exchange)
{
    size_t limit = exchange->context->gate->config->max_head;
    bool fits =
        validation_head_fits(exchange->request_head, limit) &&
        (!downstream_copies_cookies() || validation_cookies_fit(exchange->request_head, limit));
    const char *fault =
        fits ? validation_fault(exchange->request_head) : "The request's head is too large.";
    if (fault == NULL)
        return false;
    exchange_answer_own(exchange,
                        reply_problem(fits ? 400 : 431,
                                      fits ? "Bad Request" : "Request Header Fields Too Large",
                                      fault, exchange->arena, &exchange->answer));
    exchange->answer.close = true;
    return true;
}

/* True where the request came to the plain listener and is none that is relayed from there. */
static bool redirect(struct exchange *exchange)
{
    if (!exchange->context->only_challenges || challenge_is_asked(exchange->request_head))
        return false;
    exchange_answer_own(exchange,
                        challenge_redirect(exchange->context->gate->config, exchange->request_head,
                                           exchange->arena, &exchange->answer));
    return true;
}

/* HTTP/1.0 knows no Expect (RFC 9110, section 10.1.1). */
static bool asks_leave(const struct request_head *request_head)
{
    const struct field *expect = field_find(&request_head->fields, "Expect");
    return expect != NULL && strcasecmp(expect->value, "100-continue") == 0 &&
           strcmp(request_head->version, "1.0") != 0 && strcmp(request_head->method, "HEAD") != 0;
}

static void exchange_begin(struct exchange *exchange)
{
    if (refuse_head(exchange) || redirect(exchange))
        return;
    exchange->frame = validation_body_frame(exchange->request_head);
    exchange->is_call = targets_api(exchange->request_head);
    exchange->is_session = public_session_asked(exchange->request_head);
    exchange->asks_upgrade = !exchange->frame.present && upgrade_is_asked(exchange->request_head);
    if (exchange->is_call || exchange->is_session)
        budget_open(&exchange->account, exchange->context->gate->budget,
                    exchange->request_head->peer);
    if (refuse_upgrade(exchange) || (exchange->is_call && refuse_call(exchange)))
        return;
    exchange->awaits_leave =
        exchange->frame.present && !exchange->is_call && asks_leave(exchange->request_head);
    if (exchange->awaits_leave)
        client_request_withhold_leave(exchange->client_request);
    bool gathered =
        exchange->is_call || (exchange->frame.len <= SMALL_BODY && !exchange->awaits_leave);
    if (exchange->frame.present && gathered) {
        exchange_lend_room(exchange, &exchange->upload, exchange->frame.len);
        exchange->state = EXCHANGE_GATHERING;
    } else {
        exchange_relay(exchange);
    }
}

static void *on_request_head(void *user, struct client_request *client_request,
                             const struct request_head *request_head)
{
    struct worker_context *context = user;
    struct exchange *exchange = arena_alloc(client_request_arena(client_request), sizeof *exchange);
    if (exchange == NULL)
        return NULL;
    *exchange = (struct exchange){
        .context = context,
        .client_request = client_request,
        .request_head = request_head,
        .arena = client_request_arena(client_request),
        .began = clock_monotonic(),
    };
    metrics_exchange_began(context->gate->metrics);
    metrics_count_request(context->gate->metrics, request_head->method);
    exchange_begin(exchange);
    return exchange;
}

static size_t exchange_gather(struct exchange *exchange, const char *bytes, size_t len)
{
    size_t limit = exchange->is_call ? exchange->context->gate->config->max_request : SMALL_BODY;
    if (len > limit - exchange->upload.len) {
        buffer_clear(&exchange->upload);
        budget_keep(&exchange->account, 0);
        exchange_answer_own(exchange, reply_too_large(limit, exchange->arena, &exchange->answer));
    } else if (exchange->is_call &&
               !budget_take(&exchange->account, buffer_growth(&exchange->upload, len))) {
        buffer_clear(&exchange->upload);
        budget_keep(&exchange->account, 0);
        exchange_answer_own(exchange, exchange_refuse_room(exchange));
    } else if (!buffer_append(&exchange->upload, bytes, len)) {
        exchange_answer_failure(exchange, UPSTREAM_MEMORY);
    }
    return len;
}

static size_t pass_on(struct exchange *exchange, const char *bytes, size_t len)
{
    size_t room = STREAM_FULL - exchange->upload.len;
    if (len > room)
        len = room;
    if (!buffer_append(&exchange->upload, bytes, len)) {
        client_request_abort(exchange->client_request);
        return 0;
    }
    transfer_resume(exchange->transfer);
    return len;
}

static size_t take_body(struct exchange *exchange, const char *bytes, size_t len)
{
    if (exchange->state == EXCHANGE_GATHERING)
        return exchange_gather(exchange, bytes, len);
    if (exchange->transfer != NULL && transfer_takes_body(exchange->transfer) &&
        strcmp(exchange->request_head->method, "HEAD") != 0)
        return pass_on(exchange, bytes, len);
    if (exchange->state == EXCHANGE_ANSWERING)
        client_request_ready(exchange->client_request);
    exchange->unneeded += len;
    if (exchange->unneeded > UNNEEDED_LIMIT)
        client_request_abort(exchange->client_request);
    return len;
}

static size_t on_body(void *object, const char *bytes, size_t len)
{
    struct exchange *exchange = object;
    size_t taken = take_body(exchange, bytes, len);
    metrics_count_received(exchange->context->gate->metrics, taken);
    return taken;
}

static void on_body_end(void *object)
{
    struct exchange *exchange = object;
    exchange->upload_ended = true;
    if (exchange->state == EXCHANGE_GATHERING) {
        if (exchange->is_call)
            take_call(exchange);
        else
            exchange_relay(exchange);
    } else if (exchange->state == EXCHANGE_ANSWERING) {
        client_request_ready(exchange->client_request);
    } else if (exchange->transfer != NULL) {
        transfer_resume(exchange->transfer);
    }
}

/* Once, however often it is asked for before it can go out. */
static void count_whole(struct exchange *exchange)
{
    if (!exchange->is_counted)
        metrics_count_sent(exchange->context->gate->metrics, exchange->answer.len);
    exchange->is_counted = true;
}

static bool on_answer(void *object, struct answer *out)
{
    struct exchange *exchange = object;
    struct answer *answer = &exchange->answer;
    if (exchange->state == EXCHANGE_BROKEN) {
        if (!reply_upstream_failure(exchange->failure, exchange->arena, answer) ||
            !exchange_add_cors(exchange))
            return false;
        exchange->state = EXCHANGE_ANSWERING;
    }
    *out = *answer;
    if (exchange->state != EXCHANGE_STREAMING && answer->kind == ANSWER_WHOLE)
        count_whole(exchange);
    if (exchange->state == EXCHANGE_STREAMING) {
        const struct field *length = field_find(&answer->fields, "Content-Length");
        out->kind = ANSWER_STREAM;
        if (length == NULL || !field_read_length(length->value, &out->len))
            out->len = LENGTH_UNKNOWN;
    }
    return true;
}

static enum content_result on_content(void *object, char *into, size_t max, size_t *len)
{
    struct exchange *exchange = object;
    *len = buffer_take(&exchange->received, into, max);
    metrics_count_sent(exchange->context->gate->metrics, *len);
    if (exchange->received.len < STREAM_LOW && exchange->transfer != NULL)
        transfer_resume(exchange->transfer);
    if (*len > 0)
        return CONTENT_BYTES;
    switch (exchange->state) {
    case EXCHANGE_ANSWERING:
        return CONTENT_END;
    case EXCHANGE_BROKEN:
        return CONTENT_FAIL;
    default:
        return CONTENT_LATER;
    }
}

static void on_upgraded(void *object, int file, const char *early, size_t len)
{
    struct exchange *exchange = object;
    websocket_begin(exchange->websocket, file, early, len);
}

/*
 * The client has left. What it asked for is called off, but for a request with held creates that
 * has gone out: what came of it is what those wait for who asked for the same.
 */
static void on_gone(void *object)
{
    struct exchange *exchange = object;
    if (holding_is_committed(&exchange->holding))
        return;
    client_request_abort(exchange->client_request);
}

static void log_exchange(const struct exchange *exchange)
{
    const struct log *log = exchange->context->gate->log;
    const struct request_head *request_head = exchange->request_head;
    if (log->level < LOG_LEVEL_DEBUG)
        return;
    /* A query can carry a credential, and so can what is before the path of a URL. */
    char path[256] = "";
    struct target_path target = validation_target_path(request_head);
    if (target.len > 0 && target.text[0] == '/')
        snprintf(path, sizeof path, "%.*s", (int)strcspn(target.text, "?#"), target.text);
    int64_t elapsed = monotonic_elapsed(exchange->began, clock_monotonic());
    log_event(log, LOG_LEVEL_DEBUG, "exchange", log_text("method", request_head->method),
              log_text("path", path[0] != '\0' ? path : NULL),
              log_number("status", exchange->answer.status),
              log_number("microseconds", elapsed / 1000), log_text("request", request_head->id),
              log_text("peer", request_head->peer));
}

static void on_closed(void *object)
{
    struct exchange *exchange = object;
    struct worker_context *context = exchange->context;
    websocket_close(exchange->websocket);
    transfer_cancel(exchange->transfer);
    holding_close(&exchange->holding);
    buffer_clear(&exchange->upload);
    buffer_clear(&exchange->received);
    budget_close(&exchange->account);
    bool whole = exchange->state == EXCHANGE_ANSWERING || exchange->state == EXCHANGE_UPGRADED;
    metrics_count_response(context->gate->metrics, exchange->request_head->method,
                           whole ? exchange->answer.status : 0);
    metrics_exchange_ended(context->gate->metrics);
    log_exchange(exchange);
}

const struct downstream_handler exchange_handler = {
    .head = on_request_head,
    .body = on_body,
    .body_end = on_body_end,
    .answer = on_answer,
    .content = on_content,
    .upgraded = on_upgraded,
    .gone = on_gone,
    .closed = on_closed,
};
