#ifndef RENEWGATE_PROXY_RELAY_WORKER_H
#define RENEWGATE_PROXY_RELAY_WORKER_H

/*
 * A worker: one thread with one epoll loop that drives both sides of its own exchanges.
 */

#include "proxy/base/clock.h"
#include "proxy/relay/gate.h"

struct worker;

/* Connections of a worker's for challenges: they come from a handful of places, and a redirect
 * takes no time. */
#define WORKER_CHALLENGES 64U

/* Listening sockets; -1 where there is none. */
struct worker_sockets {
    int clients;
    int challenges; /* plain HTTP beside TLS */
};

/*
 * Starts a worker on its sockets, which it takes over (and closes even when it cannot start). NULL
 * with a line in the log. The gate must outlive it.
 */
struct worker *worker_start(struct gate *gate, struct worker_sockets sockets);

/* From any thread: when its loop last turned, which it does about once a second at the least. */
monotonic_time worker_mark(const struct worker *worker);

/* From any thread: accept nothing more, finish what is under way within DRAIN_TIMEOUT. */
void worker_stop(struct worker *worker);

/* Waits for its end after worker_stop(), and frees it. */
void worker_join(struct worker *worker);

#endif
