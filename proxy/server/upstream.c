#include "proxy/server/upstream_parts.h"

#include <stdlib.h>
#include <string.h>

/* Idle connections to the server that a worker keeps. */
#define IDLE_CONNECTIONS 256L
/* Since then, what a handle has read does not reach into what it reads next. */
#define CURL_KEEPS_HANDLES 0x080101

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
        if (strcmp(method, methods[i]) == 0)
            return true;
    }
    return false;
}

/* ---- transfers ---- */

static void link_live(struct transfer *transfer)
{
    struct upstream *upstream = transfer->upstream;
    transfer->previous = NULL;
    transfer->next = upstream->live;
    if (transfer->next != NULL)
        transfer->next->previous = transfer;
    upstream->live = transfer;
}

static void unlink_live(struct transfer *transfer)
{
    if (transfer->previous != NULL)
        transfer->previous->next = transfer->next;
    else
        transfer->upstream->live = transfer->next;
    if (transfer->next != NULL)
        transfer->next->previous = transfer->previous;
}

static CURL *take_handle(struct upstream *upstream)
{
    return upstream->spare_count > 0 ? upstream->spare[--upstream->spare_count] : curl_easy_init();
}

/*
 * Handles are used again only where nothing has gone wrong. Before 8.1.1 they never are: one that
 * has been reset would still follow a pointer to freed fields when its next answer begins with a
 * folded line.
 */
static void put_handle(struct upstream *upstream, CURL *easy, bool sound)
{
    if (!sound || !upstream->keeps_handles || upstream->spare_count == SPARE_HANDLES) {
        curl_easy_cleanup(easy);
        return;
    }
    curl_easy_reset(easy);
    upstream->spare[upstream->spare_count++] = easy;
}

/* Takes the transfer from curl. `sound`: it has come to its proper end. */
static void release(struct transfer *transfer, bool sound)
{
    curl_multi_remove_handle(transfer->upstream->multi, transfer->easy);
    unlink_live(transfer);
    put_handle(transfer->upstream, transfer->easy, sound && transfer->state == TRANSFER_IN_BODY);
    free(transfer);
}

static struct transfer *transfer_create(struct upstream *upstream,
                                        const struct upstream_request *request,
                                        const struct transfer_handler *handler, void *user)
{
    CURL *easy = take_handle(upstream);
    struct transfer *transfer = easy == NULL ? NULL : malloc(sizeof *transfer);
    if (transfer == NULL) {
        curl_easy_cleanup(easy);
        return NULL;
    }
    *transfer = (struct transfer){
        .upstream = upstream,
        .easy = easy,
        .arena = request->arena,
        .handler = handler,
        .user = user,
        .state = TRANSFER_BEFORE_HEAD,
        .asks_upgrade = request->body_kind == BODY_UPGRADE,
        .paused = CURLPAUSE_CONT,
        .once = request->once,
        .repeatable = request->repeatable || is_idempotent(request->method),
        .whole = request->whole,
        .progress = clock_monotonic(),
    };
    link_live(transfer);
    return transfer;
}

struct transfer *transfer_start(struct upstream *upstream, const struct upstream_request *request,
                                const struct transfer_handler *handler, void *user)
{
    struct transfer *transfer = transfer_create(upstream, request, handler, user);
    if (transfer == NULL)
        return NULL;
    bool fine = transfer_write_request(transfer, request) &&
                curl_multi_add_handle(upstream->multi, transfer->easy) == CURLM_OK;
    if (!fine) {
        release(transfer, false);
        return NULL;
    }
    return transfer;
}

void transfer_hand_over(struct transfer *transfer, const struct transfer_handler *handler,
                        void *user)
{
    transfer->handler = handler;
    transfer->user = user;
}

