#include "proxy/relay/websocket_parts.h"

#include "jmap/wire/endpoint.h"
#include "proxy/http/validation.h"

/*
 * How much waits here at most, each way, before its sender has to wait: half of STREAM_FULL as it
 * has come from one end and half as it goes to the other, where a piece of a frame is let in at
 * less.
 */
#define STREAM_FULL ((size_t)131072)
#define STREAM_HALF (STREAM_FULL / 2)
#define PIECE_ROOM ((size_t)8192)
/* What cannot be sent of a piece the server's side keeps, and the room for it to the end. */
#define PULL_BLOCK ((size_t)4096)
/* How long an end may take to close its connection once there is nothing more to say. */
#define CLOSE_MILLISECONDS 5000

/* ---- the server's side ---- */

static enum data_result websocket_on_data(void *user, const char *bytes, size_t len)
{
    struct websocket *websocket = user;
    struct buffer *in = &websocket->server.frames.in;
    websocket_mark(websocket);
    if (in->len + len > STREAM_HALF && in->len > 0) {
        websocket->data_waits = true;
        return DATA_LATER;
    }
    if (websocket->server.ended)
        return DATA_TAKEN;
    return buffer_append(in, bytes, len) ? DATA_TAKEN : DATA_FAIL;
}

static enum pull_result websocket_on_pull(void *user, char *into, size_t max, size_t *len)
{
    struct websocket *websocket = user;
    *len = buffer_take(&websocket->server.frames.out, into, max < PULL_BLOCK ? max : PULL_BLOCK);
    websocket_mark(websocket);
    websocket->pull_waits = *len == 0;
    if (*len > 0)
        websocket->give_up = MONOTONIC_NEVER;
    websocket->context->websockets->passed += *len;
    return *len > 0 ? PULL_BYTES : PULL_LATER;
}

static void websocket_on_done(void *user, enum upstream_failure failure, const char *detail)
{
    (void)failure; /* an open socket is closed by whatever ends its connection */
    (void)detail;
    struct websocket *websocket = user;
    websocket->transfer = NULL;
    websocket_mark(websocket);
}

static const struct transfer_handler transfer_handler = {
    .data = websocket_on_data,
    .pull = websocket_on_pull,
    .done = websocket_on_done,
};

/* ---- passing on ---- */

bool websocket_is_deciding(const struct websocket *websocket)
{
    return websocket->reads_requests && !conversation_reads_client(&websocket->conversation);
}

static struct end *other_end(struct websocket *websocket, const struct end *end)
{
    return end == &websocket->client ? &websocket->server : &websocket->client;
}

static void end_reading(struct end *end)
{
    end->ended = true;
    buffer_clear(&end->frames.in);
}

/* The gate's own Close, to whichever end has none yet. */
static void close_both(struct websocket *websocket, unsigned code)
{
    struct end *ends[] = {&websocket->client, &websocket->server};
    for (size_t i = 0; i < 2; i++) {
        if (ends[i]->close != CLOSE_NONE)
            continue;
        ends[i]->close = CLOSE_PENDING;
        ends[i]->code = code;
    }
}

static void send_pending_close(struct websocket *websocket, struct end *end)
{
    if (end->close != CLOSE_PENDING || end->frames.unwritten > 0)
        return;
    frames_write_close(&end->frames, end->code);
    end->close = CLOSE_SENT;
    end_reading(other_end(websocket, end));
}

static void pass(struct end *from, struct end *to, const struct frame_piece *piece)
{
    if (to->close != CLOSE_SENT)
        frames_write(&to->frames, piece);
    if (piece->opcode != WSLAY_CONNECTION_CLOSE)
        return;
    to->close = CLOSE_SENT;
    end_reading(from);
}

/* True where the conversation has taken the piece. */
static bool websocket_take(struct websocket *websocket, const struct end *from,
                           const struct frame_piece *piece)
{
    struct conversation *conversation = &websocket->conversation;
    if (!websocket->reads_requests)
        return false;
    return from == &websocket->client ? conversation_take_from_client(conversation, piece)
                                      : conversation_take_from_server(conversation, piece);
}

static bool reads_from(const struct websocket *websocket, const struct end *from)
{
    const struct conversation *conversation = &websocket->conversation;
    if (!websocket->reads_requests)
        return true;
    return from == &websocket->client ? conversation_reads_client(conversation)
                                      : conversation_reads_server(conversation);
}

