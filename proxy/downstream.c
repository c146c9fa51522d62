#include "proxy/downstream.h"

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/acceptor.h"
#include "proxy/metrics.h"
#include "proxy/raw_answer.h"

/* Header fields of a request or an answer must fit into it, and an upload is read in its pieces. */
#define CONNECTION_MEMORY ((size_t)65536)
#define STREAM_BLOCK ((size_t)32768)
/* How long a request is idle before its client's presence is looked after. */
#define PATIENCE_NANOSECONDS NANOSECONDS_PER_SECOND

struct downstream {
    struct MHD_Daemon *daemon;
    struct acceptor *acceptor; /* NULL while libmicrohttpd accepts by itself */
    struct loop *loop;
    struct loop_source source;
    int epoll; /* libmicrohttpd's own */
    struct keypair_store *keypairs;
    const struct network_list *trusted;
    const struct downstream_handler *handler;
    void *user;
    bool needs_run;
    bool draining;
    bool ending; /* no request is taken any more */
    monotonic_time due;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    size_t max_connections;
    struct client *clients;
    size_t client_count;
    struct metrics *metrics;
    struct incoming *requests;
    size_t request_count;
    size_t upgraded_limit;
    size_t upgraded_count; /* requests with a file of their own */
    bool upgraded_ended;   /* one of them was aborted */
    bool clients_left;     /* one with a pair has, see hand_on_leaving() */
};

/* One connection's own. */
struct client {
    struct downstream *downstream;
    struct client *next; /* in downstream->clients */
    struct client *previous;
    struct MHD_Connection *connection;
    /* When the next request's head must have come; MONOTONIC_NEVER while a request is under way. */
    monotonic_time head_due;
    struct keypair *keypair; /* that its TLS uses; NULL without TLS */
    char peer[NETWORK_ADDRESS_TEXT_SIZE];
    char *target;
    size_t target_len;
    size_t target_capacity;
};

struct incoming {
    struct downstream *downstream;
    struct incoming *next; /* in downstream->requests */
    struct incoming *previous;
    struct MHD_Connection *connection;
    struct arena arena;
    struct arrival arrival;
    void *object;
    bool body_ended;
    bool in_head; /* head() is being called */
    bool ready;
    bool answered; /* while the body still came */
    bool aborted;
    bool suspended;
    monotonic_time touched; /* when it was suspended, or its body last came */
    struct loop_source watch;
    bool watched;                              /* its socket is in the loop */
    bool gone;                                 /* gone() was called */
    struct MHD_UpgradeResponseHandle *upgrade; /* the connection is the handler's */
    int file;  /* an upgraded connection that libmicrohttpd knows no more; else -1 */
    int pair;  /* the handler's end of the pair that stands for a connection with TLS; else -1 */
    bool left; /* that connection's client has left */
};

/* ---- suspending and resuming ---- */

static int socket_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static void suspend(struct incoming *incoming)
{
    incoming->suspended = true;
    incoming->touched = clock_monotonic();
    MHD_suspend_connection(incoming->connection);
}

static void end_watch(struct incoming *incoming)
{
    if (incoming->watched)
        loop_forget(incoming->downstream->loop, socket_of(incoming->connection));
    incoming->watched = false;
}

static void resume(struct incoming *incoming)
{
    if (!incoming->suspended)
        return;
    end_watch(incoming);
    incoming->suspended = false;
    incoming->downstream->needs_run = true;
    MHD_resume_connection(incoming->connection);
}

static void on_watch(void *user, uint32_t events)
{
    (void)events;
    struct incoming *incoming = user;
    end_watch(incoming);
    incoming->gone = true;
    incoming->downstream->handler->gone(incoming->object);
}

