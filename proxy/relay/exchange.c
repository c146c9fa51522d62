#include "proxy/relay/exchange.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/endpoint.h"
#include "proxy/server/api_call.h"
#include "proxy/relay/challenge.h"
#include "proxy/relay/holding.h"
#include "proxy/http/cors.h"
#include "proxy/http/outgoing.h"
#include "proxy/relay/public_session.h"
#include "proxy/relay/reading.h"
#include "proxy/relay/reply.h"
#include "proxy/relay/report.h"
#include "proxy/http/upgrade.h"
#include "proxy/http/validation.h"
#include "proxy/relay/websocket.h"
#include "proxy/relay/worker_context.h"

/* Smaller bodies are sent on in one piece with their head. */
#define SMALL_BODY ((size_t)65536)
#define LENT_BODY ((size_t)4096)
/* How much of a stream lies here at most, each way, before its sender has to wait. */
#define STREAM_FULL ((size_t)131072)
#define STREAM_LOW ((size_t)32768)
/* How much of a body that nobody needs any more is read, so that its client reads the answer. */
#define UNNEEDED_LIMIT ((size_t)256 << 20)

/* Each state says what is waited for. */
enum exchange_state {
    EXCHANGE_GATHERING,  /* the rest of the client's request, which is needed whole */
    EXCHANGE_RELAYING,   /* the head of the server's answer (or its end, where that is all) */
    EXCHANGE_STREAMING,  /* the rest of the server's answer */
    EXCHANGE_COLLECTING, /* the same, which is needed whole */
    EXCHANGE_HOLDING,    /* what the hold decides */
    EXCHANGE_ANSWERING,  /* the client, to take the answer */
    EXCHANGE_BROKEN,     /* the client, to see that there is no more */
    EXCHANGE_UPGRADED,   /* the end of the WebSocket */
};

struct exchange {
    struct worker_context *context;
    struct client_request *client_request;
    const struct request_head *request_head;
    struct arena *arena;
    enum exchange_state state;
    monotonic_time began;

    bool is_call;    /* a POST to the API endpoint */
    bool is_session; /* asks for a session, whose URLs are to change */
    bool any_issuer; /* the server's certificate is bad, and this goes on all the same */
    struct body_frame frame;
    struct budget_account account; /* open for what is read whole: a call, or a session */
    struct buffer upload;          /* of the client's body: all, or what is not sent on yet */
    bool upload_ended;
    size_t unneeded; /* bytes of the body that nobody needed */

    bool no_room; /* for the server's answer, which is read whole */

    struct transfer *transfer;     /* of the client's own request */
    struct buffer received;        /* of the server's body: all, or what is not passed on yet */
    struct answer answer;          /* status 0: none yet */
    enum upstream_failure failure; /* of the client's own request */

    struct holding holding; /* open in HOLDING */

    bool awaits_leave; /* the client, and the server is to give it */
    bool asks_upgrade; /* it is a WebSocket's handshake */
    const char *fault; /* what is wrong with the server's answer to it */
    struct websocket *websocket;
};

/* ---- answers ---- */

/* A small body of a known length lies with the rest of the exchange. */
static void lend_room(struct exchange *exchange, struct buffer *buffer, size_t len)
{
    if (len > 0 && len <= LENT_BODY)
        buffer_lend(buffer, arena_alloc(exchange->arena, len), len);
}

/* The answer is complete; it goes out once the client's body is in. */
static void answer_with(struct exchange *exchange, bool made)
{
    exchange->state = EXCHANGE_ANSWERING;
    if (made)
        client_request_ready(exchange->client_request);
    else
        client_request_abort(exchange->client_request);
}

/* Whether an answer of the gate's own can be read by the page that has asked, if one has. */
static bool add_cors(struct exchange *exchange)
{
    return cors_add(exchange->context->cors, &exchange->request_head->fields, exchange->arena,
                    &exchange->answer.fields);
}

