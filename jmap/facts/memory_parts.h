#ifndef RENEWGATE_JMAP_FACTS_MEMORY_PARTS_H
#define RENEWGATE_JMAP_FACTS_MEMORY_PARTS_H

/*
 * What the parts of the memory (jmap/facts/memory.h) share; nobody else includes it.
 *
 *     memory.c           hints
 *     memory_orders.c    when the CA has issued and will, for the limit of an account
 *     memory_record.c    a record for each domain, found by its id and in the order of their use
 *
 * One lock is over all of it, which must be held here.
 */

#include <pthread.h>

#include "jmap/facts/memory.h"
#include "jmap/facts/order_book.h"

/* The list has them by use, the latest first. */
struct record {
    struct domain_memory domain;
    struct record *newer, *older;
    struct record *next;     /* with a hash like its own */
    uint64_t hash;           /* of its id */
    struct setback *setback; /* NULL where its tasks tell of none */
    struct issue *issues;    /* newest first; NULL where there is none */
    size_t issue_count;
    uint64_t ca; /* of the last look at them */
    char provider_id[OBJECT_ID_SIZE];
    wall_time ordered, queued; /* what stands of it in the book; or WALL_TIME_NEVER */
    bool taken;                /* `queued` was given to it, and not only seen */
    bool pending;              /* and whether a task is made for then is not known yet */
    wall_time before;          /* what `queued` was then; it is that again where none is made */
    uint64_t settled;          /* at which of the memory's moments that was known */
};

struct task_memory {
    pthread_mutex_t lock;
    struct record **buckets; /* of the domains by their hashes; a power of two */
    size_t bucket_count;
    struct record *newest, *oldest;
    size_t count;
    struct certificate_index certificates;
    struct order_book orders;
    uint64_t moment; /* counts what has become of times that were taken */
    char hostname[HOSTNAME_SIZE];
    bool failed_stay;
    size_t objects_a_call;
    void (*told_unreadable)(void *user, const char *domain_id, const char *task_id); /* or NULL */
    void *user;
};

/* What is remembered of a domain, which counts as a use; NULL: nothing. */
struct record *record_find(struct task_memory *memory, const char *domain_id);

/* The same, empty where nothing was. NULL when memory runs out. */
struct record *record_of(struct task_memory *memory, const char *domain_id);

void record_drop(struct task_memory *memory, struct record *record);

/* Puts an order of the domain into the book of its account, which is kept at `at` if that is done;
 * and takes it out. */
void record_enter(struct task_memory *memory, const struct record *record, wall_time *at,
                  wall_time order, bool issued);
void record_strike(struct task_memory *memory, const struct record *record, wall_time *at,
                   bool issued);
void record_strike_issues(struct task_memory *memory, struct record *record);

#endif
