#include "proxy/clients/passthrough.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/networks.h"
#include "proxy/clients/challenge_records.h"

/* Of a connection, each way: a handshake's largest flights fit. */
#define PIPE_SIZE 16384

struct passage {
    struct passthrough *owner;
    bool used;
    uint64_t number;   /* rises with each that begins */
    atomic_bool ended; /* for another */
    int client;
    struct network_address from;
};

struct passthrough {
    const char *host;
    char port[8];
    const struct log *log;
    unsigned most;
    int stop;             /* an event, which tells all threads to end */
    pthread_mutex_t lock; /* over what follows */
    pthread_cond_t ended;
    size_t count;
    uint64_t begun;
    struct passage passages[PASSTHROUGH_MAX];
};

/* One way: what was read from one end and has yet to be written to the other. */
struct pipe {
    int from, to;
    size_t begin, end; /* of what is in `bytes` */
    bool read_all;
    bool done; /* and all is written, and its reader knows */
    char bytes[PIPE_SIZE];
};

/* ---- bytes ---- */

static bool would_wait(void)
{
    return errno == EAGAIN || errno == EINTR;
}

/* False where an end has broken. */
static bool fill(struct pipe *pipe)
{
    if (pipe->read_all || pipe->end > 0)
        return true;
    ssize_t len = recv(pipe->from, pipe->bytes, sizeof pipe->bytes, MSG_DONTWAIT);
    if (len < 0)
        return would_wait();
    pipe->end = (size_t)len;
    pipe->read_all = len == 0;
    return true;
}

static bool drain(struct pipe *pipe)
{
    while (pipe->begin < pipe->end) {
        ssize_t len = send(pipe->to, pipe->bytes + pipe->begin, pipe->end - pipe->begin,
                           MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len < 0)
            return would_wait();
        pipe->begin += (size_t)len;
    }
    pipe->begin = pipe->end = 0;
    if (pipe->read_all && !pipe->done) {
        shutdown(pipe->to, SHUT_WR);
        pipe->done = true;
    }
    return true;
}

/*
 * What the end that `in` reads from and `out` writes to is waited for. Nothing: not even its end.
 */
static struct pollfd wanted(const struct pipe *in, const struct pipe *out)
{
    short events =
        (short)((!in->read_all && in->end == 0 ? POLLIN : 0) | (out->end > 0 ? POLLOUT : 0));
    return (struct pollfd){.fd = events != 0 ? in->from : -1, .events = events};
}

/* `files` has a place more than `count`. False when the time is up, or everything is to end. */
static bool wait_until(const struct passthrough *owner, struct pollfd *files, nfds_t count,
                       monotonic_time deadline)
{
    int64_t left = monotonic_milliseconds_until(clock_monotonic(), deadline);
    files[count] = (struct pollfd){.fd = owner->stop, .events = POLLIN};
    return left > 0 && (poll(files, count + 1, (int)left) >= 0 || errno == EINTR) &&
           files[count].revents == 0;
}

/* ---- connecting ---- */

/* -1 where it cannot be reached in time. */
static int connect_to(const struct passthrough *owner, const struct addrinfo *address,
                      monotonic_time deadline)
{
    int file = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;
    socklen_t len = sizeof error;
    if (file < 0)
        return -1;
    if (connect(file, address->ai_addr, address->ai_addrlen) == 0)
        return file;
    struct pollfd files[2] = {{.fd = file, .events = POLLOUT}};
    if (errno == EINPROGRESS && wait_until(owner, files, 1, deadline) && files[0].revents != 0 &&
        getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && error == 0)
        return file;
    close(file);
    return -1;
}

static int connect_server(const struct passthrough *owner, monotonic_time deadline)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    int file = -1;
    if (getaddrinfo(owner->host, owner->port, &hints, &found) != 0)
        return -1;
    for (const struct addrinfo *at = found; at != NULL && file < 0; at = at->ai_next)
        file = connect_to(owner, at, deadline);
    freeaddrinfo(found);
    return file;
}

/* ---- passages ---- */

struct peer_text {
    char text[NETWORK_ADDRESS_TEXT_SIZE];
};

static struct peer_text write_peer(const struct network_address *from)
{
    struct peer_text peer = {""};
    network_address_write(from, peer.text);
    return peer;
}

static bool pass_to_server(const struct passage *passage, struct challenge_records *records,
                           struct pipe *pipe)
{
    bool was_empty = pipe->end == 0;
    if (!fill(pipe))
        return false;
    if (!was_empty || challenge_records_allow(records, pipe->bytes, pipe->end))
        return drain(pipe);
    struct peer_text peer = write_peer(&passage->from);
    log_event(passage->owner->log, LOG_LEVEL_WARN, "a tls-alpn-01 challenge is ended: it is none",
              log_text("peer", peer.text));
    return false;
}

static bool pass_to_client(struct challenge_records *records, struct pipe *pipe)
{
    bool was_empty = pipe->end == 0;
    if (!fill(pipe))
        return false;
    if (was_empty)
        challenge_records_note(records, pipe->bytes, pipe->end);
    return drain(pipe);
}

static void carry(const struct passage *passage, int server, monotonic_time deadline)
{
    struct challenge_records records = {.server_encrypts = false};
    struct pipe there = {.from = passage->client, .to = server};
    struct pipe back = {.from = server, .to = passage->client};
    while (!atomic_load(&passage->ended) && pass_to_server(passage, &records, &there) &&
           pass_to_client(&records, &back) && !(there.done && back.done)) {
        struct pollfd files[3] = {wanted(&there, &back), wanted(&back, &there)};
        if (!wait_until(passage->owner, files, 2, deadline))
            return;
    }
}

