#include "proxy/relay/conversation.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/message.h"
#include "proxy/server/api_call.h"
#include "proxy/relay/worker_context.h"
#include "proxy/relay/report.h"

#define OUT_OF_MEMORY                                                                              \
    "{\"@type\":\"RequestError\",\"type\":\"about:blank\",\"status\":503,"                         \
    "\"detail\":\"The gateway is out of memory.\"}"

void conversation_open(struct conversation *conversation, struct worker_context *context,
                       const struct request_head *request_head, struct frames *client,
                       struct frames *server, void (*ready)(void *user), void *user)
{
    *conversation = (struct conversation){.context = context,
                                          .request_head = request_head,
                                          .client = client,
                                          .server = server,
                                          .ready = ready,
                                          .user = user};
    budget_open(&conversation->account, context->gate->budget, request_head->peer);
    budget_open(&conversation->unread, context->gate->budget, request_head->peer);
}

/* ---- the answer ---- */

static void answer_out_of_memory(struct conversation *conversation)
{
    buffer_clear(&conversation->answer);
    if (!buffer_append(&conversation->answer, OUT_OF_MEMORY, strlen(OUT_OF_MEMORY)))
        conversation->client->no_memory = true;
}

/* Takes over `text`, which may be NULL for a lack of memory. */
static void answer_with(struct conversation *conversation, char *text)
{
    conversation->state = CONVERSATION_ANSWERING;
    if (text == NULL || !buffer_append(&conversation->answer, text, strlen(text)))
        answer_out_of_memory(conversation);
    free(text);
    conversation->ready(conversation->user);
}

static void end_request(struct conversation *conversation)
{
    holding_close(&conversation->holding);
    arena_clear(&conversation->arena);
    json_decref(conversation->id);
    conversation->id = NULL;
    buffer_clear(&conversation->request);
    buffer_clear(&conversation->received);
    buffer_clear(&conversation->answer);
    conversation->in_received = false;
    conversation->too_large = false;
    conversation->reading = READING_NEEDLESS;
    budget_keep(&conversation->account, 0);
    conversation->state = CONVERSATION_PASSING;
}

/* ---- holding ---- */

static bool send_own(void *user, const char *body, size_t len)
{
    struct conversation *conversation = user;
    buffer_clear(&conversation->received);
    frames_write_whole(conversation->server, WSLAY_TEXT_FRAME, body, len);
    conversation->state = CONVERSATION_ASKED;
    conversation->asked = clock_monotonic();
    conversation->ready(conversation->user);
    return !conversation->server->no_memory;
}

static void take_decision(void *user)
{
    struct conversation *conversation = user;
    struct hold_answer answer = holding_answer(&conversation->holding);
    const struct buffer *received = &conversation->received;
    if (answer.own_status != 0) {
        answer_with(conversation, message_of_problem(answer.body, answer.len, conversation->id));
    } else {
        bool made =
            answer.as_received
                ? buffer_append(&conversation->answer, buffer_content(received), received->len)
                : buffer_append(&conversation->answer, answer.body, answer.len);
        if (!made)
            answer_out_of_memory(conversation);
        conversation->state = CONVERSATION_ANSWERING;
        conversation->ready(conversation->user);
    }
    /* At once, before the client takes its answer: others wait for its flights. */
    holding_close(&conversation->holding);
    arena_clear(&conversation->arena);
}

static const struct holding_handler holding_handler = {
    .send = send_own,
    .decided = take_decision,
};

/* False where the request holds nothing after all. */
static bool hold(struct conversation *conversation)
{
    const struct holding_owner owner = {
        .context = conversation->context,
        .request_head = conversation->request_head,
        .arena = &conversation->arena,
        .began = clock_monotonic(),
        .handler = &holding_handler,
        .user = conversation,
    };
    if (!holding_open(&conversation->holding, &owner, buffer_content(&conversation->request),
                      conversation->request.len))
        return false;
    conversation->state = CONVERSATION_DECIDING;
    holding_start(&conversation->holding);
    return true;
}

/* ---- the client's messages ---- */