/* The same of an answer of the gate's own. */
static void answer_own(struct exchange *exchange, bool made)
{
    answer_with(exchange, made && add_cors(exchange));
}

static void answer_failure(struct exchange *exchange, enum upstream_failure failure)
{
    exchange->failure = failure;
    answer_own(exchange, reply_upstream_failure(failure, exchange->arena, &exchange->answer));
}

/* Makes the answer that there is no room for the request. */
static bool refuse_room(struct exchange *exchange)
{
    report_refused_request(exchange->context->gate, exchange->request_head, false,
                           reading_refusal(READING_NO_ROOM));
    return reply_no_room(exchange->arena, &exchange->answer);
}

/* The server's body, all of it here, as the answer's. */
static void answer_received(struct exchange *exchange)
{
    exchange->answer.body = buffer_content(&exchange->received);
    exchange->answer.len = exchange->received.len;
    answer_with(exchange, true);
}

/* True for answers that have no content, whatever their length says (RFC 9112, section 6.3). */
static bool has_no_content(const struct exchange *exchange, unsigned status)
{
    return status == 204 || status == 304 || strcmp(exchange->request_head->method, "HEAD") == 0;
}

/* Takes over the head of the answer to the client's own request. */
static bool take_head(struct exchange *exchange, const struct upstream_head *head)
{
    struct answer *answer = &exchange->answer;
    *answer = (struct answer){.status = head->status};
    cors_learn(exchange->context->cors, &exchange->request_head->fields, &head->fields);
    if (!outgoing_answer_fields(head->status, &head->fields, exchange->arena, &answer->fields))
        return false;
    answer->kind = has_no_content(exchange, head->status) ? ANSWER_EMPTY : ANSWER_WHOLE;
    return true;
}

/* ---- relaying ---- */

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
    if (!take_head(exchange, head))
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
        lend_room(exchange, &exchange->received, len);
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

/* Counts what of an answer is kept because it is needed whole. */
static bool count_received(struct exchange *exchange, size_t len)
{
    exchange->no_room = !budget_take(&exchange->account, buffer_growth(&exchange->received, len));
    return !exchange->no_room;
}

static enum data_result on_relay_data(void *user, const char *bytes, size_t len)
{
    struct exchange *exchange = user;
    if (exchange->state == EXCHANGE_COLLECTING &&
        len > PUBLIC_SESSION_LIMIT - exchange->received.len)
        stream(exchange);
    if (exchange->state == EXCHANGE_COLLECTING) {
        if (!count_received(exchange, len))
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

static void relay(struct exchange *exchange);

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
    relay(exchange);
    return true;
}

/* What has come of it is let go at once, so that the next one finds room. */
static void refuse_session(struct exchange *exchange)
{
    buffer_clear(&exchange->received);
    budget_keep(&exchange->account, 0);
    answer_own(exchange, refuse_room(exchange));
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
        answer_received(exchange);
    } else {
        report_failure(exchange->context->gate, exchange->request_head, UPSTREAM_MEMORY,
                       "a session is not rewritten");
        answer_failure(exchange, UPSTREAM_MEMORY);
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
        answer_received(exchange);
        return;
    }
    report_failure(exchange->context->gate, exchange->request_head, failure,
                   exchange->fault != NULL ? exchange->fault : detail);
    exchange->failure = failure;
    if (begun)
        exchange->state = EXCHANGE_BROKEN;
    else
        answer_failure(exchange, failure);
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

/* The client's request goes to the server as it is: what is here of its body, the rest as it comes.
 */
static void relay(struct exchange *exchange)
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
        answer_failure(exchange, UPSTREAM_MEMORY);
}

/* ---- holding ---- */

static bool on_own_head(void *user, const struct upstream_head *head)
{
    return take_head(user, head);
}