static void passthrough_leave(struct passage *passage)
{
    struct passthrough *owner = passage->owner;
    pthread_mutex_lock(&owner->lock);
    close(passage->client);
    passage->used = false;
    owner->count--;
    pthread_cond_signal(&owner->ended);
    pthread_mutex_unlock(&owner->lock);
}

static void *passthrough_run(void *user)
{
    struct passage *passage = user;
    struct passthrough *owner = passage->owner;
    struct peer_text peer = write_peer(&passage->from);
    monotonic_time deadline = monotonic_after(clock_monotonic(), PASSTHROUGH_MILLISECONDS);
    int server = connect_server(owner, deadline);
    if (server >= 0) {
        log_event(owner->log, LOG_LEVEL_INFO, "a tls-alpn-01 challenge is passed on",
                  log_text("peer", peer.text));
        carry(passage, server, deadline);
        close(server);
    } else {
        log_event(owner->log, LOG_LEVEL_ERROR,
                  "a tls-alpn-01 challenge gets no answer: its listener cannot be reached",
                  log_text("peer", peer.text));
    }
    passthrough_leave(passage);
    return NULL;
}

/* What is open, but for those that end for others. */
struct crowd {
    size_t all, own; /* of them this client's */
    struct passage *oldest, *oldest_own;
    struct passage *room; /* NULL where there is none */
};

static struct passage *older(struct passage *one, struct passage *other)
{
    return one == NULL || other->number < one->number ? other : one;
}

/* Locked. */
static struct crowd crowd_before(struct passthrough *owner, const struct network_address *from)
{
    const struct network_address client = network_address_client(from);
    struct crowd crowd = {0};
    for (size_t i = 0; i < owner->most; i++) {
        struct passage *passage = &owner->passages[i];
        const struct network_address other = network_address_client(&passage->from);
        if (!passage->used)
            crowd.room = passage;
        if (!passage->used || atomic_load(&passage->ended))
            continue;
        crowd.all++;
        crowd.oldest = older(crowd.oldest, passage);
        if (memcmp(&other, &client, sizeof other) != 0)
            continue;
        crowd.own++;
        crowd.oldest_own = older(crowd.oldest_own, passage);
    }
    return crowd;
}

/*
 * A CA's connections are gone within a second, so whoever has been there for longest is none.
 * Locked. The thread sees it at once; until then it keeps its place, for which a quarter of all is
 * left free.
 */
static void end_oldest(struct passthrough *owner, const struct crowd *crowd)
{
    struct passage *oldest = NULL;
    if (crowd->own >= PASSTHROUGH_MAX_EACH)
        oldest = crowd->oldest_own;
    else if (crowd->all >= owner->most - owner->most / 4)
        oldest = crowd->oldest;
    if (oldest == NULL)
        return;
    atomic_store(&oldest->ended, true);
    shutdown(oldest->client, SHUT_RDWR);
}

static struct passage *passthrough_enter(struct passthrough *owner, int file,
                                         const struct network_address *from)
{
    pthread_mutex_lock(&owner->lock);
    struct crowd crowd = crowd_before(owner, from);
    end_oldest(owner, &crowd);
    struct passage *passage = crowd.room;
    if (passage != NULL) {
        passage->owner = owner;
        passage->used = true;
        passage->number = owner->begun++;
        atomic_store(&passage->ended, false);
        passage->client = file;
        passage->from = *from;
        owner->count++;
    }
    pthread_mutex_unlock(&owner->lock);
    return passage;
}

static bool passage_start(struct passage *passage)
{
    pthread_attr_t detached;
    pthread_t thread;
    if (pthread_attr_init(&detached) != 0)
        return false;
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    bool fine = pthread_create(&thread, &detached, passthrough_run, passage) == 0;
    pthread_attr_destroy(&detached);
    return fine;
}

void passthrough_begin(struct passthrough *passthrough, int file, const struct sockaddr *address)
{
    struct network_address from = {{0}};
    network_address_of(address, &from);
    struct passage *passage = passthrough_enter(passthrough, file, &from);
    if (passage != NULL && passage_start(passage))
        return;
    struct peer_text peer = write_peer(&from);
    log_event(passthrough->log, LOG_LEVEL_WARN,
              "a tls-alpn-01 challenge is refused: too many at once", log_text("peer", peer.text));
    if (passage != NULL)
        passthrough_leave(passage);
    else
        close(file);
}

struct passthrough *passthrough_create(const char *host, uint16_t port, unsigned most,
                                       const struct log *log)
{
    struct passthrough *passthrough = calloc(1, sizeof *passthrough);
    if (passthrough == NULL)
        return NULL;
    passthrough->stop = eventfd(0, EFD_CLOEXEC);
    if (passthrough->stop < 0) {
        free(passthrough);
        return NULL;
    }
    passthrough->host = host;
    passthrough->log = log;
    passthrough->most = most;
    snprintf(passthrough->port, sizeof passthrough->port, "%u", (unsigned)port);
    pthread_mutex_init(&passthrough->lock, NULL);
    pthread_cond_init(&passthrough->ended, NULL);
    return passthrough;
}

void passthrough_destroy(struct passthrough *passthrough)
{
    if (passthrough == NULL)
        return;
    eventfd_write(passthrough->stop, 1);
    pthread_mutex_lock(&passthrough->lock);
    while (passthrough->count > 0)
        pthread_cond_wait(&passthrough->ended, &passthrough->lock);
    pthread_mutex_unlock(&passthrough->lock);
    pthread_cond_destroy(&passthrough->ended);
    pthread_mutex_destroy(&passthrough->lock);
    close(passthrough->stop);
    free(passthrough);
}
