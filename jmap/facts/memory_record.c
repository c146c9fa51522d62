#include "jmap/facts/memory_parts.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* 65,536 buckets of 16: 42 MiB at most. */
#define CERTIFICATE_BUCKETS ((size_t)1 << 16)

/*
 * Of the domains that were of no use for the longest time so many are looked at for one that has no
 * forwarded id: that is no hint, it is what stands between a domain and a second order.
 */
#define LOOKED_AT 16

_Static_assert(OBJECT_ID_SIZE <= SETBACK_ID_SIZE, "a task's id fits");

static int record_compare(const void *a, const void *b)
{
    const struct domain_memory *x = a, *y = b;

    return strcmp(x->domain_id, y->domain_id);
}

struct task_memory *task_memory_create(void)
{
    struct task_memory *memory = calloc(1, sizeof *memory);

    if (memory && pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return NULL;
    }
    if (memory)
        memory->certificates.limit = CERTIFICATE_BUCKETS;
    return memory;
}

static void free_record(void *record)
{
    free(((struct record *)record)->setback);
    free(((struct record *)record)->issues);
    free(record);
}

void task_memory_destroy(struct task_memory *memory)
{
    if (!memory)
        return;
    tdestroy(memory->domains, free_record);
    certificate_index_clear(&memory->certificates);
    order_book_clear(&memory->orders);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static void unlink_record(struct task_memory *memory, struct record *record)
{
    *(record->newer ? &record->newer->older : &memory->newest) = record->older;
    *(record->older ? &record->older->newer : &memory->oldest) = record->newer;
}

static void link_record(struct task_memory *memory, struct record *record)
{
    record->newer = NULL;
    record->older = memory->newest;
    *(memory->newest ? &memory->newest->newer : &memory->oldest) = record;
    memory->newest = record;
}

struct record *record_find(struct task_memory *memory, const char *domain_id)
{
    struct domain_memory key = {0};

    strncpy(key.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    struct record **found = tfind(&key, &memory->domains, record_compare);
    if (!found)
        return NULL;
    unlink_record(memory, *found);
    link_record(memory, *found);
    return *found;
}

void record_strike(struct task_memory *memory, const struct record *record, wall_time *at,
                   bool issued)
{
    if (!wall_time_equal(*at, WALL_TIME_NEVER))
        order_book_remove(&memory->orders, record->provider_id,
                          (struct order_time){.at = *at, .issued = issued});
    *at = WALL_TIME_NEVER;
}

void record_enter(struct task_memory *memory, const struct record *record, wall_time *at,
                  wall_time order, bool issued)
{
    if (!wall_time_equal(order, WALL_TIME_NEVER) &&
        order_book_add(&memory->orders, record->provider_id,
                       (struct order_time){.at = order, .issued = issued}))
        *at = order;
}

void record_strike_issues(struct task_memory *memory, struct record *record)
{
    for (size_t i = 0; i < record->issue_count; i++) {
        wall_time at = record->issues[i].at;
        if (record->issues[i].booked)
            record_strike(memory, record, &at, true);
        record->issues[i].booked = false;
    }
}

void record_drop(struct task_memory *memory, struct record *record)
{
    record_strike_issues(memory, record);
    record_strike(memory, record, &record->ordered, true);
    record_strike(memory, record, &record->queued, false);
    tdelete(record, &memory->domains, record_compare);
    unlink_record(memory, record);
    memory->count--;
    free_record(record);
}

static void make_room(struct task_memory *memory)
{
    struct record *victim = memory->oldest;
    int looked_at = 0;

    if (memory->count < MEMORY_DOMAINS)
        return;
    while (victim && victim->domain.forwarded_id[0] && ++looked_at < LOOKED_AT)
        victim = victim->newer;
    if (!victim || victim->domain.forwarded_id[0])
        victim = memory->oldest;
    record_drop(memory, victim);
}

struct record *record_of(struct task_memory *memory, const char *domain_id)
{
    struct record *record = record_find(memory, domain_id);

    if (record)
        return record;
    record = calloc(1, sizeof *record);
    if (!record)
        return NULL;
    make_room(memory);
    strncpy(record->domain.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    record->ordered = record->queued = record->before = WALL_TIME_NEVER;
    if (!tsearch(record, &memory->domains, record_compare)) {
        free(record);
        return NULL;
    }
    link_record(memory, record);
    memory->count++;
    return record;
}
