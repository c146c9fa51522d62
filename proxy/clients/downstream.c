#include "proxy/clients/downstream_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proxy/clients/acceptor.h"
#include "proxy/http/validation.h"

/* What libmicrohttpd takes for a connection beside the memory that it is told to. */
#define LIBRARY_COST ((size_t)1024)

#define PIECES_A_RUN 6

static void downstream_on_ready(void *user, uint32_t events)
{
    (void)events;
    struct downstream *downstream = user;
    downstream->needs_run = true;
}

/* Nothing here reads decoded targets, so none is decoded. */
static size_t leave_escaped(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return strlen(text);
}

bool downstream_copies_cookies(void)
{
    return MHD_is_feature_supported(MHD_FEATURE_HTTPS_COOKIE_PARSING) == MHD_YES;
}

/*
 * Of a connection. What heads are counted with leaves room for what is added to them. With the
 * block's own head, it then fits into whole pages.
 */
static size_t memory_for(size_t max_head)
{
    size_t cookies = downstream_copies_cookies() ? VALIDATION_COOKIE_ROOM(max_head) : 0;
    return max_head + cookies + VALIDATION_ANSWER_ROOM - LIBRARY_COST;
}

/* With its thread safety, libmicrohttpd would wake itself up on each resume. */
static struct MHD_Daemon *start_daemon(struct downstream *downstream,
                                       const struct downstream_settings *settings, int listener)
{
    /* The list of options ends where the first for TLS would be, without TLS. */
    bool tls = settings->keypairs != NULL;
    bool accepts = !settings->proxy_protocol && settings->passthrough == NULL;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_THREAD_SAFETY | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_ALLOW_UPGRADE | MHD_USE_SUPPRESS_DATE_NO_CLOCK | (tls ? MHD_USE_TLS : 0) |
                     (accepts ? 0 : MHD_USE_NO_LISTEN_SOCKET);
    const struct MHD_OptionItem listening[] = {
        {accepts ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_END, listener, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    unsigned idle_seconds = (unsigned)(settings->idle_timeout_ms / 1000);
    return MHD_start_daemon(
        flags, 0, NULL, NULL, request_access, downstream, MHD_OPTION_ARRAY, listening,
        MHD_OPTION_CONNECTION_LIMIT, settings->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        idle_seconds, MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory_for(settings->max_head),
        MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1,
        MHD_OPTION_URI_LOG_CALLBACK, connection_take_target, NULL, MHD_OPTION_UNESCAPE_CALLBACK,
        leave_escaped, NULL, MHD_OPTION_NOTIFY_CONNECTION, connection_notify, downstream,
        MHD_OPTION_NOTIFY_COMPLETED, request_completed, downstream,
        tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, connection_show_nothing,
        MHD_OPTION_HTTPS_PRIORITIES, keypair_priorities, MHD_OPTION_END);
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

/*
 * Lets `listener` be accepted from, by libmicrohttpd or by an acceptor. False where it is closed.
 */
static bool downstream_start(struct downstream *downstream,
                             const struct downstream_settings *settings, int listener)
{
    downstream->daemon = start_daemon(downstream, settings, listener);
    if (downstream->daemon == NULL) {
        close(listener);
        return false;
    }
    if (!settings->proxy_protocol && settings->passthrough == NULL)
        return true;
    const struct acceptor_settings acceptor = {.proxy_protocol = settings->proxy_protocol,
                                               .trusted = settings->trusted,
                                               .passthrough = settings->passthrough,
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
                                      .source = {downstream_on_ready, downstream},
                                      .keypairs = settings->keypairs,
                                      .trusted = settings->trusted,
                                      .ids = request_ids_begin(clock_monotonic()),
                                      .header_timeout_ms = settings->header_timeout_ms,
                                      .idle_timeout_ms = settings->idle_timeout_ms,
                                      .max_connections = settings->max_connections,
                                      .makes_room = settings->makes_room,
                                      .metrics = settings->metrics,
                                      .handler = handler,
                                      .user = user,
                                      .needs_run = true,
                                      .upgraded_limit = settings->max_upgraded,
                                      .due = MONOTONIC_NEVER};
    if (!downstream_start(downstream, settings, listener)) {
        downstream_destroy(downstream);
        return NULL;
    }
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(downstream->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || !loop_watch(loop, info->epoll_fd, EPOLLIN, &downstream->source)) {
        downstream_destroy(downstream);
        return NULL;
    }
    return downstream;
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
    upgrades_destroy_ended(downstream);
    MHD_stop_daemon(downstream->daemon);
    arena_spares_clear(&downstream->spares);
    free(downstream);
}

monotonic_time downstream_due(const struct downstream *downstream)
{
    return downstream->needs_run || downstream->has_answers ? downstream->now : downstream->due;
}

/*
 * libmicrohttpd is never done with answers that it asks for. What else it has to do ends with a run
 * that was of no use to anyone; then it may rest. So it may after a run that was only for answers
 * which were sent whole: nothing is left of these, and what clients send is told by the loop.
 */
static monotonic_time next_due(const struct downstream *downstream)
{
    uint64_t milliseconds;
    if (MHD_get_timeout64(downstream->daemon, &milliseconds) != MHD_YES)
        return MONOTONIC_NEVER;
    if (milliseconds == 0 && downstream->asked_count > 0 && downstream->paired_count == 0 &&
        !downstream->busy)
        milliseconds = ASKING_MILLISECONDS;
    return monotonic_after(downstream->now, (int64_t)milliseconds);
}

/*
 * Each run reads what the memory of a connection takes, of each. Where that was all of it, and a
 * part of a body, a few more of these make one larger piece for the server.
 */
static void run_daemon(struct downstream *downstream)
{
    for (int i = 0; i < PIECES_A_RUN; i++) {
        downstream->more_body = false;
        MHD_run(downstream->daemon);
        if (!downstream->more_body)
            return;
    }
}

void downstream_run(struct downstream *downstream, monotonic_time now)
{
    if (!downstream->needs_run && !downstream->has_answers &&
        !monotonic_reached(downstream->due, now))
        return;
    downstream->now = now;
    downstream->busy = downstream->needs_run;
    downstream->needs_run = false;
    downstream->has_answers = false;
    run_daemon(downstream);
    upgrades_destroy_ended(downstream);
    if (downstream->clients_left)
        upgrades_hand_on_leaving(downstream);
    downstream->due = next_due(downstream);
}

void downstream_tick(struct downstream *downstream)
{
    monotonic_time now = clock_monotonic();
    clients_look_after(downstream, now);
    if (downstream->clients_left)
        upgrades_hand_on_leaving(downstream);
    if (downstream->acceptor != NULL)
        acceptor_tick(downstream->acceptor);
    requests_look_after(downstream, now);
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
    clients_shut_idle(downstream);
    downstream->needs_run = true;
}

void downstream_abort(struct downstream *downstream)
{
    for (struct client_request *client_request = downstream->requests; client_request != NULL;
         client_request = client_request->next)
        client_request_abort(client_request);
}

size_t downstream_open_connections(const struct downstream *downstream)
{
    return downstream->client_count;
}

size_t downstream_open_requests(const struct downstream *downstream)
{
    return downstream->request_count;
}
