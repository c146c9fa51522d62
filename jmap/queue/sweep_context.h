#ifndef RENEWGATE_JMAP_QUEUE_SWEEP_CONTEXT_H
#define RENEWGATE_JMAP_QUEUE_SWEEP_CONTEXT_H

/*
 * What a sweep needs of the world around it, for all domains (jmap/queue/sweep.h) and for the one
 * at hand (jmap/queue/upkeep.h).
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/wire/object_id.h"
#include "policy/hold_settings.h"
#include "policy/wall_time.h"

struct domain_lock;      /* jmap/create/domain_lock.h */
struct flight_table;     /* jmap/create/flight.h */
struct queue_change;     /* jmap/tidy/queue_change.h */
struct domain_snapshots; /* jmap/facts/domain_snapshot.h */
struct task_memory;      /* jmap/facts/memory.h */

/* Where a sweep begins: zeroed for the first one, and kept from one to the next. */
struct sweep_place {
    char after[OBJECT_ID_SIZE]; /* behind this domain; "": with the lowest */
    size_t at_a_time;           /* so many are looked over together; 0: as many as can be */
};

/* A domain that was passed over. Valid during the call that tells it only. */
struct sweep_skip {
    const char *domain_id;
    const char *domain_name; /* NULL where it is not known */
    const char *error;       /* why, in words; static */
    unsigned status;         /* of the server's answer */
};

/* All borrowed for the sweep's lifetime. */
struct sweep_context {
    const struct hold_settings *settings;
    struct flight_table *flights;
    struct task_memory *memory;
    struct domain_snapshots *snapshots; /* or NULL */
    const struct domain_lock *lock;     /* shared by replicas; NULL: this is the only one */
    bool remembers;                     /* notes in the memory what creates to come can use */
    bool dry_run;                       /* reads and tells what it would do, and changes nothing */
    wall_time (*now)(void *user);
    void (*wake)(void *user); /* from any thread, at most once per MACHINE_WAIT */
    void (*changed)(void *user, const struct queue_change *change);
    void (*skipped)(void *user, const struct sweep_skip *skip);
    struct sweep_place *place;
    void *user;
};

#endif
