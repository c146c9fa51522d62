/*
 * The server that proxies are measured in front of: as little work for an answer as can be.
 *
 *     POST and PUT               200 with a few hundred bytes of JSON, once the body has been read
 *     GET /bytes/COUNT           that many bytes
 *     GET /events/COUNT/GAP      that many events of an event stream, each sent on its own and GAP
 *                                nanoseconds after the one before
 *     GET of anything else       as POST
 *
 * It listens on a free port of the loopback and says "ready PORT". Of HTTP it reads what the
 * measured proxies send, and no more: heads in one piece of 16 KiB, bodies with a Content-Length,
 * one request after the other. Sending blocks, so two streams come one after the other.
 */
#include "tests/bench/loopback.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define HEAD_SIZE 16384
#define BLOCK_SIZE ((size_t)262144)
#define ROUND_SIZE 128
#define NANOSECONDS_PER_SECOND INT64_C(1000000000)

struct connection {
    int file;
    size_t len;       /* of what is there of the next head */
    size_t body_left; /* of the request that is being read */
    char head[HEAD_SIZE + 1];
};

#define JSON_BODY                                                                                  \
    "{\"methodResponses\":[[\"Email/get\",{\"accountId\":\"d333333\",\"state\":\"sqaaaaaa\","      \
    "\"list\":[{\"id\":\"eaaaaab\",\"threadId\":\"b\",\"subject\":\"Hello\",\"size\":4711}],"      \
    "\"notFound\":[]},\"c0\"]],\"sessionState\":\"3e25b2a0\"}\n"
_Static_assert(sizeof JSON_BODY - 1 == 195, "the length that json_answer states");

static const char json_answer[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: application/json; charset=utf-8\r\n"
                                  "Cache-Control: no-cache, no-store, must-revalidate\r\n"
                                  "Content-Length: 195\r\n"
                                  "\r\n" JSON_BODY;

static bool send_all(int file, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(file, bytes, len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool send_bytes(int file, uint64_t count)
{
    static char block[BLOCK_SIZE];
    char head[128];
    int head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\n"
                            "Content-Length: %llu\r\n\r\n",
                            (unsigned long long)count);
    bool fine = send_all(file, head, (size_t)head_len);
    while (fine && count > 0) {
        size_t len = count < sizeof block ? (size_t)count : sizeof block;
        fine = send_all(file, block, len);
        count -= len;
    }
    return fine;
}

static void sleep_until(struct timespec *due, int64_t gap)
{
    int64_t nanoseconds = due->tv_nsec + gap;
    due->tv_sec += nanoseconds / NANOSECONDS_PER_SECOND;
    due->tv_nsec = nanoseconds % NANOSECONDS_PER_SECOND;
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, due, NULL);
}

static bool send_events(int file, uint64_t count, int64_t gap)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    bool fine = send_all(file, head, strlen(head));
    struct timespec due;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (uint64_t i = 0; fine && i < count; i++) {
        char event[128], chunk[160];
        int len = snprintf(event, sizeof event,
                           "event: state\ndata: {\"changed\":{\"d\":{\"Email\":\"s%07llu\"}}}\n\n",
                           (unsigned long long)i);
        len = snprintf(chunk, sizeof chunk, "%x\r\n%s\r\n", (unsigned)len, event);
        fine = send_all(file, chunk, (size_t)len);
        if (gap > 0)
            sleep_until(&due, gap);
    }
    return fine && send_all(file, "0\r\n\r\n", 5);
}

static bool answer(struct connection *connection)
{
    unsigned long long count, gap;
    if (sscanf(connection->head, "GET /bytes/%llu ", &count) == 1)
        return send_bytes(connection->file, count);
    if (sscanf(connection->head, "GET /events/%llu/%llu ", &count, &gap) == 2)
        return send_events(connection->file, count, (int64_t)gap);
    return send_all(connection->file, json_answer, sizeof json_answer - 1);
}

/* Takes what has come of a body off the connection; only its length matters. */
static bool drop_body(struct connection *connection)
{
    static char block[BLOCK_SIZE];
    size_t max = connection->body_left < sizeof block ? connection->body_left : sizeof block;
    ssize_t len = recv(connection->file, block, max, 0);
    if (len <= 0)
        return false;
    connection->body_left -= (size_t)len;
    return connection->body_left > 0 || answer(connection);
}

static bool read_head(struct connection *connection)
{
    char *head = connection->head;
    ssize_t len = recv(connection->file, head + connection->len, HEAD_SIZE - connection->len, 0);
    if (len <= 0)
        return false;
    connection->len += (size_t)len;
    head[connection->len] = '\0';
    const char *end = strstr(head, "\r\n\r\n");
    if (end == NULL)
        return connection->len < HEAD_SIZE;
    size_t body_here = connection->len - (size_t)(end + 4 - head);
    const char *field = strcasestr(head, "\r\nContent-Length:");
    size_t body_len = field == NULL || field > end ? 0 : strtoull(field + 17, NULL, 10);
    if (body_here > body_len)
        return false;
    connection->len = 0;
    connection->body_left = body_len - body_here;
    return connection->body_left > 0 || answer(connection);
}

static void accept_one(int epoll, int listener)
{
    struct connection *connection = malloc(sizeof *connection);
    if (connection == NULL)
        loopback_fail("malloc");
    connection->file = loopback_accept(listener);
    connection->len = connection->body_left = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, connection->file, &event) != 0)
        loopback_fail("epoll_ctl");
}

static void serve(struct connection *connection)
{
    if (connection->body_left > 0 ? drop_body(connection) : read_head(connection))
        return;
    close(connection->file);
    free(connection);
}

int main(void)
{
    unsigned port;
    int listener = loopback_listen(&port);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event) != 0)
        loopback_fail("epoll");
    printf("ready %u\n", port);
    fflush(stdout);
    for (;;) {
        struct epoll_event events[ROUND_SIZE];
        int count = epoll_wait(epoll, events, ROUND_SIZE, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.ptr == NULL)
                accept_one(epoll, listener);
            else
                serve(events[i].data.ptr);
        }
    }
}
