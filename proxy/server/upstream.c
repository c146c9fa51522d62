#include "proxy/server/upstream_parts.h"

#include <stdlib.h>
#include <string.h>

const char *upstream_failure_name(enum upstream_failure failure)
{
    static const char *const names[UPSTREAM_FAILURES] = {
        [UPSTREAM_FINE] = "none",       [UPSTREAM_RESOLVE] = "resolve",
        [UPSTREAM_CONNECT] = "connect", [UPSTREAM_TLS] = "tls",
        [UPSTREAM_TIMEOUT] = "timeout", [UPSTREAM_BROKEN] = "broken",
        [UPSTREAM_MEMORY] = "memory",
    };
    return names[failure];
}

static bool is_idempotent(const char *method)
{
    static const char *const methods[] = {
        "GET",  "HEAD", "PUT",    "DELETE", "OPTIONS",   "TRACE", "PROPFIND", "REPORT",     "MKCOL",
        "COPY", "MOVE", "UNLOCK", "SEARCH", "PROPPATCH", "ACL",   "QUERY",    "MKCALENDAR",
    };
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (*method == *methods[i] && strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/* ---- from start to end ---- */

void transfer_mark(struct transfer *transfer)
{
    if (transfer->is_ready)
        return;
    transfer->is_ready = true;
    LIST_INSERT_HEAD(&transfer->upstream->ready, transfer, ready_entry);
}

static void unmark(struct transfer *transfer)
{
    if (transfer->is_ready)
        LIST_REMOVE(transfer, ready_entry);
    transfer->is_ready = false;
}

/* Takes it off everything; it stays in its arena. */
static void upstream_release(struct transfer *transfer, bool keep)
{
    unmark(transfer);
    LIST_REMOVE(transfer, entry);
    if (keep)
        connection_keep(transfer->connection);
    else if (transfer->connection != NULL)
        connection_close(transfer->connection);
    transfer->connection = NULL;
    buffer_clear(&transfer->unsent);
    buffer_clear(&transfer->held);
}

static bool is_stream(const struct transfer *transfer)
{
    return transfer->body_kind != BODY_NONE && transfer->body_kind != BODY_WHOLE;
}

/*
 * A stream cannot be sent twice, so it must not meet a connection that is being closed. Its own is
 * not kept either: the next stream would leave it alone, and they would pile up.
 */
static bool is_alone(const struct transfer *transfer)
{
    return transfer->once || transfer->any_issuer || is_stream(transfer);
}

static void upstream_finish(struct transfer *transfer, enum upstream_failure failure,
                            const char *detail)
{
    const struct transfer_handler *handler = transfer->handler;
    void *user = transfer->user;
    bool keep = failure == UPSTREAM_FINE && transfer->answered && !transfer->sends &&
                !transfer->surplus && !transfer->parser.ends_connection && !is_alone(transfer);
    upstream_release(transfer, keep);
    handler->done(user, failure, detail);
}

static bool begin_attempt(struct transfer *transfer, struct connection *connection)
{
    answer_parser_begin(&transfer->parser, transfer->arena, transfer->upstream->settings.head_limit,
                        transfer->is_head, transfer->body_kind == BODY_UPGRADE);
    transfer_rewind(transfer);
    transfer->connection = connection;
    if (connection != NULL)
        connection->transfer = transfer;
    else
        transfer->connection = connection_create(transfer->upstream, transfer);
    return transfer->connection != NULL;
}

static bool may_try_again(const struct transfer *transfer)
{
    return transfer->connection->kept && !transfer->parser.begun && !transfer->tried_before &&
           !is_alone(transfer) && (!transfer->sent_any || transfer->repeatable);
}

/* The connection has ended before the answer has. */
static void on_lost(struct transfer *transfer)
{
    if (may_try_again(transfer)) {
        connection_close(transfer->connection);
        transfer->tried_before = true;
        if (!begin_attempt(transfer, NULL))
            upstream_finish(transfer, UPSTREAM_MEMORY, "out of memory");
        return;
    }
    bool stale = transfer->connection->kept && !transfer->parser.begun;
    answer_parser_close(&transfer->parser);
    upstream_finish(transfer, UPSTREAM_BROKEN,
                    stale ? "the server closed a kept connection and may have read the request"
                    : transfer->parser.fault != NULL ? transfer->parser.fault
                                                     : "the server broke the connection off");
}

/* ---- its turns ---- */

/*
 * Whoever refuses does not want the rest, nor does who closes once the answer is complete. Of any
 * other server it is to be expected that it reads on.
 */
static bool wants_no_more(const struct transfer *transfer)
{
    return (transfer->has_head && transfer->parser.status >= 300) ||
           (transfer->answered && transfer->parser.ends_connection);
}

/* True where the transfer has ended. */
static bool end_after_receiving(struct transfer *transfer, enum receiving result)
{
    switch (result) {
    case RECEIVING_DONE:
        transfer->answered = true;
        return false;
    case RECEIVING_CLOSED:
        on_lost(transfer);
        return true;
    case RECEIVING_FAULT:
        upstream_finish(transfer, UPSTREAM_BROKEN, transfer->parser.fault);
        return true;
    case RECEIVING_FAILED:
        upstream_finish(transfer, UPSTREAM_BROKEN, "the answer cannot be passed on");
        return true;
    case RECEIVING_MEMORY:
        upstream_finish(transfer, UPSTREAM_MEMORY, "out of memory");
        return true;
    case RECEIVING_AGAIN:
        transfer_mark(transfer);
        return false;
    case RECEIVING_LATER:
        return false;
    }
    return false;
}

/*
 * What cannot be sent is no failure yet: the server may have answered, closed, and not waited for
 * the rest. So that answer is read, which ends by itself.
 */
static bool end_after_sending(struct transfer *transfer, enum sending result)
{
    switch (result) {
    case SENDING_BROKEN:
        transfer->sends = false;
        transfer->send_broken = true;
        transfer->connection->hung_up = true;
        connection_expect_bytes(transfer->connection);
        transfer_mark(transfer);
        return false;
    case SENDING_FAILED:
        upstream_finish(transfer, UPSTREAM_BROKEN, "the client's request broke off");
        return true;
    case SENDING_MEMORY:
        upstream_finish(transfer, UPSTREAM_MEMORY, "out of memory");
        return true;
    case SENDING_AGAIN:
        transfer_mark(transfer);
        return false;
    case SENDING_LATER:
    case SENDING_DONE:
        return false;
    }
    return false;
}

static void run(struct transfer *transfer)
{
    struct connection *connection = transfer->connection;
    if (!connection->open)
        return;
    if (!transfer->answered && !transfer->data_waits &&
        (connection->readable || transfer->held.len > 0) &&
        end_after_receiving(transfer, transfer_receive(transfer)))
        return;
    if (transfer->sends && wants_no_more(transfer)) {
        transfer->sends = false;
        transfer->parser.ends_connection = true;
    }
    if (transfer->sends && connection->writable && !transfer->pull_waits &&
        end_after_sending(transfer, transfer_send(transfer)))
        return;
    if (transfer->answered && (!transfer->sends || connection->hung_up))
        upstream_finish(transfer, UPSTREAM_FINE, "");
}

void transfer_connected(struct transfer *transfer)
{
    transfer->progress = transfer->upstream->now;
    transfer_mark(transfer);
}

void transfer_not_connected(struct transfer *transfer, enum upstream_failure failure,
                            const char *detail)
{
    upstream_finish(transfer, failure, detail);
}

/* ---- what others call ---- */

static struct transfer *transfer_create(struct upstream *upstream,
                                        const struct upstream_request *request,
                                        const struct transfer_handler *handler, void *user)
{
    struct transfer *transfer = arena_alloc(request->arena, sizeof *transfer);
    if (transfer == NULL)
        return NULL;
    bool has_body = request->body_kind == BODY_WHOLE;
    monotonic_time now = clock_monotonic();
    *transfer = (struct transfer){
        .upstream = upstream,
        .arena = request->arena,
        .handler = handler,
        .user = user,
        .is_head = strcmp(request->method, "HEAD") == 0,
        .once = request->once,
        .any_issuer = request->any_issuer,
        .repeatable = request->repeatable || is_idempotent(request->method),
        .whole = request->whole,
        .identity = request->identity,
        .body_kind = request->body_kind,
        /* It is only read. */
        .body = {has_body ? (char *)request->body : NULL, has_body ? request->len : 0},
        .told_length = request->body_kind == BODY_STREAM ? request->len : 0,
        .progress = now,
        .deadline =
            request->timeout_ms > 0 ? monotonic_after(now, request->timeout_ms) : MONOTONIC_NEVER,
    };
    return transfer_write_head(transfer, request) ? transfer : NULL;
}

/* A stream's body is pulled in a run, once its owner has it. */
static void send_at_once(struct transfer *transfer)
{
    enum sending result = is_stream(transfer) ? SENDING_AGAIN : transfer_send(transfer);
    if (result != SENDING_DONE && result != SENDING_LATER)
        transfer_mark(transfer);
}

struct transfer *transfer_start(struct upstream *upstream, const struct upstream_request *request,
                                const struct transfer_handler *handler, void *user)
{
    struct transfer *transfer = transfer_create(upstream, request, handler, user);
    if (transfer == NULL)
        return NULL;
    struct connection *kept =
        is_alone(transfer) ? NULL : connection_take(upstream, !transfer->repeatable);
    if (!begin_attempt(transfer, kept))
        return NULL;
    LIST_INSERT_HEAD(&upstream->live, transfer, entry);
    upstream->due = monotonic_earlier(upstream->due, transfer->deadline);
    if (kept != NULL)
        send_at_once(transfer);
    return transfer;
}

void transfer_hand_over(struct transfer *transfer, const struct transfer_handler *handler,
                        void *user)
{
    transfer->handler = handler;
    transfer->user = user;
}

bool transfer_takes_body(const struct transfer *transfer)
{
    return transfer->sends;
}

void transfer_resume(struct transfer *transfer)
{
    if (!transfer->pull_waits && !transfer->data_waits)
        return;
    transfer->pull_waits = false;
    transfer->data_waits = false;
    transfer->progress = clock_monotonic();
    transfer_mark(transfer);
}

void transfer_cancel(struct transfer *transfer)
{
    if (transfer != NULL)
        upstream_release(transfer, false);
}

/* ---- all of them ---- */

monotonic_time upstream_due(const struct upstream *upstream)
{
    if (!LIST_EMPTY(&upstream->ready))
        return upstream->now;
    return monotonic_earlier(monotonic_earlier(upstream->timer, names_due(upstream)),
                             upstream->due);
}

/* Those whose time is up; when the next one's is. */
static void finish_overdue(struct upstream *upstream)
{
    struct transfer *transfer, *next;
    if (!monotonic_reached(upstream->due, upstream->now))
        return;
    upstream->due = MONOTONIC_NEVER;
    do {
        for (transfer = LIST_FIRST(&upstream->live); transfer != NULL; transfer = next) {
            next = LIST_NEXT(transfer, entry);
            if (monotonic_reached(transfer->deadline, upstream->now))
                break;
            upstream->due = monotonic_earlier(upstream->due, transfer->deadline);
        }
        if (transfer != NULL)
            upstream_finish(transfer, UPSTREAM_TIMEOUT, "the server did not answer in time");
    } while (transfer != NULL);
}

/* Those that become ready meanwhile have their turn in the next run. */
void upstream_run(struct upstream *upstream, monotonic_time now)
{
    struct transfer *transfer;
    upstream->now = now;
    connections_free_closed(upstream);
    connect_run(upstream);
    while ((transfer = LIST_FIRST(&upstream->ready)) != NULL) {
        LIST_REMOVE(transfer, ready_entry);
        LIST_INSERT_HEAD(&upstream->running, transfer, ready_entry);
    }
    while ((transfer = LIST_FIRST(&upstream->running)) != NULL) {
        unmark(transfer);
        run(transfer);
    }
    finish_overdue(upstream);
}

/*
 * Whether the server is to do something. Where the client does not send, or does not take what has
 * come, nobody is to blame. Whatever the server has answered, it is to take what there is of the
 * request: nothing of an answer with content reaches the client before.
 */
static bool is_waited_for(const struct transfer *transfer)
{
    if (transfer->parser.state == ANSWER_AT_TUNNEL)
        return false;
    if (transfer->sends)
        return !transfer->pull_waits;
    if (transfer->has_head && !transfer->answered)
        return transfer->whole && !transfer->data_waits;
    return true;
}

static bool is_silent(const struct transfer *transfer)
{
    const struct upstream *upstream = transfer->upstream;
    int64_t limit = upstream->settings.idle_timeout_ms * NANOSECONDS_PER_MILLISECOND;
    return is_waited_for(transfer) && monotonic_elapsed(transfer->progress, upstream->now) > limit;
}

/* A slow server may take of what its socket holds for long before there is room for more. */
static void look_for_progress(struct upstream *upstream)
{
    struct transfer *transfer = LIST_FIRST(&upstream->live);
    for (; transfer != NULL; transfer = LIST_NEXT(transfer, entry)) {
        if (!is_waited_for(transfer) || !transfer->connection->open)
            continue;
        size_t untaken = wire_untaken(transfer->connection);
        if (untaken < transfer->untaken)
            transfer->progress = upstream->now;
        transfer->untaken = untaken;
    }
}

/* One whose server is silent for too long, or NULL. */
static struct transfer *find_silent(struct upstream *upstream)
{
    struct transfer *transfer = LIST_FIRST(&upstream->live);
    while (transfer != NULL && !is_silent(transfer))
        transfer = LIST_NEXT(transfer, entry);
    return transfer;
}

void upstream_tick(struct upstream *upstream)
{
    struct transfer *transfer;
    upstream->now = clock_monotonic();
    look_for_progress(upstream);
    while ((transfer = find_silent(upstream)) != NULL) {
        if (transfer->answered)
            upstream_finish(transfer, UPSTREAM_FINE, "");
        else
            upstream_finish(transfer, UPSTREAM_TIMEOUT,
                            transfer->sends ? "the server did not take the request in time"
                            : transfer->has_head
                                ? "the server did not go on with its answer in time"
                                : "the server did not begin its answer in time");
    }
    connections_look_after(upstream);
}

struct upstream *upstream_create(const struct upstream_settings *settings, struct loop *loop)
{
    struct upstream *upstream = malloc(sizeof *upstream);
    if (upstream == NULL)
        return NULL;
    memset(upstream, 0, offsetof(struct upstream, block));
    upstream->settings = *settings;
    upstream->loop = loop;
    upstream->now = clock_monotonic();
    upstream->due = MONOTONIC_NEVER;
    if (connect_prepare(upstream))
        return upstream;
    upstream_destroy(upstream);
    return NULL;
}

void upstream_destroy(struct upstream *upstream)
{
    struct transfer *transfer;
    struct connection *connection;
    if (upstream == NULL)
        return;
    while ((transfer = LIST_FIRST(&upstream->live)) != NULL)
        upstream_release(transfer, false);
    while ((connection = LIST_FIRST(&upstream->idle)) != NULL) {
        LIST_REMOVE(connection, entry);
        connection_close(connection);
    }
    connections_free_closed(upstream);
    connect_clear(upstream);
    free(upstream);
}
