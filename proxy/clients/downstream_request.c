#include "proxy/clients/downstream_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How often an answer is asked for in vain until its connection is suspended. */
#define ASKED_IN_VAIN 16
/* Of a body: behind one that is smaller nothing more is there to be read. */
#define LARGE_PIECE ((size_t)8192)

struct arena *client_request_arena(struct client_request *client_request)
{
    return &client_request->arena;
}

static enum MHD_Result request_add_field(void *user, enum MHD_ValueKind kind, const char *name,
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

static bool collect_fields(struct client_request *client_request)
{
    int count =
        MHD_get_connection_values_n(client_request->connection, MHD_HEADER_KIND, NULL, NULL);
    struct field_list *list = &client_request->request_head.fields;
    if (!field_list_create(list, (size_t)count, &client_request->arena))
        return false;
    MHD_get_connection_values_n(client_request->connection, MHD_HEADER_KIND, request_add_field,
                                list);
    return true;
}

/* Who the client is; false when memory runs out. */
static bool read_origin(struct client_request *client_request, const struct client *client)
{
    struct downstream *downstream = client_request->downstream;
    const struct forwarding_source source = {
        .peer = client->peer,
        .scheme = downstream->keypairs == NULL ? "http" : "https",
        .version = client_request->request_head.version,
        .is_trusted = client->is_trusted,
        .trusted = downstream->trusted,
    };
    struct request_head *request_head = &client_request->request_head;
    if (!forwarding_read(&source, &request_head->fields, &client_request->arena,
                         &request_head->from))
        return false;
    request_head->peer = request_head->from.client;
    request_head->id = request_id_of(&downstream->ids, client->is_trusted, &request_head->fields,
                                     &client_request->arena);
    return request_head->id != NULL;
}

static void link_client_request(struct client_request *client_request)
{
    struct downstream *downstream = client_request->downstream;
    client_request->next = downstream->requests;
    if (client_request->next != NULL)
        client_request->next->previous = client_request;
    downstream->requests = client_request;
    downstream->request_count++;
}

static void unlink_client_request(struct client_request *client_request)
{
    struct downstream *downstream = client_request->downstream;
    if (client_request->previous != NULL)
        client_request->previous->next = client_request->next;
    else
        downstream->requests = client_request->next;
    if (client_request->next != NULL)
        client_request->next->previous = client_request->previous;
    downstream->request_count--;
}

static struct client_request *client_request_create(struct downstream *downstream,
                                                    struct MHD_Connection *connection,
                                                    const char *method, const char *version)
{
    struct client *client = connection_client(connection);
    if (client == NULL || client->target_len == 0)
        return NULL;
    struct client_request *client_request = malloc(sizeof *client_request);
    if (client_request == NULL)
        return NULL;
    *client_request = (struct client_request){
        .downstream = downstream,
        .arena.spares = &downstream->spares,
        .connection = connection,
        .file = -1,
        .pair = -1,
        .request_head.method = method,
        .request_head.version = strcmp(version, "HTTP/1.0") == 0 ? "1.0" : "1.1",
        .request_head.target_len = client->target_len,
    };
    client_request->request_head.target =
        arena_copy(&client_request->arena, client->target, client->target_len);
    if (client_request->request_head.target == NULL || !collect_fields(client_request) ||
        !read_origin(client_request, client)) {
        arena_clear(&client_request->arena);
        free(client_request);
        return NULL;
    }
    link_client_request(client_request);
    client_end_wait(client);
    return client_request;
}

static void end_asking(struct client_request *client_request)
{
    if (client_request->asked > 0)
        client_request->downstream->asked_count--;
    client_request->asked = 0;
}

void client_request_destroy(struct client_request *client_request)
{
    client_request_end_watch(client_request);
    end_asking(client_request);
    if (client_request->object != NULL)
        client_request->downstream->handler->closed(client_request->object);
    unlink_client_request(client_request);
    client_request->downstream->paired_count -= client_request->paired;
    if (client_request->file >= 0) {
        close(client_request->file);
        client_request->downstream->upgraded_count--;
    }
    arena_clear(&client_request->arena);
    free(client_request);
}

static enum MHD_Result begin_request(struct downstream *downstream,
                                     struct MHD_Connection *connection, const char *method,
                                     const char *version, void **context)
{
    struct client_request *client_request =
        downstream->ending ? NULL : client_request_create(downstream, connection, method, version);
    *context = client_request;
    if (client_request == NULL)
        return MHD_NO;
    downstream->busy = true;
    client_request->in_head = true;
    client_request->object =
        downstream->handler->head(downstream->user, client_request, &client_request->request_head);
    client_request->in_head = false;
    if (client_request->object == NULL)
        return MHD_NO;
    if (client_request->ready)
        return client_request_queue_answer(client_request);
    if (client_request->awaits_leave)
        client_request_suspend(client_request);
    return MHD_YES;
}

/* libmicrohttpd says 100 where this queues no answer, unless the body has begun to come. */
static enum MHD_Result end_wait_for_leave(struct client_request *client_request)
{
    client_request->downstream->busy = true;
    client_request->awaits_leave = false;
    return client_request->ready ? client_request_queue_answer(client_request) : MHD_YES;
}

static enum MHD_Result take_body(struct client_request *client_request, const char *bytes,
                                 size_t *len)
{
    client_request->downstream->busy = true;
    client_request->downstream->more_body |= *len >= LARGE_PIECE;
    client_request->touched = client_request->downstream->now;
    *len -= client_request->downstream->handler->body(client_request->object, bytes, *len);
    if (*len > 0 && !client_request->aborted)
        client_request_suspend(client_request);
    return client_request->aborted ? MHD_NO : MHD_YES;
}

static void end_body(struct client_request *client_request)
{
    client_request->downstream->busy = true;
    client_request->downstream->more_body = false;
    client_request->body_ended = true;
    client_request->downstream->handler->body_end(client_request->object);
}

/*
 * libmicrohttpd asks for all answers that are awaited so whenever it runs, and cannot tell
 * meanwhile when it wants to run next, as it does while it passes on what belongs to upgraded
 * connections.
 */
static bool is_worth_asking(const struct client_request *client_request)
{
    const struct downstream *downstream = client_request->downstream;
    if (client_request->asked == 0)
        return client_request->soon && downstream->paired_count == 0;
    return client_request->asked < ASKED_IN_VAIN &&
           monotonic_elapsed(client_request->touched, downstream->now) <
               ASKING_MILLISECONDS * NANOSECONDS_PER_MILLISECOND;
}

/*
 * To suspend a connection and to resume it costs several system calls, to be asked in vain next to
 * nothing.
 */
static void wait_for_answer(struct client_request *client_request)
{
    struct downstream *downstream = client_request->downstream;
    if (!is_worth_asking(client_request)) {
        end_asking(client_request);
        client_request_suspend(client_request);
    } else if (client_request->asked++ == 0) {
        downstream->asked_count++;
        client_request->touched = downstream->now;
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
    struct client_request *client_request = *context;
    if (client_request == NULL)
        return begin_request(user, connection, method, version, context);
    if (client_request->aborted)
        return MHD_NO;
    if (client_request->awaits_leave)
        return end_wait_for_leave(client_request);
    if (*upload_len > 0)
        return take_body(client_request, upload, upload_len);
    if (!client_request->body_ended)
        end_body(client_request);
    if (client_request->aborted || client_request->answered)
        return MHD_NO;
    if (!client_request->ready) {
        wait_for_answer(client_request);
        return MHD_YES;
    }
    end_asking(client_request);
    return client_request_queue_answer(client_request);
}

void request_completed(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code)
{
    struct downstream *downstream = user;
    struct client_request *client_request = *context;
    struct client *client = connection_client(connection);
    bool detached = client_request != NULL && client_request->file >= 0;
    if (client_request != NULL && client_request->corked &&
        code == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        client_request_uncork(client_request);
    if (client_request != NULL && !detached)
        client_request_destroy(client_request);
    if (client != NULL && !detached)
        client_begin_wait(client, downstream->now, downstream->idle_timeout_ms);
    *context = NULL;
}

void client_request_suspend(struct client_request *client_request)
{
    client_request->suspended = true;
    client_request->touched = client_request->downstream->now;
    MHD_suspend_connection(client_request->connection);
}

void client_request_expect_soon(struct client_request *client_request)
{
    client_request->soon = true;
}

void client_request_withhold_leave(struct client_request *client_request)
{
    client_request->awaits_leave = true;
}

static void resume(struct client_request *client_request)
{
    if (!client_request->suspended)
        return;
    client_request_end_watch(client_request);
    client_request->suspended = false;
    client_request->downstream->needs_run = true;
    MHD_resume_connection(client_request->connection);
}

void client_request_give_leave(struct client_request *client_request)
{
    if (client_request->awaits_leave)
        resume(client_request);
}

/* Room for more of a body is no leave to send it. */
void client_request_resume(struct client_request *client_request)
{
    if (client_request->asked > 0)
        client_request->downstream->has_answers = true;
    if (!client_request->awaits_leave || client_request->ready || client_request->aborted)
        resume(client_request);
}

void client_request_end_watch(struct client_request *client_request)
{
    if (client_request->watched)
        loop_forget(client_request->downstream->loop,
                    connection_socket(client_request->connection));
    client_request->watched = false;
}

static void on_watch(void *user, uint32_t events)
{
    (void)events;
    struct client_request *client_request = user;
    client_request_end_watch(client_request);
    client_request->gone = true;
    client_request->downstream->handler->gone(client_request->object);
}

/*
 * libmicrohttpd does not look at the socket of a suspended connection. A closed sending side counts
 * as leaving only once the request is whole: before that, bytes may still lie there unread.
 */
static void begin_watch(struct client_request *client_request)
{
    int file = connection_socket(client_request->connection);
    uint32_t events =
        (client_request->body_ended ? (uint32_t)EPOLLRDHUP : 0) | (uint32_t)EPOLLONESHOT;
    client_request->watch = (struct loop_source){on_watch, client_request};
    if (file < 0 ||
        !loop_watch(client_request->downstream->loop, file, events, &client_request->watch))
        return;
    client_request->watched = true;
    connection_keep_alive(file);
}

void requests_look_after(struct downstream *downstream, monotonic_time now)
{
    for (struct client_request *client_request = downstream->requests; client_request != NULL;
         client_request = client_request->next) {
        if (monotonic_elapsed(client_request->touched, now) < PATIENCE_NANOSECONDS)
            continue;
        client_request_give_leave(client_request);
        if (client_request->suspended && !client_request->watched && !client_request->gone)
            begin_watch(client_request);
        else if (!client_request->suspended && !client_request->body_ended)
            connection_look_after(client_request->connection);
    }
}

void client_request_abort(struct client_request *client_request)
{
    client_request->aborted = true;
    if (client_request->file >= 0)
        client_request->downstream->upgraded_ended = true;
    if (client_request->upgrade != NULL || client_request->file >= 0)
        upgrade_end(client_request);
    client_request_resume(client_request);
}
