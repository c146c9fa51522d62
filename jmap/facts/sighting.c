#include "jmap/facts/sighting.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/utf8.h"

struct sightings {
    pthread_mutex_t lock;
    void *domains; /* tsearch(3) tree of struct record */
};

struct record {
    struct sighting sighting; /* first: what the tree compares; its texts follow */
    char texts[];
};

static int sighting_compare(const void *a, const void *b)
{
    return strcmp(((const struct sighting *)a)->domain_id, ((const struct sighting *)b)->domain_id);
}

struct sighting sighting_of(const struct lookup_domain *found, const struct held *held,
                            wall_time now)
{
    struct sighting sighting = {
        .not_before = found->certificate_id ? found->newest_begin : WALL_TIME_NEVER,
        .not_after = found->certificate_id ? found->newest_expiry : WALL_TIME_NEVER,
        .renewal_due = found->renewal_due,
        .refused_until = held->until,
        .held_by = held->by,
        .failures = (unsigned)held->failures,
        .task_due = WALL_TIME_NEVER,
        .seen = now,
        .name = found->name,
        .failure = held->reason ? held->reason : "",
    };

    strncpy(sighting.domain_id, found->id, OBJECT_ID_SIZE - 1);
    for (size_t i = 0; i < found->task_count; i++)
        sighting_add_task(&sighting, &found->tasks[i]);
    return sighting;
}

static void show_task(struct sighting *sighting, const struct renewal_task *task)
{
    strncpy(sighting->task_id, task->id, OBJECT_ID_SIZE - 1);
    sighting->task_due = task->due;
    sighting->task_retries = task->state == TASK_RETRY;
}

void sighting_add_task(struct sighting *sighting, const struct renewal_task *task)
{
    if (task->state == TASK_FAILED)
        return;
    sighting->task_count++;
    if (sighting->task_count == 1 || wall_time_before(task->due, sighting->task_due))
        show_task(sighting, task);
}

void sighting_keep_task(struct sighting *sighting, const struct lookup_domain *found,
                        const char *task_id)
{
    sighting->task_count = 1;
    for (size_t i = 0; i < found->task_count; i++) {
        if (strcmp(found->tasks[i].id, task_id) == 0 && strcmp(sighting->task_id, task_id) != 0)
            show_task(sighting, &found->tasks[i]);
    }
    /* What the CA has refused is put off by a collapse. */
    if (sighting->task_retries)
        sighting->task_due = wall_time_later(sighting->task_due, sighting->refused_until);
}

void sighting_set_task(struct sighting *sighting, const char *task_id, wall_time due)
{
    bool moved = strcmp(sighting->task_id, task_id) == 0;

    if (!moved)
        sighting->task_count++;
    strncpy(sighting->task_id, task_id, OBJECT_ID_SIZE - 1);
    sighting->task_due = due;
    sighting->task_retries = false;
}

bool sighting_is_stuck(const struct sighting *sighting, int64_t stuck_after_seconds)
{
    return sighting->task_count > 0 &&
           renewal_task_stuck(&(struct renewal_task){.due = sighting->task_due}, sighting->seen,
                              stuck_after_seconds > 0 ? stuck_after_seconds
                                                      : RENEWAL_TASK_STUCK_SECONDS);
}

enum standing sighting_standing(const struct sighting *sighting, wall_time now)
{
    return standing_of(&(struct standing_facts){.not_after = sighting->not_after,
                                                .renewal_due = sighting->renewal_due,
                                                .refused_until = sighting->refused_until},
                       now);
}

struct sightings *sightings_create(void)
{
    struct sightings *sightings = calloc(1, sizeof *sightings);

    if (sightings && pthread_mutex_init(&sightings->lock, NULL) != 0) {
        free(sightings);
        return NULL;
    }
    return sightings;
}

void sightings_destroy(struct sightings *sightings)
{
    if (!sightings)
        return;
    tdestroy(sightings->domains, free);
    pthread_mutex_destroy(&sightings->lock);
    free(sightings);
}

