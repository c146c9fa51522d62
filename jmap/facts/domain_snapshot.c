#include "jmap/facts/domain_snapshot.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/utf8.h"

struct domain_snapshots {
    pthread_mutex_t lock;
    void *domains; /* tsearch(3) tree of struct record */
};

struct record {
    struct domain_snapshot snapshot; /* first: what the tree compares; its texts follow */
    char texts[];
};

static int domain_snapshot_compare(const void *a, const void *b)
{
    return strcmp(((const struct domain_snapshot *)a)->domain_id,
                  ((const struct domain_snapshot *)b)->domain_id);
}

struct domain_snapshot domain_snapshot_of(const struct lookup_domain *found,
                                          const struct held *held, wall_time now)
{
    struct domain_snapshot snapshot = {
        .not_before = found->certificate_id[0] ? found->newest_begin : WALL_TIME_NEVER,
        .not_after = found->certificate_id[0] ? found->newest_expiry : WALL_TIME_NEVER,
        .renewal_due = found->renewal_due,
        .refused_until = held->until,
        .held_by = held->by,
        .failures = (unsigned)held->failures,
        .task_due = WALL_TIME_NEVER,
        .seen = now,
        .name = found->name,
        .failure = held->reason ? held->reason : "",
    };

    strncpy(snapshot.domain_id, found->id, OBJECT_ID_SIZE - 1);
    for (size_t i = 0; i < found->task_count; i++)
        domain_snapshot_add_task(&snapshot, &found->tasks[i]);
    return snapshot;
}

static void show_task(struct domain_snapshot *snapshot, const struct renewal_task *task)
{
    strncpy(snapshot->task_id, task->id, OBJECT_ID_SIZE - 1);
    snapshot->task_due = task->due;
    snapshot->task_retries = task->state == TASK_RETRY;
}

void domain_snapshot_add_task(struct domain_snapshot *snapshot, const struct renewal_task *task)
{
    if (task->state == TASK_FAILED)
        return;
    snapshot->task_count++;
    if (snapshot->task_count == 1 || wall_time_before(task->due, snapshot->task_due))
        show_task(snapshot, task);
}

void domain_snapshot_keep_task(struct domain_snapshot *snapshot, const struct lookup_domain *found,
                               const char *task_id)
{
    snapshot->task_count = 1;
    for (size_t i = 0; i < found->task_count; i++) {
        if (strcmp(found->tasks[i].id, task_id) == 0 && strcmp(snapshot->task_id, task_id) != 0)
            show_task(snapshot, &found->tasks[i]);
    }
    /* What the CA has refused is put off by a collapse. */
    if (snapshot->task_retries)
        snapshot->task_due = wall_time_later(snapshot->task_due, snapshot->refused_until);
}

void domain_snapshot_set_task(struct domain_snapshot *snapshot, const char *task_id, wall_time due)
{
    bool moved = strcmp(snapshot->task_id, task_id) == 0;

    if (!moved)
        snapshot->task_count++;
    strncpy(snapshot->task_id, task_id, OBJECT_ID_SIZE - 1);
    snapshot->task_due = due;
    snapshot->task_retries = false;
}

bool domain_snapshot_is_stuck(const struct domain_snapshot *snapshot, int64_t stuck_after_seconds)
{
    return snapshot->task_count > 0 &&
           renewal_task_stuck(&(struct renewal_task){.due = snapshot->task_due}, snapshot->seen,
                              stuck_after_seconds > 0 ? stuck_after_seconds
                                                      : RENEWAL_TASK_STUCK_SECONDS);
}

enum standing domain_snapshot_standing(const struct domain_snapshot *snapshot, wall_time now)
{
    return standing_of(&(struct standing_facts){.not_after = snapshot->not_after,
                                                .renewal_due = snapshot->renewal_due,
                                                .refused_until = snapshot->refused_until},
                       now);
}

struct domain_snapshots *domain_snapshots_create(void)
{
    struct domain_snapshots *snapshots = calloc(1, sizeof *snapshots);

    if (snapshots && pthread_mutex_init(&snapshots->lock, NULL) != 0) {
        free(snapshots);
        return NULL;
    }
    return snapshots;
}

void domain_snapshots_destroy(struct domain_snapshots *snapshots)
{
    if (!snapshots)
        return;
    tdestroy(snapshots->domains, free);
    pthread_mutex_destroy(&snapshots->lock);
    free(snapshots);
}

static struct record *record_of(const struct domain_snapshot *snapshot)
{
    size_t len = strnlen(snapshot->name, DOMAIN_SNAPSHOT_NAME_SIZE - 1);
    const char *failure = snapshot->failure ? snapshot->failure : "";
    size_t failure_len = strnlen(failure, DOMAIN_SNAPSHOT_FAILURE_SIZE - 1);
    struct record *record = malloc(sizeof *record + len + failure_len + 2);
    if (!record)
        return NULL;
    record->snapshot = *snapshot;
    record->snapshot.name = record->texts;
    record->snapshot.failure = record->texts + len + 1;
    utf8_copy(record->texts, len + 1, snapshot->name);
    utf8_copy(record->texts + len + 1, failure_len + 1, failure);
    return record;
}