static void pass_request(struct conversation *conversation)
{
    frames_write_whole(conversation->server, WSLAY_TEXT_FRAME,
                       buffer_content(&conversation->request), conversation->request.len);
    conversation->unsettled = true;
    end_request(conversation);
}

/* Whether it is refused, unread. */
static bool is_refused(const struct conversation *conversation)
{
    return conversation->too_large || conversation->reading == READING_NO_ROOM ||
           conversation->reading == READING_TOO_MUCH;
}

static void answer_unread(struct conversation *conversation)
{
    bool too_much = conversation->reading == READING_TOO_MUCH;
    report_refused_request(conversation->context->gate, conversation->request_head, too_much,
                           reading_refusal(conversation->reading));
    answer_with(conversation, message_not_held(too_much));
}

/* All earlier requests have been answered. */
static void begin_request(struct conversation *conversation)
{
    conversation->unsettled = false;
    if (!conversation->too_large && is_refused(conversation))
        answer_unread(conversation);
    else if (conversation->too_large)
        answer_with(conversation,
                    message_too_large(conversation->context->gate->config->max_request));
    else if (!hold(conversation))
        pass_request(conversation);
}

/* The server answers a ping when it has answered what came before it. */
static void conversation_settle(struct conversation *conversation)
{
    if (!conversation->unsettled) {
        begin_request(conversation);
        return;
    }
    conversation->state = CONVERSATION_SETTLING;
    conversation->asked = clock_monotonic();
    conversation->proving = true;
    if (RAND_bytes((unsigned char *)conversation->proof, CONVERSATION_PROOF_SIZE) != 1)
        conversation->server->no_memory = true;
    frames_write_whole(conversation->server, WSLAY_PING, conversation->proof,
                       CONVERSATION_PROOF_SIZE);
}

/* Of other messages the server answers some and others not, as it always does. */
static bool may_hold(struct conversation *conversation)
{
    const struct buffer *request = &conversation->request;
    bool observed = conversation->context->gate->config->hold.observe;
    conversation->reading =
        reading_of(&conversation->account, buffer_content(request), request->len);
    if (conversation->reading == READING_NEEDLESS)
        return false;
    if (conversation->reading != READING_ALLOWED)
        return !observed;
    struct message message = message_read(buffer_content(request), request->len);
    bool may = message.kind == MESSAGE_REQUEST || message.kind == MESSAGE_UNREADABLE;
    conversation->id = json_incref(message.id);
    message_clear(&message);
    return may;
}

static void conversation_gather(struct conversation *conversation, const struct frame_piece *piece)
{
    size_t limit = conversation->context->gate->config->max_request;
    if (is_refused(conversation))
        return;
    if (piece->len > limit - conversation->request.len) {
        conversation->too_large = true;
        buffer_clear(&conversation->request);
        budget_keep(&conversation->account, 0);
    } else if (!budget_take(&conversation->account,
                            buffer_growth(&conversation->request, piece->len))) {
        conversation->reading = READING_NO_ROOM;
        buffer_clear(&conversation->request);
        budget_keep(&conversation->account, 0);
    } else if (!buffer_append(&conversation->request, piece->bytes, piece->len)) {
        conversation->server->no_memory = true;
    }
}

bool conversation_take_from_client(struct conversation *conversation,
                                   const struct frame_piece *piece)
{
    if (wslay_is_ctrl_frame(piece->opcode))
        return false;
    if (piece->first && piece->opcode != WSLAY_CONTINUATION_FRAME)
        conversation->in_text = piece->opcode == WSLAY_TEXT_FRAME;
    if (!conversation->in_text)
        return false;
    conversation_gather(conversation, piece);
    if (!piece->last || !piece->final)
        return true;
    if (is_refused(conversation) || may_hold(conversation))
        conversation_settle(conversation);
    else
        pass_request(conversation);
    return true;
}

/* ---- the server's messages ---- */

