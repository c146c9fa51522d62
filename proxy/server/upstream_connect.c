#include "proxy/server/upstream_parts.h"

#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* libcurl's own buffer, which nothing goes through. */
#define CURL_BUFFER_SIZE 1024L

/*
 * A file that libcurl wants to be watched. Kept for as long as the upstream, found by its number.
 */
struct watched {
    struct loop_source source;
    struct upstream *upstream;
    int file;
    bool registered; /* as far as is known: a file that libcurl has closed is registered no more */
    bool wanted;
};

/* ---- files and timers ---- */

static void upstream_connect_forget(struct upstream *upstream, int file)
{
    struct watched *watched =
        (size_t)file < upstream->watched_count ? upstream->watched[file] : NULL;
    if (watched == NULL || !watched->registered)
        return;
    loop_forget(upstream->loop, file);
    watched->registered = false;
}

static void connect_on_ready(void *user, uint32_t events)
{
    struct watched *watched = user;
    int mask = (events & (EPOLLIN | EPOLLRDHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    int running;
    if (watched->wanted)
        curl_multi_socket_action(watched->upstream->multi, watched->file, mask, &running);
    else
        upstream_connect_forget(watched->upstream, watched->file);
}

static bool grow_watched(struct upstream *upstream, size_t count)
{
    size_t capacity = upstream->watched_count == 0 ? 64 : upstream->watched_count;
    while (capacity < count)
        capacity *= 2;
    struct watched **all = realloc(upstream->watched, capacity * sizeof *all);
    if (all == NULL)
        return false;
    memset(all + upstream->watched_count, 0, (capacity - upstream->watched_count) * sizeof *all);
    upstream->watched = all;
    upstream->watched_count = capacity;
    return true;
}

static struct watched *watched_of(struct upstream *upstream, int file)
{
    if ((size_t)file >= upstream->watched_count && !grow_watched(upstream, (size_t)file + 1))
        return NULL;
    struct watched *watched = upstream->watched[file];
    if (watched == NULL) {
        watched = malloc(sizeof *watched);
        if (watched == NULL)
            return NULL;
        *watched = (struct watched){
            .source = {connect_on_ready, watched}, .upstream = upstream, .file = file};
        upstream->watched[file] = watched;
    }
    return watched;
}

/*
 * libcurl may have closed a file that was watched, and have another one with its number. So what is
 * wanted no more is left alone: the number may be that of another worker's client by now, and the
 * loop has lost the file with its end. One that is still open shows itself. Never -1:
 * libcurl (7.88) then leaves transfers in its tables that are gone, and follows them at the next
 * event. A file that cannot be watched waits for its time-out.
 */
static int on_socket(CURL *easy, curl_socket_t file, int what, void *user, void *unused)
{
    (void)easy;
    (void)unused;
    struct upstream *upstream = user;
    struct watched *watched = watched_of(upstream, file);
    uint32_t events = (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                      (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (watched == NULL)
        return 0;
    watched->wanted = what != CURL_POLL_REMOVE;
    if (!watched->wanted)
        return 0;
    watched->registered =
        (watched->registered && loop_change(upstream->loop, file, events, &watched->source)) ||
        loop_watch(upstream->loop, file, events, &watched->source);
    return 0;
}

static int on_timer(CURLM *multi, long milliseconds, void *user)
{
    (void)multi;
    struct upstream *upstream = user;
    upstream->timer =
        milliseconds < 0 ? MONOTONIC_NEVER : monotonic_after(clock_monotonic(), milliseconds);
    return 0;
}

/* None is opened that could not be watched for want of memory. */
static curl_socket_t on_open(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct connection *connection = user;
    (void)purpose;
    int file = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (file < 0 || watched_of(connection->upstream, file) != NULL)
        return file;
    close(file);
    return CURL_SOCKET_BAD;
}

/* A file that is the connection's own by now outlives the handle that made it. */
static int on_close(void *user, curl_socket_t file)
{
    struct connection *connection = user;
    bool own = connection->easy == NULL && file == connection->file;
    upstream_connect_forget(connection->upstream, file);
    return own ? 0 : close(file);
}

/* ---- one connection ---- */

static bool is_tls(const struct upstream *upstream)
{
    return strncmp(upstream->settings.url, "https", 5) == 0;
}

/*
 * OpenSSL wants what it could not send to be given again, and at the same place unless it is told
 * otherwise; but a block is every connection's, so what is left of it moves (upstream_request.c).
 * And it would read the five bytes before each record by themselves.
 */
static CURLcode on_tls_context(CURL *easy, void *context, void *user)
{
    (void)easy;
    (void)user;
    SSL_CTX_set_mode(context, SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_read_ahead(context, 1);
    return CURLE_OK;
}

/*
 * QUICK_EXIT: whoever gives a look-up of the server's name up would wait for the system's resolver,
 * and with it the worker. Its thread is left to itself.
 */
void connect_set_server(const struct upstream *upstream, CURL *easy)
{
    curl_easy_setopt(easy, CURLOPT_CURLU, upstream->url);
    if (upstream->connect_to != NULL)
        curl_easy_setopt(easy, CURLOPT_CONNECT_TO, upstream->connect_to);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
}

/* 0 would be libcurl's own time. */
static long time_left(const struct connection *connection)
{
    int64_t left = monotonic_milliseconds_until(clock_monotonic(), connection->connect_due);
    return left > 0 ? (long)left : 1;
}

/* How long the server's name is known is told by upstream_names.c, not by libcurl's cache. */
static void set_options(struct connection *connection)
{
    const struct upstream *upstream = connection->upstream;
    CURL *easy = connection->easy;
    connect_set_server(upstream, easy);
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, CURL_BUFFER_SIZE);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, time_left(connection));
    curl_easy_setopt(easy, CURLOPT_DNS_CACHE_TIMEOUT, NAMES_CACHED_SECONDS);
    bool any_issuer = connection->transfer->any_issuer;
    trust_apply(easy, &upstream->settings.trust, any_issuer);
    curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls_context);
    if (!any_issuer)
        curl_easy_setopt(easy, CURLOPT_SHARE, upstream->share);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, connection->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, connection);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, connection);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, connection);
}