static enum data_result on_own_data(void *user, const char *bytes, size_t len)
{
    struct exchange *exchange = user;
    if (!count_received(exchange, len))
        return DATA_FAIL;
    return api_call_take(&exchange->received, bytes, len);
}

/* The answer cannot be held. What it says of a create is not known then. */
static void give_up_answer(struct exchange *exchange)
{
    report_refused_request(exchange->context->gate, exchange->request_head, false,
                           reading_refusal(READING_NO_ROOM));
    exchange->failure = UPSTREAM_MEMORY;
    holding_fail(&exchange->holding, UPSTREAM_MEMORY);
}

static void on_own_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct exchange *exchange = user;
    exchange->transfer = NULL;
    if (exchange->no_room ||
        (failure == UPSTREAM_FINE &&
         !reading_takes_answer(&exchange->account, buffer_content(&exchange->received),
                               exchange->received.len))) {
        give_up_answer(exchange);
        return;
    }
    if (failure == UPSTREAM_FINE) {
        holding_feed(&exchange->holding, exchange->answer.status,
                     buffer_content(&exchange->received), exchange->received.len);
        return;
    }
    report_failure(exchange->context->gate, exchange->request_head, failure, detail);
    exchange->failure = failure;
    holding_fail(&exchange->holding, failure);
}

static const struct transfer_handler own_handler = {
    .head = on_own_head,
    .data = on_own_data,
    .done = on_own_done,
};

static bool send_own(void *user, const char *body, size_t len)
{
    struct exchange *exchange = user;
    struct upstream_request request = {
        .method = "POST",
        .target = exchange->request_head->target,
        .body_kind = BODY_WHOLE,
        .body = body,
        .len = len,
        .once = true,
        .whole = true,
        /* An observed answer is the client's, readable or not. */
        .identity = !exchange->context->gate->config->hold.observe,
        .arena = exchange->arena,
    };
    exchange->no_room = false;
    buffer_clear(&exchange->received);
    if (outgoing_relay_fields(exchange->request_head, len, false, exchange->arena, &request.fields))
        exchange->transfer =
            transfer_start(exchange->context->upstream, &request, &own_handler, exchange);
    if (exchange->transfer == NULL)
        exchange->failure = UPSTREAM_MEMORY;
    return exchange->transfer != NULL;
}

/* Another body in the place of the server's, under the server's own head. */
static bool replace_content(struct exchange *exchange, const struct hold_answer *answer)
{
    buffer_clear(&exchange->received);
    return buffer_append(&exchange->received, answer->body, answer->len) &&
           outgoing_set_length(&exchange->answer.fields, answer->len, exchange->arena);
}

/*
 * The hold has decided. It is closed at once, before the client takes its answer: others wait for
 * its flights.
 */
static void answer_from_hold(void *user)
{
    struct exchange *exchange = user;
    struct hold_answer answer = holding_answer(&exchange->holding);
    bool made = true;
    if (exchange->failure == UPSTREAM_FINE && answer.own_status != 0) {
        const char *body = arena_copy(exchange->arena, answer.body, answer.len);
        made = body != NULL && reply_body(answer.own_status, answer.own_type, body, answer.len,
                                          exchange->arena, &exchange->answer);
    } else if (exchange->failure == UPSTREAM_FINE && !answer.as_received) {
        made = replace_content(exchange, &answer);
    }
    holding_close(&exchange->holding);
    buffer_clear(&exchange->upload);
    budget_keep(&exchange->account, exchange->received.capacity);
    if (exchange->failure != UPSTREAM_FINE)
        answer_failure(exchange, exchange->failure);
    else if (!made)
        answer_failure(exchange, UPSTREAM_MEMORY);
    else if (answer.own_status != 0)
        answer_own(exchange, true);
    else
        answer_received(exchange);
}

static const struct holding_handler holding_handler = {
    .send = send_own,
    .decided = answer_from_hold,
};

