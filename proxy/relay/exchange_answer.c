#include "proxy/relay/exchange_answer.h"

#include <string.h>

#include "proxy/http/cors.h"
#include "proxy/http/outgoing.h"
#include "proxy/http/validation.h"
#include "proxy/relay/reading.h"
#include "proxy/relay/reply.h"
#include "proxy/relay/report.h"

#define LENT_BODY ((size_t)4096)

void exchange_lend_room(struct exchange *exchange, struct buffer *buffer, size_t len)
{
    if (len > 0 && len <= LENT_BODY)
        buffer_lend(buffer, arena_alloc(exchange->arena, len), len);
}

void exchange_answer(struct exchange *exchange, bool made)
{
    exchange->state = EXCHANGE_ANSWERING;
    if (made)
        client_request_ready(exchange->client_request);
    else
        client_request_abort(exchange->client_request);
}

bool exchange_add_cors(struct exchange *exchange)
{
    return cors_add(exchange->context->cors, &exchange->request_head->fields, exchange->arena,
                    &exchange->answer.fields);
}

void exchange_answer_own(struct exchange *exchange, bool made)
{
    exchange_answer(exchange, made && exchange_add_cors(exchange));
}

void exchange_answer_failure(struct exchange *exchange, enum upstream_failure failure)
{
    exchange->failure = failure;
    exchange_answer_own(exchange,
                        reply_upstream_failure(failure, exchange->arena, &exchange->answer));
}

bool exchange_refuse_room(struct exchange *exchange)
{
    report_refused_request(exchange->context->gate, exchange->request_head, false,
                           reading_refusal(READING_NO_ROOM));
    return reply_no_room(exchange->arena, &exchange->answer);
}

void exchange_answer_received(struct exchange *exchange)
{
    exchange->answer.body = buffer_content(&exchange->received);
    exchange->answer.len = exchange->received.len;
    exchange_answer(exchange, true);
}

/* True for answers that have no content, whatever their length says (RFC 9112, section 6.3). */
static bool has_no_content(const struct exchange *exchange, unsigned status)
{
    return status == 204 || status == 304 || strcmp(exchange->request_head->method, "HEAD") == 0;
}

bool exchange_take_head(struct exchange *exchange, const struct upstream_head *head)
{
    struct answer *answer = &exchange->answer;
    *answer = (struct answer){.status = head->status};
    cors_learn(exchange->context->cors, &exchange->request_head->fields, &head->fields);
    if (!outgoing_answer_fields(head->status, &head->fields, exchange->arena, &answer->fields))
        return false;
    if (!validation_answer_fits(exchange->request_head, &answer->fields,
                                exchange->context->gate->config->max_head)) {
        exchange->fault = "the answer's head is too large beside that of its request";
        return false;
    }
    answer->kind = has_no_content(exchange, head->status) ? ANSWER_EMPTY : ANSWER_WHOLE;
    return true;
}

bool exchange_count_received(struct exchange *exchange, size_t len)
{
    exchange->no_room = !budget_take(&exchange->account, buffer_growth(&exchange->received, len));
    return !exchange->no_room;
}