static struct record *record_of(const struct sighting *sighting)
{
    size_t len = strnlen(sighting->name, SIGHTING_NAME_SIZE - 1);
    const char *failure = sighting->failure ? sighting->failure : "";
    size_t failure_len = strnlen(failure, SIGHTING_FAILURE_SIZE - 1);
    struct record *record = malloc(sizeof *record + len + failure_len + 2);
    if (!record)
        return NULL;
    record->sighting = *sighting;
    record->sighting.name = record->texts;
    record->sighting.failure = record->texts + len + 1;
    utf8_copy(record->texts, len + 1, sighting->name);
    utf8_copy(record->texts + len + 1, failure_len + 1, failure);
    return record;
}

/* Replaces what was seen before the time `until`. */
static void store(struct sightings *sightings, const struct sighting *sighting, wall_time until)
{
    struct record *record = record_of(sighting);
    if (!record)
        return;
    pthread_mutex_lock(&sightings->lock);
    struct record **found = tsearch(record, &sightings->domains, sighting_compare);
    struct record *left_over = found && *found == record ? NULL : record;
    if (left_over && found && !wall_time_before(until, (*found)->sighting.seen)) {
        left_over = *found;
        *found = record;
    }
    pthread_mutex_unlock(&sightings->lock);
    free(left_over);
}

void sightings_store(struct sightings *sightings, const struct sighting *sighting)
{
    store(sightings, sighting, WALL_TIME_FOREVER);
}

void sightings_store_latest(struct sightings *sightings, const struct sighting *sighting)
{
    store(sightings, sighting, sighting->seen);
}

/* With the table locked. */
static void sighting_forget(struct sightings *sightings, const struct sighting *key)
{
    struct record **found = tfind(key, &sightings->domains, sighting_compare);
    struct record *record = found ? *found : NULL;
    if (!record)
        return;
    tdelete(key, &sightings->domains, sighting_compare);
    free(record);
}

void sightings_forget(struct sightings *sightings, const char *domain_id)
{
    struct sighting key = {0};

    strncpy(key.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_lock(&sightings->lock);
    sighting_forget(sightings, &key);
    pthread_mutex_unlock(&sightings->lock);
}

bool sightings_find(struct sightings *sightings, const char *domain_id, struct sighting *out,
                    struct sighting_texts *texts)
{
    struct sighting key = {0};

    strncpy(key.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_lock(&sightings->lock);
    struct record **found = tfind(&key, &sightings->domains, sighting_compare);
    if (found) {
        *out = (*found)->sighting;
        utf8_copy(texts->name, SIGHTING_NAME_SIZE, out->name);
        utf8_copy(texts->failure, SIGHTING_FAILURE_SIZE, out->failure);
        out->name = texts->name;
        out->failure = texts->failure;
    }
    pthread_mutex_unlock(&sightings->lock);
    return found;
}

struct visitor {
    void (*visit)(void *user, const struct sighting *sighting);
    void *user;
};

static void visit_node(const void *node, VISIT order, void *user)
{
    const struct visitor *visitor = user;

    if (order == postorder || order == leaf)
        visitor->visit(visitor->user, &(*(struct record *const *)node)->sighting);
}

/* With the table locked. */
static void walk(struct sightings *sightings,
                 void (*visit)(void *user, const struct sighting *sighting), void *user)
{
    twalk_r(sightings->domains, visit_node, &(struct visitor){.visit = visit, .user = user});
}

void sightings_each(struct sightings *sightings,
                    void (*visit)(void *user, const struct sighting *sighting), void *user)
{
    pthread_mutex_lock(&sightings->lock);
    walk(sightings, visit, user);
    pthread_mutex_unlock(&sightings->lock);
}

struct old_ones {
    wall_time since;
    const struct sighting **items;
    size_t count, capacity;
};

static void pick_old(void *user, const struct sighting *sighting)
{
    struct old_ones *old = user;

    if (old->count < old->capacity && wall_time_before(sighting->seen, old->since))
        old->items[old->count++] = sighting;
}

static void count_one(void *user, const struct sighting *sighting)
{
    (void)sighting;
    (*(size_t *)user)++;
}

void sightings_forget_before(struct sightings *sightings, wall_time since)
{
    struct old_ones old = {.since = since};

    pthread_mutex_lock(&sightings->lock);
    walk(sightings, count_one, &old.capacity);
    old.items = calloc(old.capacity + 1, sizeof *old.items);
    if (old.items) {
        walk(sightings, pick_old, &old);
        for (size_t i = 0; i < old.count; i++)
            sighting_forget(sightings, old.items[i]);
    }
    pthread_mutex_unlock(&sightings->lock);
    free(old.items);
}