/* False where the request holds nothing after all. */
static bool hold(struct exchange *exchange)
{
    const struct holding_owner owner = {
        .context = exchange->context,
        .request_head = exchange->request_head,
        .arena = exchange->arena,
        .began = exchange->began,
        .handler = &holding_handler,
        .user = exchange,
    };
    if (!holding_open(&exchange->holding, &owner, buffer_content(&exchange->upload),
                      exchange->upload.len))
        return false;
    exchange->state = EXCHANGE_HOLDING;
    holding_start(&exchange->holding);
    return true;
}

/* ---- the client's side ---- */

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
    if (reading == READING_ALLOWED && hold(exchange))
        return;
    budget_keep(&exchange->account, exchange->upload.capacity);
    if (reading == READING_NEEDLESS || reading == READING_ALLOWED || observed)
        relay(exchange);
    else
        answer_with(exchange,
                    reading == READING_TOO_MUCH ? refuse_values(exchange) : refuse_room(exchange));
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
        made = refuse_room(exchange);
    else
        return false;
    /* Without leave to send, the client's bytes are on their way: they must be read. */
    if (made && field_find(&exchange->request_head->fields, "Expect") == NULL && add_cors(exchange))
        exchange->state = EXCHANGE_ANSWERING;
    else
        answer_own(exchange, made);
    return true;
}

/* True where the request's head was refused. Its body may not end where it seems to. */
static bool refuse_head(struct exchange *exchange)
{
    bool fits =
        validation_head_fits(exchange->request_head, exchange->context->gate->config->max_head);
    const char *fault =
        fits ? validation_fault(exchange->request_head) : "The request's head is too large.";
    if (fault == NULL)
        return false;
    answer_own(exchange, reply_problem(fits ? 400 : 431,
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
    answer_own(exchange, challenge_redirect(exchange->context->gate->config, exchange->request_head,
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
    if (exchange->is_call && refuse_call(exchange))
        return;
    exchange->awaits_leave =
        exchange->frame.present && !exchange->is_call && asks_leave(exchange->request_head);
    if (exchange->awaits_leave)
        client_request_withhold_leave(exchange->client_request);
    bool gathered =
        exchange->is_call || (exchange->frame.len <= SMALL_BODY && !exchange->awaits_leave);
    if (exchange->frame.present && gathered) {
        lend_room(exchange, &exchange->upload, exchange->frame.len);
        exchange->state = EXCHANGE_GATHERING;
    } else {
        relay(exchange);
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
        answer_own(exchange, reply_too_large(limit, exchange->arena, &exchange->answer));
    } else if (exchange->is_call &&
               !budget_take(&exchange->account, buffer_growth(&exchange->upload, len))) {
        buffer_clear(&exchange->upload);
        budget_keep(&exchange->account, 0);
        answer_own(exchange, refuse_room(exchange));
    } else if (!buffer_append(&exchange->upload, bytes, len)) {
        answer_failure(exchange, UPSTREAM_MEMORY);
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
            relay(exchange);
    } else if (exchange->state == EXCHANGE_ANSWERING) {
        client_request_ready(exchange->client_request);
    } else if (exchange->transfer != NULL) {
        transfer_resume(exchange->transfer);
    }
}

static bool on_answer(void *object, struct answer *out)
{
    struct exchange *exchange = object;
    struct answer *answer = &exchange->answer;
    if (exchange->state == EXCHANGE_BROKEN) {
        if (!reply_upstream_failure(exchange->failure, exchange->arena, answer) ||
            !add_cors(exchange))
            return false;
        exchange->state = EXCHANGE_ANSWERING;
    }
    *out = *answer;
    if (exchange->state != EXCHANGE_STREAMING && answer->kind == ANSWER_WHOLE)
        metrics_count_sent(exchange->context->gate->metrics, answer->len);
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
    if (exchange->state == EXCHANGE_HOLDING && exchange->holding.own_sent)
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