/* A dead client's host would otherwise hold a stream for ever. */
static void keep_alive(int file)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(file, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/*
 * libmicrohttpd does not look at the socket of a suspended connection. A closed sending side counts
 * as leaving only once the request is whole: before that, bytes may still lie there unread.
 */
static void begin_watch(struct incoming *incoming)
{
    int file = socket_of(incoming->connection);
    uint32_t events = (incoming->body_ended ? (uint32_t)EPOLLRDHUP : 0) | (uint32_t)EPOLLONESHOT;
    incoming->watch = (struct loop_source){on_watch, incoming};
    if (file < 0 || !loop_watch(incoming->downstream->loop, file, events, &incoming->watch))
        return;
    incoming->watched = true;
    keep_alive(file);
}

/*
 * libmicrohttpd misses the end of a connection that came together with the last bytes of it: it
 * waits for an edge that has been. Shutting the socket down makes it look again.
 */
static void look_after_sender(struct incoming *incoming)
{
    char byte;
    int file = socket_of(incoming->connection);
    if (file >= 0 && recv(file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        shutdown(file, SHUT_RDWR);
}

/*
 * libmicrohttpd's own limit is on silence, so that a byte now and then would keep a connection for
 * ever; and before a head is whole it has no request to show.
 */
static void cut_slow_heads(struct downstream *downstream, monotonic_time now)
{
    for (struct client *client = downstream->clients; client != NULL; client = client->next) {
        if (client->head_due.nanoseconds > now.nanoseconds)
            continue;
        client->head_due = MONOTONIC_NEVER;
        shutdown(socket_of(client->connection), SHUT_RDWR);
    }
}

static void hand_on_leaving(struct downstream *downstream);

void downstream_tick(struct downstream *downstream)
{
    monotonic_time now = clock_monotonic();
    cut_slow_heads(downstream, now);
    if (downstream->clients_left)
        hand_on_leaving(downstream);
    if (downstream->acceptor != NULL)
        acceptor_tick(downstream->acceptor);
    for (struct incoming *incoming = downstream->requests; incoming != NULL;
         incoming = incoming->next) {
        if (monotonic_elapsed(incoming->touched, now) < PATIENCE_NANOSECONDS)
            continue;
        if (incoming->suspended && !incoming->watched && !incoming->gone)
            begin_watch(incoming);
        else if (!incoming->suspended && !incoming->body_ended)
            look_after_sender(incoming);
    }
}

struct arena *incoming_arena(struct incoming *incoming)
{
    return &incoming->arena;
}

static const char *reason_of(unsigned status)
{
    const char *reason = MHD_get_reason_phrase_for(status);
    return reason == NULL ? "" : reason;
}

/* A gnutls_session_t; NULL without TLS. */
static void *tls_session_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info == NULL ? NULL : info->tls_session;
}

/* libmicrohttpd must have nothing of its own to write. */
static enum raw_result write_past_library(struct incoming *incoming, const struct buffer *bytes)
{
    int file = socket_of(incoming->connection);
    void *session = tls_session_of(incoming->connection);
    if (file < 0)
        return RAW_UNSENT;
    return session == NULL ? raw_answer_send(file, bytes) : raw_answer_send_tls(session, bytes);
}

void incoming_interim(struct incoming *incoming, unsigned status, const struct field_list *fields)
{
    struct buffer bytes = BUFFER_EMPTY;
    if (strcmp(incoming->arrival.version, "1.0") == 0 || incoming->ready || incoming->aborted)
        return;
    if (raw_answer_interim(status, reason_of(status), fields, &bytes) &&
        write_past_library(incoming, &bytes) == RAW_BROKEN)
        incoming_abort(incoming);
    buffer_clear(&bytes);
}

/*
 * What still comes of the body is read and dropped after it: a socket that is closed with bytes
 * unread takes the answer back.
 */
static void answer_early(struct incoming *incoming)
{
    struct answer answer = {0};
    struct buffer bytes = BUFFER_EMPTY;
    if (incoming->downstream->handler->answer(incoming->object, &answer) &&
        answer.kind != ANSWER_STREAM && answer.kind != ANSWER_UPGRADE &&
        raw_answer_last(&answer, reason_of(answer.status), &bytes)) {
        enum raw_result result = write_past_library(incoming, &bytes);
        incoming->answered = result == RAW_SENT;
        if (result == RAW_SENT)
            raw_answer_end(socket_of(incoming->connection), tls_session_of(incoming->connection));
        else if (result == RAW_BROKEN)
            incoming_abort(incoming);
    }
    buffer_clear(&bytes);
}

void incoming_ready(struct incoming *incoming)
{
    incoming->ready = true;
    if (!incoming->in_head && !incoming->body_ended && !incoming->answered && !incoming->aborted)
        answer_early(incoming);
    resume(incoming);
}

void incoming_resume(struct incoming *incoming)
{
    resume(incoming);
}

static void end_upgrade(struct incoming *incoming)
{
    if (incoming->upgrade != NULL)
        MHD_upgrade_action(incoming->upgrade, MHD_UPGRADE_ACTION_CLOSE);
    incoming->upgrade = NULL;
    incoming->downstream->needs_run = true;
}

void incoming_abort(struct incoming *incoming)
{
    incoming->aborted = true;
    if (incoming->file >= 0)
        incoming->downstream->upgraded_ended = true;
    if (incoming->upgrade != NULL || incoming->file >= 0)
        end_upgrade(incoming);
    resume(incoming);
}

bool incoming_end(struct incoming *incoming)
{
    return incoming->file >= 0 && shutdown(incoming->file, SHUT_WR) == 0;
}

/* ---- connections ---- */

static void format_peer(const struct sockaddr *address, char peer[static NETWORK_ADDRESS_TEXT_SIZE])
{
    struct network_address plain;
    if (network_address_of(address, &plain))
        network_address_write(&plain, peer);
    else
        strcpy(peer, "unknown");
}

static void show_keypair(struct client *client)
{
    void *session = tls_session_of(client->connection);
    if (session == NULL)
        return;
    client->keypair = keypair_take(client->downstream->keypairs);
    keypair_show(client->keypair, session);
}

/* Every connection is shown its pair, but for those that are closed for want of memory. */
static int show_nothing(gnutls_session_t session, const gnutls_datum_t *authorities,
                        int authority_count, const gnutls_pk_algorithm_t *algorithms,
                        int algorithm_count, gnutls_pcert_st **certificates,
                        unsigned int *certificate_count, gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)certificates;
    (void)certificate_count;
    (void)key;
    return -1;
}

static struct client *client_create(struct downstream *downstream,
                                    struct MHD_Connection *connection)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->downstream = downstream;
    client->connection = connection;
    client->head_due = monotonic_after(clock_monotonic(), downstream->header_timeout_ms);
    client->next = downstream->clients;
    if (client->next != NULL)
        client->next->previous = client;
    downstream->clients = client;
    downstream->client_count++;
    metrics_connection_opened(downstream->metrics);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr != NULL)
        format_peer(info->client_addr, client->peer);
    if (downstream->keypairs != NULL)
        show_keypair(client);
    return client;
}

