#include "proxy/clients/downstream_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How often an answer is asked for in vain until its connection is suspended. */
#define ASKED_IN_VAIN 16

struct arena *incoming_arena(struct incoming *incoming)
{
    return &incoming->arena;
}

static enum MHD_Result count_field(void *user, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    (void)name;
    (void)name_len;
    (void)value;
    (void)value_len;
    ++*(size_t *)user;
    return MHD_YES;
}

static enum MHD_Result add_field(void *user, enum MHD_ValueKind kind, const char *name,
                                 size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct field_list *list = user;
    list->fields[list->count++] = (struct field){.name = name,
                                                 .name_len = name_len,
                                                 .value = value == NULL ? "" : value,
                                                 .value_len = value == NULL ? 0 : value_len};
    return MHD_YES;
}

static bool collect_fields(struct incoming *incoming)
{
    size_t count = 0;
    MHD_get_connection_values_n(incoming->connection, MHD_HEADER_KIND, count_field, &count);
    struct field_list *list = &incoming->request_head.fields;
    list->fields = arena_alloc(&incoming->arena, count * sizeof *list->fields);
    if (list->fields == NULL)
        return false;
    MHD_get_connection_values_n(incoming->connection, MHD_HEADER_KIND, add_field, list);
    return true;
}

/* Who the client is; false when memory runs out. */
static bool read_origin(struct incoming *incoming, const struct client *client)
{
    struct downstream *downstream = incoming->downstream;
    const struct forwarding_source source = {
        .peer = client->peer,
        .scheme = downstream->keypairs == NULL ? "http" : "https",
        .version = incoming->request_head.version,
        .is_trusted = client->is_trusted,
        .trusted = downstream->trusted,
    };
    struct request_head *request_head = &incoming->request_head;
    if (!forwarding_read(&source, &request_head->fields, &incoming->arena, &request_head->from))
        return false;
    request_head->peer = request_head->from.client;
    request_head->id = request_id_of(&downstream->ids, client->is_trusted, &request_head->fields,
                                     &incoming->arena);
    return request_head->id != NULL;
}

static void link_incoming(struct incoming *incoming)
{
    struct downstream *downstream = incoming->downstream;
    incoming->next = downstream->requests;
    if (incoming->next != NULL)
        incoming->next->previous = incoming;
    downstream->requests = incoming;
    downstream->request_count++;
}

static void unlink_incoming(struct incoming *incoming)
{
    struct downstream *downstream = incoming->downstream;
    if (incoming->previous != NULL)
        incoming->previous->next = incoming->next;
    else
        downstream->requests = incoming->next;
    if (incoming->next != NULL)
        incoming->next->previous = incoming->previous;
    downstream->request_count--;
}

static struct incoming *incoming_create(struct downstream *downstream,
                                        struct MHD_Connection *connection, const char *method,
                                        const char *version)
{
    struct client *client = connection_client(connection);
    if (client == NULL || client->target_len == 0)
        return NULL;
    struct incoming *incoming = calloc(1, sizeof *incoming);
    if (incoming == NULL)
        return NULL;
    incoming->downstream = downstream;
    incoming->arena.spares = &downstream->spares;
    incoming->connection = connection;
    incoming->file = -1;
    incoming->pair = -1;
    incoming->request_head.method = method;
    incoming->request_head.version = strcmp(version, "HTTP/1.0") == 0 ? "1.0" : "1.1";
    incoming->request_head.target_len = client->target_len;
    incoming->request_head.target =
        arena_copy(&incoming->arena, client->target, client->target_len);
    if (incoming->request_head.target == NULL || !collect_fields(incoming) ||
        !read_origin(incoming, client)) {
        arena_clear(&incoming->arena);
        free(incoming);
        return NULL;
    }
    link_incoming(incoming);
    client_end_wait(client);
    return incoming;
}

static void end_asking(struct incoming *incoming)
{
    if (incoming->asked > 0)
        incoming->downstream->asked_count--;
    incoming->asked = 0;
}

void incoming_destroy(struct incoming *incoming)
{
    incoming_end_watch(incoming);
    end_asking(incoming);
    if (incoming->object != NULL)
        incoming->downstream->handler->closed(incoming->object);
    unlink_incoming(incoming);
    if (incoming->file >= 0) {
        close(incoming->file);
        incoming->downstream->upgraded_count--;
    }
    arena_clear(&incoming->arena);
    free(incoming);
}

static enum MHD_Result begin_request(struct downstream *downstream,
                                     struct MHD_Connection *connection, const char *method,
                                     const char *version, void **context)
{
    struct incoming *incoming =
        downstream->ending ? NULL : incoming_create(downstream, connection, method, version);
    *context = incoming;
    if (incoming == NULL)
        return MHD_NO;
    downstream->busy = true;
    incoming->in_head = true;
    incoming->object =
        downstream->handler->head(downstream->user, incoming, &incoming->request_head);
    incoming->in_head = false;
    if (incoming->object == NULL)
        return MHD_NO;
    if (incoming->ready)
        return incoming_queue_answer(incoming);
    if (incoming->awaits_leave)
        incoming_suspend(incoming);
    return MHD_YES;
}

/* libmicrohttpd says 100 where this queues no answer, unless the body has begun to come. */
static enum MHD_Result end_wait_for_leave(struct incoming *incoming)
{
    incoming->downstream->busy = true;
    incoming->awaits_leave = false;
    return incoming->ready ? incoming_queue_answer(incoming) : MHD_YES;
}

static enum MHD_Result take_body(struct incoming *incoming, const char *bytes, size_t *len)
{
    incoming->downstream->busy = true;
    incoming->touched = incoming->downstream->now;
    *len -= incoming->downstream->handler->body(incoming->object, bytes, *len);
    if (*len > 0 && !incoming->aborted)
        incoming_suspend(incoming);
    return incoming->aborted ? MHD_NO : MHD_YES;
}

