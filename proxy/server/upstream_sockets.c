#include "proxy/server/upstream_parts.h"

#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A file that curl wants to be watched. Kept for as long as the upstream, found by its number. */
struct watched {
    struct loop_source source;
    struct upstream *upstream;
    int file;
    bool connection;     /* opened by upstream_open_connection(), so its closing will be told */
    uint32_t wanted;     /* what curl waits for; 0: nothing now */
    uint32_t registered; /* what epoll has */
};

static void on_ready(void *user, uint32_t events)
{
    struct watched *watched = user;
    struct upstream *upstream = watched->upstream;
    if (watched->wanted == 0) {
        /* An idle connection that the server closes: curl finds that out when it wants it again. */
        loop_forget(upstream->loop, watched->file);
        watched->registered = 0;
        return;
    }
    int mask = (events & (EPOLLIN | EPOLLRDHUP) ? CURL_CSELECT_IN : 0) |
               (events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
               (events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
    int running;
    curl_multi_socket_action(upstream->multi, watched->file, mask, &running);
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
        *watched =
            (struct watched){.source = {on_ready, watched}, .upstream = upstream, .file = file};
        upstream->watched[file] = watched;
    }
    return watched;
}

static bool register_watched(struct watched *watched)
{
    struct loop *loop = watched->upstream->loop;
    bool known = watched->registered != 0;
    bool fine = known ? loop_change(loop, watched->file, watched->wanted, &watched->source)
                      : loop_watch(loop, watched->file, watched->wanted, &watched->source);
    watched->registered = fine ? watched->wanted : 0;
    return fine;
}

/*
 * curl (7.88) reads no more where a tunnel's server has closed it, but does not say so as long as
 * there may be more to send: only that it has nothing to watch any more.
 */
static void note_tunnel_end(CURL *easy)
{
    char *private = NULL;
    curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
    struct transfer *transfer = (struct transfer *)(void *)private;
    if (transfer == NULL || transfer->state != TRANSFER_TUNNEL ||
        (transfer->paused & CURLPAUSE_RECV) != 0)
        return;
    transfer->state = TRANSFER_TUNNEL_ENDED;
    transfer->upstream->tunnels_ended = true;
}

/*
 * Between two transfers a connection stays registered: the next one wants the same, and two system
 * calls a request are saved. That is safe only for files whose closing is told.
 */
int upstream_on_socket(CURL *easy, curl_socket_t file, int what, void *user, void *unused)
{
    (void)unused;
    struct watched *watched = watched_of(user, file);
    if (watched == NULL)
        return -1;
    if (what == CURL_POLL_REMOVE)
        note_tunnel_end(easy);
    watched->wanted = what == CURL_POLL_REMOVE
                          ? 0
                          : (what & CURL_POLL_IN ? (uint32_t)EPOLLIN : 0) |
                                (what & CURL_POLL_OUT ? (uint32_t)EPOLLOUT : 0);
    if (watched->wanted != 0 && watched->wanted != watched->registered)
        return register_watched(watched) ? 0 : -1;
    if (watched->wanted == 0 && !watched->connection && watched->registered != 0) {
        loop_forget(watched->upstream->loop, file);
        watched->registered = 0;
    }
    return 0;
}

curl_socket_t upstream_open_connection(void *user, curlsocktype purpose,
                                       struct curl_sockaddr *address)
{
    (void)purpose;
    int file = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    struct watched *watched = file < 0 ? NULL : watched_of(user, file);
    if (watched == NULL) {
        if (file >= 0)
            close(file);
        return CURL_SOCKET_BAD;
    }
    watched->connection = true;
    watched->registered = 0;
    return file;
}

int upstream_close_connection(void *user, curl_socket_t file)
{
    struct upstream *upstream = user;
    if ((size_t)file < upstream->watched_count && upstream->watched[file] != NULL) {
        upstream->watched[file]->connection = false;
        upstream->watched[file]->registered = 0;
        upstream->watched[file]->wanted = 0;
    }
    return close(file);
}

void upstream_forget_sockets(struct upstream *upstream)
{
    for (size_t i = 0; i < upstream->watched_count; i++)
        free(upstream->watched[i]);
    free(upstream->watched);
}