/* At its limit of connections libmicrohttpd looks at its listening socket only in a later run. */
static void client_destroy(struct client *client)
{
    struct downstream *downstream = client->downstream;
    downstream->needs_run = true;
    downstream->client_count--;
    metrics_connection_closed(downstream->metrics);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        downstream->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    keypair_release(client->keypair);
    free(client->target);
    free(client);
    if (downstream->acceptor != NULL)
        acceptor_resume(downstream->acceptor);
}

static void on_connection(void *user, struct MHD_Connection *connection, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = client_create(user, connection);
        return;
    }
    if (*context != NULL)
        client_destroy(*context);
    *context = NULL;
}

static struct client *client_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

/*
 * The only sight of the raw target: libmicrohttpd decodes it in place afterwards. It is kept with
 * the connection, since not every request that comes so far reaches the handler and its end.
 */
static void *on_target(void *user, const char *target, struct MHD_Connection *connection)
{
    (void)user;
    struct client *client = client_of(connection);
    if (client == NULL)
        return NULL;
    size_t len = strlen(target);
    if (len + 1 > client->target_capacity) {
        char *bytes = realloc(client->target, len + 1);
        client->target_len = 0;
        if (bytes == NULL)
            return NULL;
        client->target = bytes;
        client->target_capacity = len + 1;
    }
    memcpy(client->target, target, len + 1);
    client->target_len = len;
    return NULL;
}

/* Nothing here reads decoded targets, so none is decoded. */
static size_t leave_escaped(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return strlen(text);
}

/* ---- requests ---- */

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
    struct field_list *list = &incoming->arrival.fields;
    list->fields = arena_alloc(&incoming->arena, count * sizeof *list->fields);
    if (list->fields == NULL)
        return false;
    MHD_get_connection_values_n(incoming->connection, MHD_HEADER_KIND, add_field, list);
    return true;
}

