#include "proxy/relay/worker.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jmap/create/flight.h"
#include "proxy/clients/downstream.h"
#include "proxy/relay/exchange.h"
#include "proxy/relay/websocket.h"
#include "proxy/relay/worker_context.h"
#include "proxy/base/budget.h"
#include "proxy/base/loop.h"
#include "proxy/http/cors.h"
#include "proxy/base/mailbox.h"
#include "proxy/server/request_slot.h"
#include "proxy/server/upstream.h"

#define TICK_MILLISECONDS 1000
/*
 * Connections and requests that are worth a walk over the heap once they are gone: some megabytes.
 */
#define CROWD ((size_t)128)
/* How often one side is run for the other's sake before files are looked at again. */
#define ROUNDS 8

struct worker {
    struct gate *gate;
    struct loop loop;
    struct mailbox mailbox;
    struct upstream *upstream;
    struct downstream *clients;
    struct downstream *challenges; /* NULL: there is no plain listener */
    struct request_slots *slots;
    struct cors cors;
    struct websocket_set websockets;
    struct worker_context context;
    struct worker_context challenge_context;
    struct mailbox_message stop;
    bool stopping;
    monotonic_time give_up; /* when what is still under way is broken off */
    monotonic_time now;     /* when the clock was last read */
    monotonic_time tick;
    size_t crowd; /* the largest since the heap was last trimmed, as ticks have seen it */
    atomic_int_fast64_t mark; /* nanoseconds of the monotonic clock, for other threads */
    pthread_t thread;
};

static void worker_on_stop(void *user)
{
    struct worker *worker = user;
    worker->stopping = true;
}

/*
 * What many clients had at once lies in pieces all over the heap: free, but not the system's. Once
 * they have gone it is given back, not as long as others come in their place.
 */
static void trim_after_crowd(struct worker *worker)
{
    size_t open =
        downstream_open_connections(worker->clients) + downstream_open_requests(worker->clients);
    if (open > worker->crowd)
        worker->crowd = open;
    if (worker->crowd - open < CROWD)
        return;
    worker->crowd = open;
    malloc_trim(0);
}

static void tick(struct worker *worker)
{
    if (!monotonic_reached(worker->tick, worker->now))
        return;
    worker->tick = monotonic_after(worker->now, TICK_MILLISECONDS);
    atomic_store_explicit(&worker->mark, worker->now.nanoseconds, memory_order_relaxed);
    upstream_tick(worker->upstream);
    downstream_tick(worker->clients);
    if (worker->challenges != NULL)
        downstream_tick(worker->challenges);
    request_slots_tick(worker->slots);
    budget_trim(worker->gate->budget);
    trim_after_crowd(worker);
    flight_table_tick(worker->gate->flights, worker->now.nanoseconds / NANOSECONDS_PER_MILLISECOND,
                      worker->gate->config->flight_timeout_ms);
    websocket_set_tick(&worker->websockets);
}

static monotonic_time due(const struct worker *worker)
{
    monotonic_time due =
        monotonic_earlier(upstream_due(worker->upstream), downstream_due(worker->clients));
    return worker->challenges == NULL ? due
                                      : monotonic_earlier(due, downstream_due(worker->challenges));
}

/*
 * What one side does makes work for the other: a request that has come is sent at once, an answer
 * that has come goes out at once.
 */
static void run_sides(struct worker *worker)
{
    for (int i = 0; i < ROUNDS; i++) {
        upstream_run(worker->upstream, worker->now);
        downstream_run(worker->clients, worker->now);
        if (worker->challenges != NULL)
            downstream_run(worker->challenges, worker->now);
        websocket_set_run(&worker->websockets);
        worker->now = clock_monotonic();
        if (!monotonic_reached(due(worker), worker->now) &&
            !websocket_set_is_ready(&worker->websockets))
            return;
    }
}

