#include "proxy/server/upstream_parts.h"

#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

/* How many a worker keeps. */
#define IDLE_CONNECTIONS 256
/*
 * Shorter than servers usually keep an idle connection, so that a request is rarely sent into one
 * that is being closed.
 */
#define IDLE_SECONDS 25

static void unlink_idle(struct connection *connection)
{
    LIST_REMOVE(connection, entry);
    connection->upstream->idle_count--;
}

/* An idle TLS connection may have something to read that is no answer: session tickets. */
static bool is_quiet(struct connection *connection)
{
    char byte;
    size_t len;
    if (connection->hung_up)
        return false;
    if (!connection->readable || (connection->tls != NULL && tls_is_quiet(connection)))
        return true;
    return wire_receive(connection, &byte, 1, &len) == WIRE_LATER;
}

static void on_event(void *user, uint32_t events)
{
    struct connection *connection = user;
    bool reads = (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (reads)
        connection_expect_bytes(connection);
    connection->writable |= (events & EPOLLOUT) != 0;
    connection->hung_up |= (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    if (!connection->open)
        return;
    if (connection->transfer != NULL) {
        transfer_mark(connection->transfer);
    } else if (reads && !is_quiet(connection)) {
        unlink_idle(connection);
        connection_close(connection);
    }
}

void connection_expect_bytes(struct connection *connection)
{
    connection->readable = true;
    connection->drained = false;
}

struct connection *connection_create(struct upstream *upstream, struct transfer *transfer)
{
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL)
        return NULL;
    *connection = (struct connection){
        .source = {on_event, connection},
        .upstream = upstream,
        .transfer = transfer,
        .file = -1,
    };
    if (connect_begin(connection))
        return connection;
    free(connection);
    return NULL;
}

bool connection_opened(struct connection *connection)
{
    connection->open = true;
    connection->writable = true;
    return loop_watch(connection->upstream->loop, connection->file,
                      (uint32_t)EPOLLIN | (uint32_t)EPOLLOUT | (uint32_t)EPOLLRDHUP |
                          (uint32_t)EPOLLET,
                      &connection->source);
}

/* The events of this round may still name it. */
void connection_close(struct connection *connection)
{
    connection->transfer = NULL;
    connection->open = false;
    names_leave(connection);
    if (connection->easy != NULL)
        connect_end(connection);
    else if (connection->file >= 0)
        close(connection->file);
    connection->file = -1;
    LIST_INSERT_HEAD(&connection->upstream->closed, connection, entry);
}

void connection_keep(struct connection *connection)
{
    struct upstream *upstream = connection->upstream;
    if (upstream->idle_count == IDLE_CONNECTIONS || !is_quiet(connection)) {
        connection_close(connection);
        return;
    }
    if (connection->easy != NULL && connection->tls == NULL)
        tls_begin(connection);
    connection->transfer = NULL;
    connection->kept = true;
    connection->idle_since = upstream->now;
    LIST_INSERT_HEAD(&upstream->idle, connection, entry);
    upstream->idle_count++;
}

static bool is_stale(const struct connection *connection)
{
    return monotonic_elapsed(connection->idle_since, connection->upstream->now) >
           IDLE_SECONDS * NANOSECONDS_PER_SECOND;
}

/* libmicrohttpd may find a request before the loop's next round has told of a connection's end. */
static bool is_still_open(struct connection *connection)
{
    if (connection->idle_since.nanoseconds == connection->upstream->now.nanoseconds)
        return true;
    connection_expect_bytes(connection);
    return is_quiet(connection);
}

/* Those that are stale come last. */
struct connection *connection_take(struct upstream *upstream, bool once)
{
    struct connection *connection;
    while ((connection = LIST_FIRST(&upstream->idle)) != NULL && !is_stale(connection)) {
        unlink_idle(connection);
        if (!once || is_still_open(connection))
            return connection;
        connection_close(connection);
    }
    return NULL;
}

void connections_look_after(struct upstream *upstream)
{
    struct connection *next;
    for (struct connection *connection = LIST_FIRST(&upstream->idle); connection != NULL;
         connection = next) {
        next = LIST_NEXT(connection, entry);
        if (!is_stale(connection))
            continue;
        unlink_idle(connection);
        connection_close(connection);
    }
}

void connections_free_closed(struct upstream *upstream)
{
    struct connection *connection;
    while ((connection = LIST_FIRST(&upstream->closed)) != NULL) {
        LIST_REMOVE(connection, entry);
        free(connection);
    }
}
