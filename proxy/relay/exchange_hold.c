#include "proxy/relay/exchange_hold.h"

#include "proxy/http/outgoing.h"
#include "proxy/relay/exchange_answer.h"
#include "proxy/relay/reading.h"
#include "proxy/relay/reply.h"
#include "proxy/relay/report.h"
#include "proxy/server/api_call.h"

static bool on_own_head(void *user, const struct upstream_head *head)
{
    return exchange_take_head(user, head);
}

static enum data_result on_own_data(void *user, const char *bytes, size_t len)
{
    struct exchange *exchange = user;
    if (!exchange_count_received(exchange, len))
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
    report_failure(exchange->context->gate, exchange->request_head, failure,
                   exchange->fault != NULL ? exchange->fault : detail);
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
        exchange_answer_failure(exchange, exchange->failure);
    else if (!made)
        exchange_answer_failure(exchange, UPSTREAM_MEMORY);
    else if (answer.own_status != 0)
        exchange_answer_own(exchange, true);
    else
        exchange_answer_received(exchange);
}

static const struct holding_handler holding_handler = {
    .send = send_own,
    .decided = answer_from_hold,
};

bool exchange_hold(struct exchange *exchange)
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