bool connect_add(struct upstream *upstream, CURL **easy)
{
    if (curl_multi_add_handle(upstream->multi, *easy) != CURLM_OK) {
        curl_easy_cleanup(*easy);
        *easy = NULL;
        return false;
    }
    upstream->connecting++;
    return true;
}

void connect_drop(struct upstream *upstream, CURL *easy)
{
    curl_multi_remove_handle(upstream->multi, easy);
    curl_easy_cleanup(easy);
}

bool connect_start(struct connection *connection)
{
    struct upstream *upstream = connection->upstream;
    connection->easy = curl_easy_init();
    if (connection->easy == NULL)
        return false;
    set_options(connection);
    connection->connecting = connect_add(upstream, &connection->easy);
    return connection->connecting;
}

bool connect_begin(struct connection *connection)
{
    const struct upstream *upstream = connection->upstream;
    connection->connect_due =
        monotonic_after(clock_monotonic(), upstream->settings.connect_timeout_ms);
    return names_are_known(upstream) ? connect_start(connection) : names_wait(connection);
}

void connect_end(struct connection *connection)
{
    if (connection->connecting)
        connection->upstream->connecting--;
    connection->connecting = false;
    connection->drained = false; /* libcurl reads the end of TLS, if it has come */
    connect_drop(connection->upstream, connection->easy);
    connection->easy = NULL;
    connection->tls = NULL;
    connection->file = -1;
}

/* Nothing of a request has gone out, whatever it is: also where the time for it is over. */
static enum upstream_failure failure_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return UPSTREAM_RESOLVE;
    case CURLE_OUT_OF_MEMORY:
        return UPSTREAM_MEMORY;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
        return UPSTREAM_TLS;
    default:
        return UPSTREAM_CONNECT;
    }
}