void transfer_resume(struct transfer *transfer)
{
    if (transfer->paused == CURLPAUSE_CONT)
        return;
    /* The handlers called from within may pause again. */
    transfer->paused = CURLPAUSE_CONT;
    transfer->progress = clock_monotonic();
    curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

void transfer_cancel(struct transfer *transfer)
{
    if (transfer != NULL)
        release(transfer, false);
}

static enum upstream_failure failure_of(const struct transfer *transfer, CURLcode code)
{
    if (transfer->out_of_memory)
        return UPSTREAM_MEMORY;
    switch (code) {
    case CURLE_OK:
        /* A connection that ends before any status line must not pass as an empty answer. */
        return transfer->state == TRANSFER_BEFORE_HEAD || transfer->state == TRANSFER_IN_HEAD
                   ? UPSTREAM_BROKEN
                   : UPSTREAM_FINE;
    case CURLE_COULDNT_RESOLVE_HOST:
        return UPSTREAM_RESOLVE;
    case CURLE_COULDNT_CONNECT:
        return UPSTREAM_CONNECT;
    case CURLE_OPERATION_TIMEDOUT:
        return UPSTREAM_TIMEOUT;
    case CURLE_OUT_OF_MEMORY:
        return UPSTREAM_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        return UPSTREAM_TLS;
    default:
        return UPSTREAM_BROKEN;
    }
}

static void finish(struct transfer *transfer, enum upstream_failure failure, const char *detail)
{
    const struct transfer_handler *handler = transfer->handler;
    void *user = transfer->user;
    char words[CURL_ERROR_SIZE];
    strncpy(words, detail, sizeof words - 1);
    words[sizeof words - 1] = '\0';
    release(transfer, failure == UPSTREAM_FINE);
    handler->done(user, failure, words);
}

static void finish_all_done(struct upstream *upstream)
{
    int left;
    CURLMsg *message;
    while ((message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        char *private;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
        struct transfer *transfer = (struct transfer *)(void *)private;
        const char *detail = transfer->fault != NULL      ? transfer->fault
                             : transfer->error[0] != '\0' ? transfer->error
                                                          : curl_easy_strerror(code);
        finish(transfer, failure_of(transfer, code), detail);
    }
}

static struct transfer *find_ended_tunnel(struct upstream *upstream)
{
    struct transfer *transfer = upstream->live;
    while (transfer != NULL && transfer->state != TRANSFER_TUNNEL_ENDED)
        transfer = transfer->next;
    return transfer;
}

static void finish_ended_tunnels(struct upstream *upstream)
{
    struct transfer *transfer;
    if (!upstream->tunnels_ended)
        return;
    upstream->tunnels_ended = false;
    while ((transfer = find_ended_tunnel(upstream)) != NULL)
        finish(transfer, UPSTREAM_FINE, "");
}

/* ---- all of them ---- */

monotonic_time upstream_due(const struct upstream *upstream)
{
    return upstream->tunnels_ended ? clock_monotonic() : upstream->timer;
}

void upstream_run(struct upstream *upstream)
{
    if (upstream->timer.nanoseconds <= clock_monotonic().nanoseconds) {
        int running;
        upstream->timer = MONOTONIC_NEVER;
        curl_multi_socket_action(upstream->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    finish_all_done(upstream);
    finish_ended_tunnels(upstream);
}

/* Whether the server is to say something. Where the client does not send, nobody is to blame. */
static bool is_waited_for(const struct transfer *transfer)
{
    if (transfer->state == TRANSFER_IN_BODY)
        return transfer->whole && (transfer->paused & CURLPAUSE_RECV) == 0;
    return transfer->state < TRANSFER_IN_BODY &&
           (transfer->asks_upgrade || (transfer->paused & CURLPAUSE_SEND) == 0);
}

/* One whose server is silent for too long, or NULL. */
static struct transfer *find_silent(struct upstream *upstream, monotonic_time now)
{
    int64_t limit = upstream->settings.idle_timeout_ms * NANOSECONDS_PER_MILLISECOND;
    for (struct transfer *transfer = upstream->live; transfer != NULL; transfer = transfer->next) {
        if (is_waited_for(transfer) && monotonic_elapsed(transfer->progress, now) > limit)
            return transfer;
    }
    return NULL;
}

void upstream_tick(struct upstream *upstream)
{
    monotonic_time now = clock_monotonic();
    struct transfer *transfer;
    for (transfer = upstream->live; transfer != NULL; transfer = transfer->next)
        transfer_end_pause_of_sending(transfer);
    while ((transfer = find_silent(upstream, now)) != NULL)
        finish(transfer, UPSTREAM_TIMEOUT,
               transfer->state == TRANSFER_IN_BODY
                   ? "the server did not go on with its answer in time"
                   : "the server did not begin its answer in time");
}

static int on_timer(CURLM *multi, long milliseconds, void *user)
{
    (void)multi;
    struct upstream *upstream = user;
    upstream->timer =
        milliseconds < 0 ? MONOTONIC_NEVER : monotonic_after(clock_monotonic(), milliseconds);
    return 0;
}

struct upstream *upstream_create(const struct upstream_settings *settings, struct loop *loop)
{
    struct upstream *upstream = calloc(1, sizeof *upstream);
    if (upstream == NULL)
        return NULL;
    upstream->settings = *settings;
    upstream->loop = loop;
    upstream->timer = MONOTONIC_NEVER;
    upstream->keeps_handles = curl_version_info(CURLVERSION_NOW)->version_num >= CURL_KEEPS_HANDLES;
    upstream->multi = curl_multi_init();
    upstream->url = curl_url();
    if (upstream->multi == NULL || upstream->url == NULL ||
        curl_url_set(upstream->url, CURLUPART_URL, settings->url, 0) != CURLUE_OK) {
        curl_multi_cleanup(upstream->multi);
        curl_url_cleanup(upstream->url);
        free(upstream);
        return NULL;
    }
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETFUNCTION, upstream_on_socket);
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
    curl_multi_setopt(upstream->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return upstream;
}

void upstream_destroy(struct upstream *upstream)
{
    if (upstream == NULL)
        return;
    while (upstream->live != NULL)
        release(upstream->live, false);
    while (upstream->spare_count > 0)
        curl_easy_cleanup(take_handle(upstream));
    curl_multi_cleanup(upstream->multi);
    curl_url_cleanup(upstream->url);
    upstream_forget_sockets(upstream);
    free(upstream);
}