/* Replaces what was seen before the time `until`. */
static void store(struct domain_snapshots *snapshots, const struct domain_snapshot *snapshot,
                  wall_time until)
{
    struct record *record = record_of(snapshot);
    if (!record)
        return;
    pthread_mutex_lock(&snapshots->lock);
    struct record **found = tsearch(record, &snapshots->domains, domain_snapshot_compare);
    struct record *left_over = found && *found == record ? NULL : record;
    if (left_over && found && !wall_time_before(until, (*found)->snapshot.seen)) {
        left_over = *found;
        *found = record;
    }
    pthread_mutex_unlock(&snapshots->lock);
    free(left_over);
}

void domain_snapshots_store(struct domain_snapshots *snapshots,
                            const struct domain_snapshot *snapshot)
{
    store(snapshots, snapshot, WALL_TIME_FOREVER);
}

void domain_snapshots_store_latest(struct domain_snapshots *snapshots,
                                   const struct domain_snapshot *snapshot)
{
    store(snapshots, snapshot, snapshot->seen);
}

/* With the table locked. */
static void domain_snapshot_forget(struct domain_snapshots *snapshots,
                                   const struct domain_snapshot *key)
{
    struct record **found = tfind(key, &snapshots->domains, domain_snapshot_compare);
    struct record *record = found ? *found : NULL;
    if (!record)
        return;
    tdelete(key, &snapshots->domains, domain_snapshot_compare);
    free(record);
}

void domain_snapshots_forget(struct domain_snapshots *snapshots, const char *domain_id)
{
    struct domain_snapshot key = {0};

    strncpy(key.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_lock(&snapshots->lock);
    domain_snapshot_forget(snapshots, &key);
    pthread_mutex_unlock(&snapshots->lock);
}

bool domain_snapshots_find(struct domain_snapshots *snapshots, const char *domain_id,
                           struct domain_snapshot *out, struct domain_snapshot_texts *texts)
{
    struct domain_snapshot key = {0};

    strncpy(key.domain_id, domain_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_lock(&snapshots->lock);
    struct record **found = tfind(&key, &snapshots->domains, domain_snapshot_compare);
    if (found) {
        *out = (*found)->snapshot;
        utf8_copy(texts->name, DOMAIN_SNAPSHOT_NAME_SIZE, out->name);
        utf8_copy(texts->failure, DOMAIN_SNAPSHOT_FAILURE_SIZE, out->failure);
        out->name = texts->name;
        out->failure = texts->failure;
    }
    pthread_mutex_unlock(&snapshots->lock);
    return found;
}

struct visitor {
    void (*visit)(void *user, const struct domain_snapshot *snapshot);
    void *user;
};

static void visit_node(const void *node, VISIT order, void *user)
{
    const struct visitor *visitor = user;

    if (order == postorder || order == leaf)
        visitor->visit(visitor->user, &(*(struct record *const *)node)->snapshot);
}

/* With the table locked. */
static void walk(struct domain_snapshots *snapshots,
                 void (*visit)(void *user, const struct domain_snapshot *snapshot), void *user)
{
    twalk_r(snapshots->domains, visit_node, &(struct visitor){.visit = visit, .user = user});
}

void domain_snapshots_each(struct domain_snapshots *snapshots,
                           void (*visit)(void *user, const struct domain_snapshot *snapshot),
                           void *user)
{
    pthread_mutex_lock(&snapshots->lock);
    walk(snapshots, visit, user);
    pthread_mutex_unlock(&snapshots->lock);
}

struct old_ones {
    wall_time since;
    const struct domain_snapshot **items;
    size_t count, capacity;
};

static void pick_old(void *user, const struct domain_snapshot *snapshot)
{
    struct old_ones *old = user;

    if (old->count < old->capacity && wall_time_before(snapshot->seen, old->since))
        old->items[old->count++] = snapshot;
}

static void count_one(void *user, const struct domain_snapshot *snapshot)
{
    (void)snapshot;
    (*(size_t *)user)++;
}

void domain_snapshots_forget_before(struct domain_snapshots *snapshots, wall_time since)
{
    struct old_ones old = {.since = since};

    pthread_mutex_lock(&snapshots->lock);
    walk(snapshots, count_one, &old.capacity);
    old.items = calloc(old.capacity + 1, sizeof *old.items);
    if (old.items) {
        walk(snapshots, pick_old, &old);
        for (size_t i = 0; i < old.count; i++)
            domain_snapshot_forget(snapshots, old.items[i]);
    }
    pthread_mutex_unlock(&snapshots->lock);
    free(old.items);
}
