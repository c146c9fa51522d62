#ifndef RENEWGATE_PROXY_RELAY_GATE_H
#define RENEWGATE_PROXY_RELAY_GATE_H

/*
 * What all threads of the process share. Made and ended by main(); everything in it is either
 * constant while the workers run or safe for threads.
 */

#include <stdatomic.h>

#include "proxy/base/open_files.h"
#include "proxy/config.h"
#include "proxy/telemetry/metrics.h"
#include "proxy/server/server_clock.h"

struct budget;             /* proxy/base/budget.h */
struct callers;            /* proxy/server/callers.h */
struct flight_table;       /* jmap/create/flight.h */
struct history;            /* proxy/telemetry/history.h */
struct keypair_store;      /* proxy/clients/keypair.h */
struct passthrough;        /* proxy/clients/passthrough.h */
struct replica_lock;       /* proxy/replicas/replica_lock.h */
struct domain_snapshots;   /* jmap/facts/domain_snapshot.h */
struct task_memory;        /* jmap/facts/memory.h */
struct service_credential; /* proxy/server/service_credential.h */

struct gate {
    const struct config *config;
    const char *own_address; /* from which the server is reached; "" where it is not known */
    const struct log *log;
    struct metrics *metrics;
    struct budget *budget; /* for requests that are needed whole */
    struct flight_table *flights;
    struct callers *callers;
    struct task_memory *memory;
    struct server_clock clock;
    struct domain_snapshots *snapshots;
    struct history *history;
    wall_time started;
    struct open_files files;
    struct replica_lock *replicas;         /* NULL: this is the only one */
    struct keypair_store *keypairs;        /* NULL: clients use plain HTTP */
    struct passthrough *passthrough;       /* NULL: a CA's challenges over TLS are nobody's */
    struct service_credential *credential; /* NULL: the gate has none of its own */
    atomic_bool draining;                  /* the process is being stopped */
};

#endif