/* Who the client is; false when memory runs out. */
static bool read_origin(struct incoming *incoming, const struct client *client)
{
    const struct downstream *downstream = incoming->downstream;
    const struct forwarding_source source = {
        .peer = client->peer,
        .scheme = downstream->keypairs == NULL ? "http" : "https",
        .version = incoming->arrival.version,
        .trusted = downstream->trusted,
    };
    struct arrival *arrival = &incoming->arrival;
    if (!forwarding_read(&source, &arrival->fields, &incoming->arena, &arrival->from))
        return false;
    arrival->peer = arrival->from.client;
    return true;
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
    struct client *client = client_of(connection);
    if (client == NULL || client->target_len == 0)
        return NULL;
    struct incoming *incoming = calloc(1, sizeof *incoming);
    if (incoming == NULL)
        return NULL;
    incoming->downstream = downstream;
    incoming->connection = connection;
    incoming->file = -1;
    incoming->pair = -1;
    incoming->arrival.method = method;
    incoming->arrival.version = strcmp(version, "HTTP/1.0") == 0 ? "1.0" : "1.1";
    incoming->arrival.target_len = client->target_len;
    incoming->arrival.target = arena_copy(&incoming->arena, client->target, client->target_len);
    if (incoming->arrival.target == NULL || !collect_fields(incoming) ||
        !read_origin(incoming, client)) {
        arena_clear(&incoming->arena);
        free(incoming);
        return NULL;
    }
    link_incoming(incoming);
    client->head_due = MONOTONIC_NEVER;
    return incoming;
}