/* Passes on what has come from an end; true where nothing of it is left. */
static bool relay(struct websocket *websocket, struct end *from)
{
    struct end *to = other_end(websocket, from);
    struct frame_piece piece;
    while (!from->ended) {
        if (to->frames.out.len >= STREAM_HALF - PIECE_ROOM || !reads_from(websocket, from))
            return false;
        switch (frames_read(&from->frames, &piece)) {
        case FRAMES_NOTHING:
            return true;
        case FRAMES_VIOLATION:
            end_reading(from);
            close_both(websocket, WSLAY_CODE_PROTOCOL_ERROR);
            break;
        case FRAMES_PIECE:
            if (!websocket_take(websocket, from, &piece))
                pass(from, to, &piece);
            break;
        }
        send_pending_close(websocket, to);
    }
    return true;
}

/* ---- the end ---- */

static bool is_committed(const struct websocket *websocket)
{
    return websocket->reads_requests && conversation_is_committed(&websocket->conversation);
}

/* Once it is being closed, whoever has still something to do must go on doing it. */
static void set_give_up(struct websocket *websocket)
{
    int64_t idle = websocket->context->gate->config->idle_timeout_ms;
    if (websocket->give_up.nanoseconds == MONOTONIC_NEVER.nanoseconds)
        websocket->give_up =
            monotonic_after(clock_monotonic(), is_committed(websocket) ? idle : CLOSE_MILLISECONDS);
}

bool websocket_has_given_up(const struct websocket *websocket)
{
    return websocket->give_up.nanoseconds <= clock_monotonic().nanoseconds;
}

static void end_client(struct websocket *websocket)
{
    if (websocket->state == WEBSOCKET_DRAINING || websocket->client_left ||
        websocket->client.frames.out.len > 0)
        return;
    websocket->state = WEBSOCKET_DRAINING;
    if (client_request_end(websocket->client_request))
        return;
    websocket->client_left = true;
    websocket_mark(websocket);
}

static void end_server(struct websocket *websocket)
{
    transfer_cancel(websocket->transfer);
    websocket->transfer = NULL;
}

/* Both ends are to close, or one is gone. */
static bool is_to_close(const struct websocket *websocket)
{
    return (websocket->client.close != CLOSE_NONE && websocket->server.close != CLOSE_NONE) ||
           websocket->client_left || websocket->transfer == NULL;
}

/*
 * An end that has left is followed by the other as soon as that has got all. Where both have got a
 * Close, the client's side is closed from here, and the server closes its own.
 */
static void close_down(struct websocket *websocket, bool client_done, bool server_done)
{
    bool closed = websocket->client.close == CLOSE_SENT && websocket->server.close == CLOSE_SENT;
    if (websocket->state == WEBSOCKET_OPEN && is_to_close(websocket))
        websocket->state = WEBSOCKET_CLOSING;
    if (websocket->state == WEBSOCKET_OPEN)
        return;
    set_give_up(websocket);
    bool given_up = websocket_has_given_up(websocket);
    if (closed || server_done)
        end_client(websocket);
    if (given_up ||
        (client_done && websocket->server.frames.out.len == 0 && !is_committed(websocket)))
        end_server(websocket);
    if ((given_up || websocket->client_left) && websocket->transfer == NULL &&
        (given_up || !is_committed(websocket))) {
        websocket_client_end_watch(websocket);
        websocket->state = WEBSOCKET_OVER;
        client_request_abort(websocket->client_request);
    }
}

/* ---- running ---- */

static void resume_server(struct websocket *websocket)
{
    struct frames *frames = &websocket->server.frames;
    bool more = websocket->pull_waits && frames->out.len > 0;
    bool room = websocket->data_waits && frames->in.len == 0;
    if (websocket->transfer == NULL || (!more && !room))
        return;
    websocket->pull_waits = false;
    websocket->data_waits = false;
    transfer_resume(websocket->transfer);
}

/* Idle sockets hold on to no memory that they do not need. */
static void give_back(struct frames *frames)
{
    if (frames->in.len == 0)
        buffer_clear(&frames->in);
    if (frames->out.len == 0)
        buffer_clear(&frames->out);
}

bool websocket_is_overdue(const struct websocket *websocket)
{
    return websocket->reads_requests && conversation_is_overdue(&websocket->conversation);
}