static int wait_milliseconds(const struct worker *worker)
{
    monotonic_time until = monotonic_earlier(due(worker), worker->tick);
    if (websocket_set_is_ready(&worker->websockets))
        return 0;
    int64_t milliseconds = monotonic_milliseconds_until(worker->now, until);
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

/* True when the worker may end. */
static bool drained(struct worker *worker)
{
    if (!worker->stopping)
        return false;
    if (worker->give_up.nanoseconds == MONOTONIC_NEVER.nanoseconds) {
        worker->give_up = monotonic_after(worker->now, worker->gate->config->drain_timeout_ms);
        downstream_drain(worker->clients);
        if (worker->challenges != NULL)
            downstream_drain(worker->challenges);
        websocket_set_drain(&worker->websockets);
    }
    size_t left = downstream_open_requests(worker->clients);
    if (worker->challenges != NULL)
        left += downstream_open_requests(worker->challenges);
    if (left == 0)
        return true;
    if (!monotonic_reached(worker->give_up, worker->now))
        return false;
    log_event(worker->gate->log, LOG_LEVEL_WARN, "requests broken off at the stop",
              log_number("requests", (int64_t)left));
    return true;
}

static void *worker_run(void *user)
{
    struct worker *worker = user;
    while (!drained(worker)) {
        run_sides(worker);
        tick(worker);
        loop_wait(&worker->loop, wait_milliseconds(worker));
        worker->now = clock_monotonic();
    }
    /* Breaking requests off needs the upstream and the mailbox, so the clients' side goes first. */
    downstream_destroy(worker->clients);
    downstream_destroy(worker->challenges);
    upstream_destroy(worker->upstream);
    worker->clients = worker->challenges = NULL;
    worker->upstream = NULL;
    return NULL;
}

/* Every worker's of what all may have. */
static unsigned share_of(const struct worker *worker, unsigned number)
{
    unsigned workers = worker->gate->config->workers;
    return (number + workers - 1) / workers;
}

/* Takes the sockets over, in whatever case. */
static bool create_clients(struct worker *worker, struct worker_sockets sockets)
{
    const struct config *config = worker->gate->config;
    struct downstream_settings settings = {
        .max_connections = share_of(worker, worker->gate->files.clients),
        .max_upgraded = share_of(worker, worker->gate->files.upgraded),
        .header_timeout_ms = config->header_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
        .max_head = config->max_head,
        .proxy_protocol = config->proxy_protocol,
        .log = worker->gate->log,
        .metrics = worker->gate->metrics,
        .keypairs = worker->gate->keypairs,
        .passthrough = worker->gate->passthrough,
        .trusted = &config->trusted_proxies,
    };
    worker->clients = downstream_create(&settings, sockets.clients, &worker->loop,
                                        &exchange_handler, &worker->context);
    if (sockets.challenges < 0)
        return worker->clients != NULL;
    settings.max_connections = share_of(worker, worker->gate->files.challenges);
    settings.makes_room = true;
    settings.keypairs = NULL;
    settings.passthrough = NULL;
    worker->challenges = downstream_create(&settings, sockets.challenges, &worker->loop,
                                           &exchange_handler, &worker->challenge_context);
    return worker->clients != NULL && worker->challenges != NULL;
}

static void close_sockets(struct worker_sockets sockets)
{
    close(sockets.clients);
    if (sockets.challenges >= 0)
        close(sockets.challenges);
}

static bool create_sides(struct worker *worker, struct worker_sockets sockets)
{
    const struct config *config = worker->gate->config;
    const struct upstream_settings upstream = config_upstream(config);
    worker->upstream = upstream_create(&upstream, &worker->loop);
    worker->slots = request_slots_create();
    if (worker->upstream == NULL || worker->slots == NULL) {
        close_sockets(sockets);
        return false;
    }
    worker->context = (struct worker_context){
        .gate = worker->gate,
        .loop = &worker->loop,
        .upstream = worker->upstream,
        .mailbox = &worker->mailbox,
        .slots = worker->slots,
        .cors = &worker->cors,
        .websockets = &worker->websockets,
    };
    worker->challenge_context = worker->context;
    worker->challenge_context.only_challenges = true;
    return create_clients(worker, sockets);
}

static struct worker *create(struct gate *gate)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->gate = gate;
    worker->stop = (struct mailbox_message){.open = worker_on_stop, .user = worker};
    worker->give_up = MONOTONIC_NEVER;
    worker->now = clock_monotonic();
    worker->tick = monotonic_after(worker->now, TICK_MILLISECONDS);
    atomic_init(&worker->mark, worker->now.nanoseconds);
    worker->loop.epoll = -1;
    worker->mailbox.event = -1;
    return worker;
}

/* Takes the sockets over, in whatever case. False with errno. */
static bool start(struct worker *worker, struct worker_sockets sockets)
{
    if (!loop_open(&worker->loop) || !mailbox_open(&worker->mailbox, &worker->loop)) {
        close_sockets(sockets);
        return false;
    }
    if (!create_sides(worker, sockets))
        return false;
    errno = pthread_create(&worker->thread, NULL, worker_run, worker);
    return errno == 0;
}

static void destroy(struct worker *worker)
{
    if (worker == NULL)
        return;
    downstream_destroy(worker->clients);
    downstream_destroy(worker->challenges);
    upstream_destroy(worker->upstream);
    request_slots_destroy(worker->slots);
    mailbox_close(&worker->mailbox);
    loop_close(&worker->loop);
    free(worker);
}

struct worker *worker_start(struct gate *gate, struct worker_sockets sockets)
{
    struct worker *worker = create(gate);
    if (worker == NULL)
        close_sockets(sockets);
    else if (start(worker, sockets))
        return worker;
    log_event(gate->log, LOG_LEVEL_ERROR, "a worker cannot be started",
              log_text("error", strerror(errno)));
    destroy(worker);
    return NULL;
}

monotonic_time worker_mark(const struct worker *worker)
{
    return (monotonic_time){atomic_load_explicit(&worker->mark, memory_order_relaxed)};
}

void worker_stop(struct worker *worker)
{
    mailbox_post(&worker->mailbox, &worker->stop);
}

void worker_join(struct worker *worker)
{
    pthread_join(worker->thread, NULL);
    destroy(worker);
}