/* Without TLS libcurl is needed no more. With it, the handle is what the bytes go through. */
static bool take_over(struct connection *connection)
{
    curl_socket_t file = CURL_SOCKET_BAD;
    if (curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &file) != CURLE_OK ||
        file == CURL_SOCKET_BAD)
        return false;
    connection->file = file;
    if (!is_tls(connection->upstream)) {
        CURL *easy = connection->easy;
        connection->easy = NULL;
        connect_drop(connection->upstream, easy);
    }
    upstream_connect_forget(connection->upstream, file);
    return connection_opened(connection);
}

static void upstream_connect_finish(struct connection *connection, CURLcode code)
{
    connection->connecting = false;
    connection->upstream->connecting--;
    if (code != CURLE_OK) {
        names_doubt(connection->upstream);
        transfer_not_connected(connection->transfer, failure_of(code),
                               connection->error[0] != '\0' ? connection->error
                                                            : curl_easy_strerror(code));
    } else if (!take_over(connection)) {
        transfer_not_connected(connection->transfer, UPSTREAM_MEMORY,
                               "a new connection cannot be watched");
    } else {
        transfer_connected(connection->transfer);
    }
}

void connect_run(struct upstream *upstream)
{
    int left;
    CURLMsg *message;
    if (monotonic_reached(upstream->timer, upstream->now)) {
        upstream->timer = MONOTONIC_NEVER;
        curl_multi_socket_action(upstream->multi, CURL_SOCKET_TIMEOUT, 0, &left);
    }
    names_run(upstream);
    while (upstream->connecting > 0 &&
           (message = curl_multi_info_read(upstream->multi, &left)) != NULL) {
        char *connection = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &connection);
        if (connection != NULL)
            upstream_connect_finish((struct connection *)(void *)connection, code);
        else
            names_fail(upstream, failure_of(code), curl_easy_strerror(code));
    }
}

/* ---- all of them ---- */

/* Host and port as a Host field has them: without the scheme's own port. */
static char *authority_of(CURLU *url)
{
    char *host = NULL, *port = NULL, *authority = NULL;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_PORT, &port, CURLU_NO_DEFAULT_PORT);
    bool fine = code == CURLUE_OK || code == CURLUE_NO_PORT;
    if (!fine ||
        asprintf(&authority, "%s%s%s", host, port == NULL ? "" : ":", port == NULL ? "" : port) < 0)
        authority = NULL;
    curl_free(host);
    curl_free(port);
    return authority;
}

bool connect_prepare(struct upstream *upstream)
{
    upstream->timer = MONOTONIC_NEVER;
    upstream->multi = curl_multi_init();
    upstream->share = curl_share_init();
    upstream->url = curl_url();
    if (upstream->multi == NULL || upstream->share == NULL || upstream->url == NULL ||
        curl_url_set(upstream->url, CURLUPART_URL, upstream->settings.url, 0) != CURLUE_OK)
        return false;
    upstream->authority = authority_of(upstream->url);
    curl_share_setopt(upstream->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(upstream->multi, CURLMOPT_SOCKETDATA, upstream);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(upstream->multi, CURLMOPT_TIMERDATA, upstream);
    return upstream->authority != NULL && names_prepare(upstream) && tls_prepare(upstream) &&
           trust_put_name(&upstream->settings.trust, upstream->url, &upstream->connect_to);
}

void connect_clear(struct upstream *upstream)
{
    names_clear(upstream);
    curl_multi_cleanup(upstream->multi);
    curl_share_cleanup(upstream->share);
    curl_slist_free_all(upstream->connect_to);
    curl_url_cleanup(upstream->url);
    tls_clear(upstream);
    free(upstream->authority);
    for (size_t i = 0; i < upstream->watched_count; i++)
        free(upstream->watched[i]);
    free(upstream->watched);
}
