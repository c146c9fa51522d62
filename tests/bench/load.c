/*
 * Sends one request again and again over many connections and measures how long answers take.
 *
 *     bench-load PORT CONNECTIONS SECONDS RATE < REQUEST
 *
 * RATE 0: each connection sends as soon as it has its answer. Else that many requests a second fall
 * due at even distances whatever becomes of earlier ones; one that finds no connection free waits,
 * and its time counts from when it was due, so that a slow answer is not hidden by the requests
 * that it held up ("coordinated omission").
 *
 * REQUEST is whole, head and body. An answer must be a 200 with a Content-Length: anything else
 * ends the run. On standard output, as JSON: {"requests", "seconds", "microseconds": [[quantile,
 * time], ...]}.
 */
#include "tests/bench/loopback.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_SIZE 65536
#define ANSWER_SIZE 16384
#define ROUND_SIZE 128
#define CONNECTIONS_MAX 4096
#define NANOSECONDS_PER_SECOND INT64_C(1000000000)
/* How long answers are waited for at the end. */
#define PATIENCE_MILLISECONDS 10000

struct connection {
    int file;
    int64_t due; /* when its request should have been sent */
    size_t len;  /* of what is there of the answer */
    struct connection *next_free;
    char answer[ANSWER_SIZE + 1];
};

struct load {
    char request[REQUEST_SIZE];
    size_t request_len;
    int64_t gap; /* between two requests, in nanoseconds; 0: as they can */
    int64_t end; /* after it, none is sent */
    int64_t next_due;
    int epoll, timer;
    struct connection *free;
    size_t open; /* requests without their answer */
    int64_t *times;
    size_t count, room;
};

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * NANOSECONDS_PER_SECOND + time.tv_nsec;
}

static void give_up(const char *why, const char *answer)
{
    fprintf(stderr, "bench-load: %s: \"%.80s\"\n", why, answer);
    exit(1);
}

/* ---- requests ---- */

static void send_request(struct load *load, struct connection *connection, int64_t due)
{
    connection->due = due;
    connection->len = 0;
    connection->answer[0] = '\0';
    load->open++;
    ssize_t sent = send(connection->file, load->request, load->request_len, MSG_NOSIGNAL);
    if (sent != (ssize_t)load->request_len)
        loopback_fail("send");
}

static void set_timer(struct load *load)
{
    struct itimerspec when = {.it_value = {load->next_due / NANOSECONDS_PER_SECOND,
                                           load->next_due % NANOSECONDS_PER_SECOND}};
    timerfd_settime(load->timer, TFD_TIMER_ABSTIME, &when, NULL);
}

/* Sends what is due, as far as there are connections for it. */
static void send_due(struct load *load)
{
    int64_t time = now();
    while (load->free != NULL && load->next_due <= time && load->next_due < load->end) {
        struct connection *connection = load->free;
        load->free = connection->next_free;
        send_request(load, connection, load->next_due);
        load->next_due += load->gap;
    }
    /* Where no connection is free, the next answer calls this again. */
    if (load->free != NULL && load->next_due < load->end)
        set_timer(load);
}

/* ---- answers ---- */

static void note_time(struct load *load, int64_t nanoseconds)
{
    if (load->count == load->room) {
        load->room = load->room == 0 ? 65536 : load->room * 2;
        load->times = realloc(load->times, load->room * sizeof *load->times);
        if (load->times == NULL)
            loopback_fail("realloc");
    }
    load->times[load->count++] = nanoseconds;
}

/* True once the answer is whole. */
static bool read_answer(struct connection *connection)
{
    char *answer = connection->answer;
    ssize_t len =
        recv(connection->file, answer + connection->len, ANSWER_SIZE - connection->len, 0);
    if (len <= 0)
        give_up("the connection ended within an answer", answer);
    connection->len += (size_t)len;
    answer[connection->len] = '\0';
    const char *end = strstr(answer, "\r\n\r\n");
    if (end == NULL)
        return false;
    const char *length = strcasestr(answer, "\r\nContent-Length:");
    if (strncmp(answer, "HTTP/1.1 200 ", 13) != 0 || length == NULL || length > end)
        give_up("not the answer that was expected", answer);
    size_t whole = (size_t)(end + 4 - answer) + strtoull(length + 17, NULL, 10);
    if (whole > ANSWER_SIZE || connection->len > whole)
        give_up("an answer of another length than was expected", answer);
    return connection->len == whole;
}

