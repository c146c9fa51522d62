#ifndef RENEWGATE_JMAP_CREATE_HOLD_CONTEXT_H
#define RENEWGATE_JMAP_CREATE_HOLD_CONTEXT_H

/*
 * What a hold (jmap/create/hold.h) needs of the world around it, and what it asks of it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/create/hold_report.h"
#include "policy/hold_settings.h"

struct domain_lock;      /* jmap/create/domain_lock.h */
struct flight_table;     /* jmap/create/flight.h */
struct domain_snapshots; /* jmap/facts/domain_snapshot.h */
struct task_memory;      /* jmap/facts/memory.h */
struct queue_change;     /* jmap/tidy/queue_change.h */

enum hold_step {
    HOLD_SEND,
    HOLD_WAIT,
    HOLD_DONE,
};

enum hold_credential {
    HOLD_AS_CALLER,  /* the caller's Authorization and forwarded address */
    HOLD_AS_SERVICE, /* the gate's own Authorization */
};

/* What to send to the server's API endpoint. Bytes are the hold's own, until the next feed. */
struct hold_request {
    enum hold_credential credential;
    /*
     * A look-up, or another question or step that may be sent twice, as of a proof and of a
     * collapse. One may take RENEWGATE_LOOKUP_TIMEOUT, all of a hold RENEWGATE_IDLE_TIMEOUT.
     */
    bool is_lookup;
    bool is_session;   /* GET /jmap/session in place of a POST */
    bool keep_headers; /* the client's own request: its target and header fields go along */
    const char *body;
    size_t len;
};

/* What the hold needs of the world around it. All borrowed for the hold's lifetime. */
struct hold_context {
    const struct hold_settings *settings;
    struct flight_table *flights;
    const struct domain_lock *lock; /* shared by replicas; NULL: this is the only one */
    struct task_memory *memory;
    struct domain_snapshots *snapshots; /* or NULL */
    bool forced;                        /* the request carried Renewgate-Force: 1 */
    bool stranger; /* nobody knows yet that the server lets the caller create renewals */
    /* What was learnt of that; or NULL. */
    void (*caller_noted)(void *user, bool may_create);
    wall_time (*now)(void *user);
    /* Called from any thread, once per HOLD_WAIT and even before it; the driver then calls
     * hold_woken() on the hold's own thread. */
    void (*wake)(void *user);
    void (*report)(void *user, const struct hold_report *report);
    void (*changed)(void *user, const struct queue_change *change); /* or NULL */
    void *user;
};

#endif