static void end_body(struct incoming *incoming)
{
    incoming->downstream->busy = true;
    incoming->body_ended = true;
    incoming->downstream->handler->body_end(incoming->object);
}

/*
 * libmicrohttpd asks for all answers that are awaited so whenever it runs, and cannot tell
 * meanwhile when it wants to run next. With TLS it may be passing on what belongs to upgraded
 * connections.
 */
static bool is_worth_asking(const struct incoming *incoming)
{
    const struct downstream *downstream = incoming->downstream;
    if (incoming->asked == 0)
        return incoming->soon && downstream->keypairs == NULL;
    return incoming->asked < ASKED_IN_VAIN &&
           monotonic_elapsed(incoming->touched, downstream->now) <
               ASKING_MILLISECONDS * NANOSECONDS_PER_MILLISECOND;
}

/*
 * To suspend a connection and to resume it costs several system calls, to be asked in vain next to
 * nothing.
 */
static void wait_for_answer(struct incoming *incoming)
{
    struct downstream *downstream = incoming->downstream;
    if (!is_worth_asking(incoming)) {
        end_asking(incoming);
        incoming_suspend(incoming);
    } else if (incoming->asked++ == 0) {
        downstream->asked_count++;
        incoming->touched = downstream->now;
    }
}

/*
 * libmicrohttpd calls this for the head, for every piece of the body, and for its end; after a
 * resume, again for where it was suspended.
 */
enum MHD_Result request_access(void *user, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **context)
{
    (void)url;
    struct incoming *incoming = *context;
    if (incoming == NULL)
        return begin_request(user, connection, method, version, context);
    if (incoming->aborted)
        return MHD_NO;
    if (incoming->awaits_leave)
        return end_wait_for_leave(incoming);
    if (*upload_len > 0)
        return take_body(incoming, upload, upload_len);
    if (!incoming->body_ended)
        end_body(incoming);
    if (incoming->aborted || incoming->answered)
        return MHD_NO;
    if (!incoming->ready) {
        wait_for_answer(incoming);
        return MHD_YES;
    }
    end_asking(incoming);
    return incoming_queue_answer(incoming);
}

void request_completed(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    (void)code;
    struct downstream *downstream = user;
    struct incoming *incoming = *context;
    struct client *client = connection_client(connection);
    bool detached = incoming != NULL && incoming->file >= 0;
    if (incoming != NULL && !detached)
        incoming_destroy(incoming);
    if (client != NULL && !detached)
        client_begin_wait(client, downstream->now, downstream->idle_timeout_ms);
    *context = NULL;
}

void incoming_suspend(struct incoming *incoming)
{
    incoming->suspended = true;
    incoming->touched = incoming->downstream->now;
    MHD_suspend_connection(incoming->connection);
}

void incoming_expect_soon(struct incoming *incoming)
{
    incoming->soon = true;
}

void incoming_withhold_leave(struct incoming *incoming)
{
    incoming->awaits_leave = true;
}

static void resume(struct incoming *incoming)
{
    if (!incoming->suspended)
        return;
    incoming_end_watch(incoming);
    incoming->suspended = false;
    incoming->downstream->needs_run = true;
    MHD_resume_connection(incoming->connection);
}

void incoming_give_leave(struct incoming *incoming)
{
    if (incoming->awaits_leave)
        resume(incoming);
}

/* Room for more of a body is no leave to send it. */
void incoming_resume(struct incoming *incoming)
{
    if (incoming->asked > 0)
        incoming->downstream->has_answers = true;
    if (!incoming->awaits_leave || incoming->ready || incoming->aborted)
        resume(incoming);
}

void incoming_end_watch(struct incoming *incoming)
{
    if (incoming->watched)
        loop_forget(incoming->downstream->loop, connection_socket(incoming->connection));
    incoming->watched = false;
}

static void on_watch(void *user, uint32_t events)
{
    (void)events;
    struct incoming *incoming = user;
    incoming_end_watch(incoming);
    incoming->gone = true;
    incoming->downstream->handler->gone(incoming->object);
}

/*
 * libmicrohttpd does not look at the socket of a suspended connection. A closed sending side counts
 * as leaving only once the request is whole: before that, bytes may still lie there unread.
 */
static void begin_watch(struct incoming *incoming)
{
    int file = connection_socket(incoming->connection);
    uint32_t events = (incoming->body_ended ? (uint32_t)EPOLLRDHUP : 0) | (uint32_t)EPOLLONESHOT;
    incoming->watch = (struct loop_source){on_watch, incoming};
    if (file < 0 || !loop_watch(incoming->downstream->loop, file, events, &incoming->watch))
        return;
    incoming->watched = true;
    connection_keep_alive(file);
}

void requests_look_after(struct downstream *downstream, monotonic_time now)
{
    for (struct incoming *incoming = downstream->requests; incoming != NULL;
         incoming = incoming->next) {
        if (monotonic_elapsed(incoming->touched, now) < PATIENCE_NANOSECONDS)
            continue;
        incoming_give_leave(incoming);
        if (incoming->suspended && !incoming->watched && !incoming->gone)
            begin_watch(incoming);
        else if (!incoming->suspended && !incoming->body_ended)
            connection_look_after(incoming->connection);
    }
}

void incoming_abort(struct incoming *incoming)
{
    incoming->aborted = true;
    if (incoming->file >= 0)
        incoming->downstream->upgraded_ended = true;
    if (incoming->upgrade != NULL || incoming->file >= 0)
        upgrade_end(incoming);
    incoming_resume(incoming);
}