/* An answer that came after all would be taken for that to the next request. */
static void end_overdue(struct websocket *websocket)
{
    if (!websocket_is_overdue(websocket))
        return;
    end_reading(&websocket->server);
    close_both(websocket, WSLAY_CODE_INTERNAL_SERVER_ERROR);
}

static void converse(struct websocket *websocket, bool server_done)
{
    struct conversation *conversation = &websocket->conversation;
    if (!websocket->reads_requests)
        return;
    if (server_done || websocket->server.ended)
        conversation_server_ended(conversation);
    if (websocket->client.close != CLOSE_SENT)
        conversation_step(conversation);
}

void websocket_run(struct websocket *websocket)
{
    struct websocket_set *set = websocket->context->websockets;
    if (websocket->state == WEBSOCKET_OVER || websocket->file < 0)
        return;
    websocket_client_read(websocket);
    if (set->draining && !websocket_is_deciding(websocket))
        close_both(websocket, WSLAY_CODE_GOING_AWAY);
    bool all_relayed = relay(websocket, &websocket->client) || websocket_is_deciding(websocket);
    bool client_done = all_relayed && websocket->client_left;
    all_relayed = relay(websocket, &websocket->server);
    bool server_done = all_relayed && websocket->transfer == NULL;
    if (websocket->transfer == NULL)
        end_reading(&websocket->client);
    end_overdue(websocket);
    converse(websocket, server_done);
    send_pending_close(websocket, &websocket->client);
    send_pending_close(websocket, &websocket->server);
    if (websocket_client_write(websocket) && !all_relayed)
        websocket_mark(websocket);
    give_back(&websocket->client.frames);
    give_back(&websocket->server.frames);
    if (websocket->reads_requests)
        conversation_count_unread(&websocket->conversation);
    if (websocket->client.frames.no_memory || websocket->server.frames.no_memory) {
        websocket->client_left = true;
        websocket->give_up = clock_monotonic();
    }
    close_down(websocket, client_done, server_done);
    if (websocket->state == WEBSOCKET_OVER)
        return;
    websocket_client_watch(websocket);
    resume_server(websocket);
}

/* ---- from the handshake to the end ---- */

static void on_conversation_ready(void *user)
{
    websocket_mark(user);
}

static bool open_ends(struct websocket *websocket)
{
    return frames_open(&websocket->client.frames, FRAMES_PEER_CLIENT) &&
           frames_open(&websocket->server.frames, FRAMES_PEER_SERVER);
}

struct websocket *websocket_open(struct worker_context *context,
                                 struct client_request *client_request,
                                 const struct request_head *request_head, struct transfer *transfer)
{
    struct websocket *websocket =
        arena_alloc(client_request_arena(client_request), sizeof *websocket);
    if (websocket == NULL)
        return NULL;
    struct target_path path = validation_target_path(request_head);
    *websocket = (struct websocket){
        .context = context,
        .client_request = client_request,
        .file = -1,
        .source = websocket_client_source(websocket),
        .transfer = transfer,
        .pull_waits = true,
        .reads_requests = endpoint_is_socket(path.text, path.len),
        .give_up = MONOTONIC_NEVER,
    };
    if (!open_ends(websocket)) {
        frames_close(&websocket->client.frames);
        frames_close(&websocket->server.frames);
        return NULL;
    }
    if (websocket->reads_requests)
        conversation_open(&websocket->conversation, context, request_head,
                          &websocket->client.frames, &websocket->server.frames,
                          on_conversation_ready, websocket);
    websocket_link(websocket);
    transfer_hand_over(transfer, &transfer_handler, websocket);
    metrics_websocket_opened(context->gate->metrics);
    return websocket;
}

void websocket_begin(struct websocket *websocket, int file, const char *early, size_t len)
{
    websocket->file = file;
    if (!buffer_append(&websocket->client.frames.in, early, len))
        websocket->client.frames.no_memory = true;
    websocket_mark(websocket);
}

void websocket_close(struct websocket *websocket)
{
    if (websocket == NULL)
        return;
    websocket_client_end_watch(websocket);
    end_server(websocket);
    conversation_close(&websocket->conversation);
    frames_close(&websocket->client.frames);
    frames_close(&websocket->server.frames);
    websocket_unlink(websocket);
    metrics_websocket_closed(websocket->context->gate->metrics);
}
