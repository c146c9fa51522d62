#include "jmap/facts/memory_parts.h"

#include <stdlib.h>
#include <string.h>

#include "policy/hash.h"

/* 65,536 buckets of 16: 42 MiB at most. */
#define CERTIFICATE_BUCKETS ((size_t)1 << 16)

/*
 * Of the domains that were of no use for the longest time so many are looked at for one that has no
 * forwarded id: that is no hint, it is what stands between a domain and a second order.
 */
#define LOOKED_AT 16

_Static_assert(OBJECT_ID_SIZE <= SETBACK_ID_SIZE, "a task's id fits");

/* Doubled with each time that it is full: a hash finds a domain among any number in one step. */
#define FIRST_BUCKETS 64

struct task_memory *task_memory_create(void)
{
    struct task_memory *memory = calloc(1, sizeof *memory);

    if (memory && pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return NULL;
    }
    if (memory) {
        memory->certificates.limit = CERTIFICATE_BUCKETS;
        memory->objects_a_call = OBJECTS_A_CALL;
    }
    return memory;
}

static void free_record(struct record *record)
{
    free(record->setback);
    free(record->issues);
    free(record);
}

void task_memory_destroy(struct task_memory *memory)
{
    if (!memory)
        return;
    for (struct record *record = memory->newest, *older; record; record = older) {
        older = record->older;
        free_record(record);
    }
    free(memory->buckets);
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

static struct record **bucket_of(struct task_memory *memory, uint64_t hash)
{
    return &memory->buckets[hash & (memory->bucket_count - 1)];
}

static void put_hashed(struct task_memory *memory, struct record *record)
{
    struct record **bucket = bucket_of(memory, record->hash);

    record->next = *bucket;
    *bucket = record;
}

/* Where there is no memory for more of them, each has more records. False where there is none. */
static bool grow_buckets(struct task_memory *memory)
{
    size_t count = memory->bucket_count ? 2 * memory->bucket_count : FIRST_BUCKETS;
    struct record **buckets;

    if (memory->count < memory->bucket_count)
        return true;
    buckets = calloc(count, sizeof *buckets);
    if (!buckets)
        return memory->bucket_count > 0;
    free(memory->buckets);
    memory->buckets = buckets;
    memory->bucket_count = count;
    for (struct record *record = memory->newest; record; record = record->older)
        put_hashed(memory, record);
    return true;
}

static struct record *find_hashed(struct task_memory *memory, uint64_t hash, const char *domain_id)
{
    struct record *record = memory->bucket_count > 0 ? *bucket_of(memory, hash) : NULL;

    while (record && (record->hash != hash ||
                      strncmp(record->domain.domain_id, domain_id, OBJECT_ID_SIZE - 1) != 0))
        record = record->next;
    if (record) {
        unlink_record(memory, record);
        link_record(memory, record);
    }
    return record;
}

/* Of what is kept of a longer one, which no server has. */
static uint64_t hash_of(const char *domain_id)
{
    return hash_add(HASH_BEGIN, domain_id, strnlen(domain_id, OBJECT_ID_SIZE - 1));
}

struct record *record_find(struct task_memory *memory, const char *domain_id)
{
    return find_hashed(memory, hash_of(domain_id), domain_id);
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
    struct record **place = bucket_of(memory, record->hash);
    while (*place != record)
        place = &(*place)->next;
    *place = record->next;
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
    uint64_t hash = hash_of(domain_id);
    struct record *record = find_hashed(memory, hash, domain_id);

    if (record)
        return record;
    record = grow_buckets(memory) ? calloc(1, sizeof *record) : NULL;
    if (!record)
        return NULL;
    make_room(memory);
    strncpy(record->domain.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    record->ordered = record->queued = record->before = WALL_TIME_NEVER;
    record->hash = hash;
    put_hashed(memory, record);
    link_record(memory, record);
    memory->count++;
    return record;
}
