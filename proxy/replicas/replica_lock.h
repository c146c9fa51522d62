#ifndef RENEWGATE_PROXY_REPLICAS_REPLICA_LOCK_H
#define RENEWGATE_PROXY_REPLICAS_REPLICA_LOCK_H

/*
 * The lock that replicas share: one thread with one connection to the lock server, and the leases
 * (proxy/replicas/lease.h) that the other threads take through it.
 *
 * Where the lock server is slow, refuses or is gone, whoever waits goes on alone within twice
 * LOCK_TIMEOUT, later ones do not wait at all, and the thread tries to come back to it, at growing
 * intervals. The log has one line when it is lost and one when it is back.
 *
 * All functions but the first and the last are for any thread.
 */

#include <stdio.h>

#include "jmap/create/domain_lock.h"
#include "proxy/replicas/lock_connection.h"

struct lease; /* proxy/replicas/lease.h */
struct log;   /* proxy/telemetry/log.h */
struct metrics;
struct replica_lock;
struct task_memory; /* jmap/facts/memory.h */

/* All borrowed for the lock's lifetime. */
struct server_clock; /* proxy/server/server_clock.h */

struct replica_lock_settings {
    struct lock_connection_settings connection;
    int64_t patience_ms;            /* for which a create waits for another replica's */
    int64_t blind_interval_seconds; /* for which it matters what was forwarded last */
    struct task_memory *memory;
    const struct server_clock *clock; /* by which the memory's times are; NULL: the gate's own */
    const struct log *log;
    struct metrics *metrics;
};

/*
 * Tries to reach the lock server once, then begins. NULL with a line in the log when it cannot
 * begin; that the server is not there is no reason.
 */
struct replica_lock *replica_lock_start(const struct replica_lock_settings *settings);

/*
 * Gives back what can be given back, and ends it; no lease is anyone's any more. NULL is allowed.
 */
void replica_lock_stop(struct replica_lock *lock);

/* For holds. The last forwarded id of a domain, in the memory, travels with its lease. */
const struct domain_lock *replica_lock_domains(const struct replica_lock *lock);

/*
 * For what only one replica is to do: tries once to take the lease of that work. `wake` is called
 * exactly once, from any thread and even before this returns, when its state is not LEASE_WAITING
 * any more. It is renewed until it is given; whoever works long looks at the state before each
 * step. NULL: the lock server is out of reach, as with LEASE_ALONE.
 */
struct lease *replica_lock_take(struct replica_lock *lock, const char *work,
                                void (*wake)(void *user), void *user);
enum lease_state replica_lock_state(struct replica_lock *lock, const struct lease *lease);

/* NULL is allowed. */
void replica_lock_give(struct replica_lock *lock, struct lease *lease);

/* For --check: tries the lock server and tells on `out`; false where it cannot be used. */
bool replica_lock_check(const struct lock_connection_settings *settings, FILE *out);

#endif