static void incoming_destroy(struct incoming *incoming)
{
    end_watch(incoming);
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

static void on_completed(void *user, struct MHD_Connection *connection, void **context,
                         enum MHD_RequestTerminationCode code)
{
    (void)code;
    const struct downstream *downstream = user;
    struct incoming *incoming = *context;
    struct client *client = client_of(connection);
    bool detached = incoming != NULL && incoming->file >= 0;
    if (incoming != NULL && !detached)
        incoming_destroy(incoming);
    if (client != NULL && !detached)
        client->head_due = monotonic_after(clock_monotonic(), downstream->idle_timeout_ms);
    *context = NULL;
}

/* ---- answers ---- */

static ssize_t on_content(void *user, uint64_t position, char *into, size_t max)
{
    (void)position;
    struct incoming *incoming = user;
    if (incoming->aborted)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t len = 0;
    switch (incoming->downstream->handler->content(incoming->object, into, max, &len)) {
    case CONTENT_BYTES:
        return (ssize_t)len;
    case CONTENT_LATER:
        suspend(incoming);
        return 0;
    case CONTENT_END:
        return MHD_CONTENT_READER_END_OF_STREAM;
    case CONTENT_FAIL:
        break;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static bool keep_text(struct arena *arena, const char **text)
{
    if (*text != NULL)
        *text = arena_copy(arena, *text, strlen(*text));
    return *text != NULL;
}

/* The request's strings are libmicrohttpd's until now. */
static bool keep_arrival(struct incoming *incoming)
{
    struct arrival *arrival = &incoming->arrival;
    struct arena *arena = &incoming->arena;
    bool kept = keep_text(arena, &arrival->method) && keep_text(arena, &arrival->from.client) &&
                keep_text(arena, &arrival->from.hops) && keep_text(arena, &arrival->from.scheme) &&
                (arrival->from.host == NULL || keep_text(arena, &arrival->from.host));
    arrival->peer = arrival->from.client;
    for (size_t i = 0; kept && i < arrival->fields.count; i++) {
        struct field *field = &arrival->fields.fields[i];
        field->name = arena_copy(arena, field->name, field->name_len);
        field->value = arena_copy(arena, field->value, field->value_len);
        kept = field->name != NULL && field->value != NULL;
    }
    return kept;
}

/*
 * An upgraded connection may be idle for hours, and libmicrohttpd would keep a request's 64 KiB for
 * it. So it is taken from there altogether, unless it is encrypted: then libmicrohttpd has given
 * out one end of a pair, and must go on with the other.
 */
static void detach(struct incoming *incoming, int file)
{
    if (file != socket_of(incoming->connection))
        return;
    incoming->file = fcntl(file, F_DUPFD_CLOEXEC, 0);
    if (incoming->file < 0)
        return;
    incoming->downstream->upgraded_count++;
    end_upgrade(incoming);
}

static void on_leaving(void *user, uint32_t events)
{
    (void)events;
    struct incoming *incoming = user;
    end_watch(incoming);
    incoming->left = true;
    incoming->downstream->clients_left = true;
    incoming->downstream->needs_run = true;
}

/*
 * libmicrohttpd hands on what a client behind TLS sends, but not that it has left. Once all of that
 * is through, the handler's end of the pair is shut for reading, so that the end is read there.
 */
static void hand_on_leaving(struct downstream *downstream)
{
    bool still_left = false;
    for (struct incoming *incoming = downstream->requests; incoming != NULL;
         incoming = incoming->next) {
        int unread = 0;
        int unheard = 0;
        if (!incoming->left || incoming->pair < 0 || incoming->upgrade == NULL)
            continue;
        ioctl(socket_of(incoming->connection), FIONREAD, &unread);
        ioctl(incoming->pair, FIONREAD, &unheard);
        if (unread > 0 || unheard > 0) {
            still_left = true;
            continue;
        }
        shutdown(incoming->pair, SHUT_RD);
        incoming->pair = -1;
    }
    downstream->clients_left = still_left;
}

static void watch_for_leaving(struct incoming *incoming, int pair)
{
    int file = socket_of(incoming->connection);
    uint32_t events = (uint32_t)EPOLLRDHUP | (uint32_t)EPOLLONESHOT;
    incoming->pair = pair;
    incoming->watch = (struct loop_source){on_leaving, incoming};
    incoming->watched =
        file >= 0 && loop_watch(incoming->downstream->loop, file, events, &incoming->watch);
}

static void on_upgraded(void *user, struct MHD_Connection *connection, void *context,
                        const char *early, size_t early_len, MHD_socket file,
                        struct MHD_UpgradeResponseHandle *upgrade)
{
    (void)context;
    struct incoming *incoming = user;
    bool kept = keep_arrival(incoming);
    incoming->upgrade = upgrade;
    keep_alive(socket_of(connection));
    /* Frames are written when they are there to be read; none is to wait for another's arrival. */
    setsockopt(socket_of(connection), IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    detach(incoming, file);
    if (incoming->file < 0)
        watch_for_leaving(incoming, file);
    incoming->downstream->handler->upgraded(
        incoming->object, incoming->file >= 0 ? incoming->file : file, early, early_len);
    if (!kept)
        incoming_abort(incoming);
}

static struct MHD_Response *create_response(struct incoming *incoming, const struct answer *answer)
{
    uint64_t len = answer->len == LENGTH_UNKNOWN ? MHD_SIZE_UNKNOWN : answer->len;
    switch (answer->kind) {
    case ANSWER_EMPTY:
        return MHD_create_response_empty((enum MHD_ResponseFlags)(
            MHD_RF_HEAD_ONLY_RESPONSE | MHD_RF_INSANITY_HEADER_CONTENT_LENGTH));
    case ANSWER_WHOLE:
        return MHD_create_response_from_buffer_static(answer->len, answer->body);
    case ANSWER_STREAM:
        return MHD_create_response_from_callback(len, STREAM_BLOCK, on_content, incoming, NULL);
    case ANSWER_UPGRADE:
        return MHD_create_response_for_upgrade(on_upgraded, incoming);
    }
    return NULL;
}

/*
 * libmicrohttpd would put Content-Length last; with this flag it stays where the server had it.
 * It takes no field without a value, but one of a blank, which is the same (RFC 9112, section 5.1).
 */
static bool add_fields(struct MHD_Response *response, const struct answer *answer)
{
    if (answer->kind != ANSWER_UPGRADE)
        MHD_set_response_options(response, MHD_RF_INSANITY_HEADER_CONTENT_LENGTH, MHD_RO_END);
    if (answer->kind == ANSWER_EMPTY)
        MHD_set_response_options(response,
                                 (enum MHD_ResponseFlags)(MHD_RF_HEAD_ONLY_RESPONSE |
                                                          MHD_RF_INSANITY_HEADER_CONTENT_LENGTH),
                                 MHD_RO_END);
    for (size_t i = 0; i < answer->fields.count; i++) {
        const struct field *field = &answer->fields.fields[i];
        const char *value = field->value_len > 0 ? field->value : " ";
        if (MHD_add_response_header(response, field->name, value) != MHD_YES)
            return false;
    }
    return !answer->close || MHD_add_response_header(response, "Connection", "close") == MHD_YES;
}

static enum MHD_Result queue_answer(struct incoming *incoming)
{
    struct answer answer = {0};
    if (!incoming->downstream->handler->answer(incoming->object, &answer))
        return MHD_NO;
    if (answer.kind == ANSWER_UPGRADE &&
        incoming->downstream->upgraded_count >= incoming->downstream->upgraded_limit)
        return MHD_NO;
    answer.close =
        answer.kind != ANSWER_UPGRADE && (answer.close || incoming->downstream->draining);
    struct MHD_Response *response = create_response(incoming, &answer);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (add_fields(response, &answer))
        result = MHD_queue_response(incoming->connection, answer.status, response);
    MHD_destroy_response(response);
    return result;
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
    incoming->in_head = true;
    incoming->object = downstream->handler->head(downstream->user, incoming, &incoming->arrival);
    incoming->in_head = false;
    if (incoming->object == NULL)
        return MHD_NO;
    return incoming->ready ? queue_answer(incoming) : MHD_YES;
}

/*
 * libmicrohttpd calls this for the head, for every piece of the body, and for its end; after a
 * resume, again for where it was suspended.
 */
static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_len, void **context)
{
    (void)url;
    struct incoming *incoming = *context;
    if (incoming == NULL)
        return begin_request(user, connection, method, version, context);
    if (incoming->aborted)
        return MHD_NO;
    const struct downstream_handler *handler = incoming->downstream->handler;
    incoming->touched = clock_monotonic();
    if (*upload_len > 0) {
        *upload_len -= handler->body(incoming->object, upload, *upload_len);
        if (*upload_len > 0 && !incoming->aborted)
            suspend(incoming);
        return incoming->aborted ? MHD_NO : MHD_YES;
    }
    if (!incoming->body_ended) {
        incoming->body_ended = true;
        handler->body_end(incoming->object);
    }
    if (incoming->aborted || incoming->answered)
        return MHD_NO;
    if (incoming->ready)
        return queue_answer(incoming);
    suspend(incoming);
    return MHD_YES;
}

/* ---- the whole ---- */

static void on_ready(void *user, uint32_t events)
{
    (void)events;
    struct downstream *downstream = user;
    downstream->needs_run = true;
}

static struct MHD_Daemon *start_daemon(struct downstream *downstream,
                                       const struct downstream_settings *settings, int listener)
{
    /* The list of options ends where the first for TLS would be, without TLS. */
    bool tls = settings->keypairs != NULL;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK | (tls ? MHD_USE_TLS : 0) |
                     (settings->proxy_protocol ? MHD_USE_NO_LISTEN_SOCKET : 0);
    const struct MHD_OptionItem listening[] = {
        {settings->proxy_protocol ? MHD_OPTION_END : MHD_OPTION_LISTEN_SOCKET, listener, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned idle_seconds = (unsigned)(settings->idle_timeout_ms / 1000);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, downstream, MHD_OPTION_ARRAY, listening,
        MHD_OPTION_CONNECTION_LIMIT, settings->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped,
        NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, downstream, MHD_OPTION_NOTIFY_COMPLETED,
        on_completed, downstream, tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END,
        show_nothing, MHD_OPTION_HTTPS_PRIORITIES, keypair_priorities, MHD_OPTION_END);
}

static bool has_room(void *user, size_t waiting)
{
    const struct downstream *downstream = user;
    return downstream->client_count + waiting < downstream->max_connections;
}

/* libmicrohttpd closes the file where it does not take it. */
static void on_accepted(void *user, int file, const struct sockaddr *address, socklen_t len)
{
    struct downstream *downstream = user;
    MHD_add_connection(downstream->daemon, file, address, len);
    downstream->needs_run = true;
}

static const struct acceptor_handler acceptor_handler = {
    .has_room = has_room,
    .accepted = on_accepted,
};

/* Lets `listener` be accepted from, by libmicrohttpd or by an acceptor. False where it is closed.
 */
static bool start(struct downstream *downstream, const struct downstream_settings *settings,
                  int listener)
{
    downstream->daemon = start_daemon(downstream, settings, listener);
    if (downstream->daemon == NULL) {
        close(listener);
        return false;
    }
    if (!settings->proxy_protocol)
        return true;
    const struct acceptor_settings acceptor = {.trusted = settings->trusted,
                                               .log = settings->log,
                                               .header_timeout_ms = settings->header_timeout_ms};
    downstream->acceptor =
        acceptor_create(&acceptor, listener, downstream->loop, &acceptor_handler, downstream);
    return downstream->acceptor != NULL;
}

struct downstream *downstream_create(const struct downstream_settings *settings, int listener,
                                     struct loop *loop, const struct downstream_handler *handler,
                                     void *user)
{
    struct downstream *downstream = calloc(1, sizeof *downstream);
    if (downstream == NULL) {
        close(listener);
        return NULL;
    }
    *downstream = (struct downstream){.loop = loop,
                                      .source = {on_ready, downstream},
                                      .keypairs = settings->keypairs,
                                      .trusted = settings->trusted,
                                      .header_timeout_ms = settings->header_timeout_ms,
                                      .idle_timeout_ms = settings->idle_timeout_ms,
                                      .max_connections = settings->max_connections,
                                      .metrics = settings->metrics,
                                      .handler = handler,
                                      .user = user,
                                      .needs_run = true,
                                      .upgraded_limit = settings->max_connections,
                                      .due = MONOTONIC_NEVER};
    if (!start(downstream, settings, listener)) {
        downstream_destroy(downstream);
        return NULL;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(downstream->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || !loop_watch(loop, info->epoll_fd, EPOLLIN, &downstream->source)) {
        downstream_destroy(downstream);
        return NULL;
    }
    downstream->epoll = info->epoll_fd;
    return downstream;
}

void downstream_abort(struct downstream *downstream)
{
    for (struct incoming *incoming = downstream->requests; incoming != NULL;
         incoming = incoming->next)
        incoming_abort(incoming);
}

static void destroy_ended_upgraded(struct downstream *downstream)
{
    if (!downstream->upgraded_ended)
        return;
    downstream->upgraded_ended = false;
    struct incoming *next;
    for (struct incoming *incoming = downstream->requests; incoming != NULL; incoming = next) {
        next = incoming->next;
        if (incoming->file >= 0 && incoming->aborted)
            incoming_destroy(incoming);
    }
}

void downstream_destroy(struct downstream *downstream)
{
    if (downstream == NULL)
        return;
    if (downstream->daemon == NULL) {
        free(downstream);
        return;
    }
    /* A daemon must not be stopped while a connection is suspended. */
    downstream->ending = true;
    downstream_drain(downstream);
    downstream_abort(downstream);
    MHD_run(downstream->daemon);
    destroy_ended_upgraded(downstream);
    MHD_stop_daemon(downstream->daemon);
    free(downstream);
}

monotonic_time downstream_due(const struct downstream *downstream)
{
    return downstream->needs_run ? clock_monotonic() : downstream->due;
}

void downstream_run(struct downstream *downstream)
{
    monotonic_time now = clock_monotonic();
    if (!downstream->needs_run && now.nanoseconds < downstream->due.nanoseconds)
        return;
    downstream->needs_run = false;
    MHD_run(downstream->daemon);
    destroy_ended_upgraded(downstream);
    if (downstream->clients_left)
        hand_on_leaving(downstream);
    uint64_t milliseconds;
    bool waits = MHD_get_timeout64(downstream->daemon, &milliseconds) == MHD_YES;
    if (waits && milliseconds == 0)
        downstream->needs_run = true;
    downstream->due = waits ? monotonic_after(now, (int64_t)milliseconds) : MONOTONIC_NEVER;
}

/* Idle connections; those whose next request has begun to come are not. */
static void shut_idle(struct downstream *downstream)
{
    char byte;
    for (struct client *client = downstream->clients; client != NULL; client = client->next) {
        int file = socket_of(client->connection);
        if (client->head_due.nanoseconds != MONOTONIC_NEVER.nanoseconds &&
            recv(file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            shutdown(file, SHUT_RDWR);
    }
}

void downstream_drain(struct downstream *downstream)
{
    if (downstream->draining)
        return;
    /* Whoever is in the queue already is still served. */
    MHD_run(downstream->daemon);
    downstream->draining = true;
    int listener = MHD_quiesce_daemon(downstream->daemon);
    if (listener >= 0)
        close(listener);
    acceptor_destroy(downstream->acceptor);
    downstream->acceptor = NULL;
    shut_idle(downstream);
    downstream->needs_run = true;
}

size_t downstream_open_requests(const struct downstream *downstream)
{
    return downstream->request_count;
}