/* A message of the server, whole, while the answer is waited for. */
static void take_message(struct conversation *conversation)
{
    struct buffer *received = &conversation->received;
    size_t held_before = conversation->account.held - received->capacity;
    if (!reading_takes_answer(&conversation->account, buffer_content(received), received->len)) {
        conversation->client->no_memory = true;
        return;
    }
    struct message message = message_read(buffer_content(received), received->len);
    if (message_answers(&message, conversation->id)) {
        conversation->state = CONVERSATION_CONCLUDING;
        holding_feed(&conversation->holding, message.status, buffer_content(received),
                     received->len);
    } else {
        frames_write_whole(conversation->client, WSLAY_TEXT_FRAME, buffer_content(received),
                           received->len);
        buffer_clear(received);
        budget_keep(&conversation->account, held_before);
    }
    message_clear(&message);
}

static bool take_proof(struct conversation *conversation, const struct frame_piece *piece)
{
    if (!conversation->proving || piece->opcode != WSLAY_PONG ||
        piece->len != CONVERSATION_PROOF_SIZE ||
        memcmp(piece->bytes, conversation->proof, CONVERSATION_PROOF_SIZE) != 0)
        return false;
    if (conversation->state == CONVERSATION_SETTLING)
        begin_request(conversation);
    return true;
}

bool conversation_take_from_server(struct conversation *conversation,
                                   const struct frame_piece *piece)
{
    if (wslay_is_ctrl_frame(piece->opcode))
        return take_proof(conversation, piece);
    if (piece->first && piece->opcode != WSLAY_CONTINUATION_FRAME)
        conversation->in_received =
            piece->opcode == WSLAY_TEXT_FRAME && conversation->state == CONVERSATION_ASKED;
    if (!conversation->in_received)
        return false;
    if (!budget_take(&conversation->account, buffer_growth(&conversation->received, piece->len)) ||
        api_call_take(&conversation->received, piece->bytes, piece->len) != DATA_TAKEN)
        conversation->client->no_memory = true;
    else if (piece->last && piece->final) {
        conversation->in_received = false;
        take_message(conversation);
    }
    return true;
}

/* ---- the owner's side ---- */

bool conversation_reads_client(const struct conversation *conversation)
{
    return conversation->state == CONVERSATION_PASSING;
}

/* A message that has begun is passed on to its end; what comes after the answer waits for it. */
bool conversation_reads_server(const struct conversation *conversation)
{
    return conversation->state < CONVERSATION_CONCLUDING ||
           frames_is_in_message(conversation->server);
}

void conversation_step(struct conversation *conversation)
{
    if (conversation->state != CONVERSATION_ANSWERING || frames_is_in_message(conversation->server))
        return;
    if (conversation->answer.len > 0)
        frames_write_whole(conversation->client, WSLAY_TEXT_FRAME,
                           buffer_content(&conversation->answer), conversation->answer.len);
    end_request(conversation);
    conversation->ready(conversation->user);
}

/* What a message took while it came is given back by now, so there is room but for a race. */
void conversation_count_unread(struct conversation *conversation)
{
    struct budget_account *unread = &conversation->unread;
    size_t bytes = conversation->client->out.capacity + conversation->server->out.capacity;
    if (bytes > unread->held && !budget_take(unread, bytes - unread->held))
        conversation->client->no_memory = true;
    budget_keep(unread, bytes);
}

bool conversation_is_overdue(const struct conversation *conversation)
{
    int64_t limit = conversation->context->gate->config->idle_timeout_ms;
    bool asked =
        conversation->state == CONVERSATION_SETTLING || conversation->state == CONVERSATION_ASKED;
    return asked && monotonic_elapsed(conversation->asked, clock_monotonic()) >
                        limit * NANOSECONDS_PER_MILLISECOND;
}

void conversation_server_ended(struct conversation *conversation)
{
    if (conversation->state == CONVERSATION_ASKED) {
        conversation->state = CONVERSATION_CONCLUDING;
        conversation->in_received = false;
        buffer_clear(&conversation->received);
        holding_fail(&conversation->holding, UPSTREAM_BROKEN);
    } else if (conversation->state < CONVERSATION_ASKED) {
        end_request(conversation);
    }
}

bool conversation_is_committed(const struct conversation *conversation)
{
    return holding_is_committed(&conversation->holding);
}

void conversation_close(struct conversation *conversation)
{
    end_request(conversation);
    budget_close(&conversation->account);
    budget_close(&conversation->unread);
}
