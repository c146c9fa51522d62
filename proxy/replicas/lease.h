#ifndef RENEWGATE_PROXY_REPLICAS_LEASE_H
#define RENEWGATE_PROXY_REPLICAS_LEASE_H

/*
 * The leases that this replica has, wants, or gives back, without I/O: what the lock server is to
 * be asked is written into a buffer, and its replies come back in the same order.
 *
 * A lease is asked for again and again while another replica has it, after short growing delays of
 * random length; once taken, it is renewed until it is given. So a lease outlasts any exchange, and
 * ends soon after its owner is killed.
 *
 * It belongs to one thread at a time: whoever shares a table locks it. `wake` is called from within
 * the functions here, so with that lock held.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/create/domain_lock.h"
#include "proxy/base/buffer.h"
#include "proxy/base/clock.h"
#include "proxy/replicas/lock_protocol.h"

/*
 * How long the lock server keeps a lease whose owner says nothing, and how often it says something.
 */
#define LEASE_LIFE_MILLISECONDS 30000
#define LEASE_RENEWAL_MILLISECONDS 10000
/*
 * What must be left of a lease for a write to begin under it. The server has this long to carry the
 * write out before, at the worst, another replica looks: when the process stops right after it.
 */
#define LEASE_MARGIN_MILLISECONDS 10000

#define LEASE_NAME_SIZE 32
#define LEASE_NOTE_SIZE 64

struct lease_table;

/* What became of leases; called from within the functions below. */
struct lease_events {
    /* It is taken, and this is the note that an earlier owner left; before the waker is called. */
    void (*taken)(void *user, const char *name, const char *note);
    /* Another replica has it, seen for the first time. */
    void (*waits)(void *user);
    void *user;
};

struct lease_terms {
    bool once; /* ask once; where another has it, that is the answer: LEASE_OTHERS */
    /* How long to wait for another replica to give it; after that: LEASE_LATE. */
    int64_t patience_ms;
    void (*wake)(void *user); /* as in struct domain_lock */
    void *user;
};

/* Begins disconnected. NULL when memory runs out; `prefix` is borrowed. */
struct lease_table *lease_table_create(const char *prefix, const struct lease_events *events);

/* Forgets all leases. NULL is allowed. */
void lease_table_destroy(struct lease_table *table);

void lease_table_connected(struct lease_table *table);

/*
 * The connection is gone. Who waits for a lease goes on waiting for as long as it may soon be back,
 * until `alone_at`, at the next lease_table_write().
 */
void lease_table_lost(struct lease_table *table, monotonic_time now, monotonic_time alone_at);

/* NULL while there is no lease to have, and when memory runs out. */
struct lease *lease_take(struct lease_table *table, const char *name,
                         const struct lease_terms *terms, monotonic_time now);

enum lease_state lease_state(const struct lease_table *table, const struct lease *lease,
                             monotonic_time now);

/* The caller's no more. The note is left for the next owner, for `note_life_ms`; "": none is. */
void lease_give(struct lease_table *table, struct lease *lease, const char *note,
                int64_t note_life_ms, monotonic_time now);

/*
 * The same where what its holder did may still be going on: nobody gets the lease before it runs
 * out, and the note is left at once.
 */
void lease_leave(struct lease_table *table, struct lease *lease, const char *note,
                 int64_t note_life_ms, monotonic_time now);

/* Appends the commands that are due, none while disconnected; false when memory runs out. */
bool lease_table_write(struct lease_table *table, monotonic_time now, struct buffer *out);

/* The next reply, to the oldest command; false where it is none that fits. */
bool lease_table_read(struct lease_table *table, const struct lock_reply *reply,
                      monotonic_time now);

/* When lease_table_write() has something to do again, and when the oldest command was written. */
monotonic_time lease_table_due(const struct lease_table *table);
monotonic_time lease_table_asked(const struct lease_table *table);

/* True when no lease is left, not even one that is being given back. */
bool lease_table_is_empty(const struct lease_table *table);

#endif