static void take_answer(struct load *load, struct connection *connection)
{
    if (!read_answer(connection))
        return;
    int64_t time = now();
    load->open--;
    note_time(load, time - connection->due);
    if (load->gap == 0) {
        if (time < load->end)
            send_request(load, connection, time);
        return;
    }
    bool all_busy = load->free == NULL;
    connection->next_free = load->free;
    load->free = connection;
    if (all_busy)
        send_due(load);
}

/* ---- the run ---- */

static void watch(struct load *load, int file, void *what)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = what};
    if (epoll_ctl(load->epoll, EPOLL_CTL_ADD, file, &event) != 0)
        loopback_fail("epoll_ctl");
}

static void connect_all(struct load *load, unsigned port, size_t count)
{
    struct connection *connections = calloc(count, sizeof *connections);
    if (connections == NULL)
        loopback_fail("calloc");
    for (size_t i = 0; i < count; i++) {
        connections[i].file = loopback_connect(port);
        connections[i].next_free = load->free;
        load->free = &connections[i];
        watch(load, connections[i].file, &connections[i]);
    }
}

static void run_round(struct load *load)
{
    struct epoll_event events[ROUND_SIZE];
    int count = epoll_wait(load->epoll, events, ROUND_SIZE, PATIENCE_MILLISECONDS);
    if (count == 0)
        give_up("no answer within ten seconds", "");
    for (int i = 0; i < count; i++) {
        uint64_t expirations;
        if (events[i].data.ptr != NULL)
            take_answer(load, events[i].data.ptr);
        else if (read(load->timer, &expirations, sizeof expirations) > 0)
            send_due(load);
    }
}

static void run(struct load *load, int64_t duration)
{
    int64_t begin = now();
    load->end = begin + duration;
    load->next_due = begin;
    if (load->gap == 0) {
        for (struct connection *each = load->free; each != NULL; each = each->next_free)
            send_request(load, each, begin);
    } else {
        send_due(load);
    }
    while (load->open > 0 || (load->gap > 0 && load->next_due < load->end))
        run_round(load);
}

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static void report(struct load *load, double seconds)
{
    qsort(load->times, load->count, sizeof *load->times, compare);
    printf("{\"requests\": %zu, \"seconds\": %.3f, \"microseconds\": [", load->count, seconds);
    /* Eight points for every nine: 0, ..., 0.9, ..., 0.99, ..., and the median. */
    double last = 0;
    for (int i = 0;; i++) {
        double quantile = 1 - pow(10, -i / 8.0);
        if (last < 0.5 && quantile > 0.5)
            printf(", [0.5, %.1f]", (double)load->times[load->count / 2] / 1000);
        size_t place = (size_t)(quantile * (double)load->count);
        if ((double)load->count * (1 - quantile) < 1)
            break;
        printf("%s[%.8f, %.1f]", i == 0 ? "" : ", ", quantile, (double)load->times[place] / 1000);
        last = quantile;
    }
    printf(", [1, %.1f]]}\n", (double)load->times[load->count - 1] / 1000);
}

int main(int count, char **arguments)
{
    static struct load load;
    unsigned port, connections;
    double seconds, rate;
    if (count != 5 || sscanf(arguments[1], "%u", &port) != 1 ||
        sscanf(arguments[2], "%u", &connections) != 1 ||
        sscanf(arguments[3], "%lf", &seconds) != 1 || sscanf(arguments[4], "%lf", &rate) != 1 ||
        connections < 1 || connections > CONNECTIONS_MAX) {
        fputs("usage: bench-load PORT CONNECTIONS SECONDS RATE < REQUEST\n", stderr);
        return 2;
    }
    load.request_len = fread(load.request, 1, sizeof load.request, stdin);
    load.gap = rate > 0 ? (int64_t)((double)NANOSECONDS_PER_SECOND / rate) : 0;
    load.epoll = epoll_create1(EPOLL_CLOEXEC);
    load.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (load.epoll < 0 || load.timer < 0)
        loopback_fail("epoll or timer");
    prctl(PR_SET_TIMERSLACK, 1UL);
    watch(&load, load.timer, NULL);
    connect_all(&load, port, connections);

    int64_t begin = now();
    run(&load, (int64_t)(seconds * (double)NANOSECONDS_PER_SECOND));
    report(&load, (double)(now() - begin) / (double)NANOSECONDS_PER_SECOND);
    return 0;
}
