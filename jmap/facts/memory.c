#include "jmap/facts/memory.h"

#include "jmap/facts/order_book.h"

#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 65,536 buckets of 16: 42 MiB at most. */
#define CERTIFICATE_BUCKETS ((size_t)1 << 16)

/*
 * Of the domains that were of no use for the longest time so many are looked at for one that has no
 * forwarded id: that is no hint, it is what stands between a domain and a second order.
 */
#define LOOKED_AT 16

/* So far ahead queued tasks count against an account's limit, and so far back orders: 8 days. */
#define QUEUED_AHEAD_SECONDS (INT64_C(8) * 86400)

/* The list has them by use, the latest first. */
struct record {
    struct domain_memory domain; /* first: what the tree compares */
    struct record *newer, *older;
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
    void *domains; /* tsearch(3) tree of struct record */
    struct record *newest, *oldest;
    size_t count;
    struct certificate_index certificates;
    struct order_book orders;
    uint64_t moment; /* counts what has become of times that were taken */
    char hostname[HOSTNAME_SIZE];
    bool failed_stay;
    void (*told_unreadable)(void *user, const char *domain_id, const char *task_id); /* or NULL */
    void *user;
};

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

/* With the lock held: what is remembered of a domain, which counts as a use. */
static struct record *memory_find(struct task_memory *memory, const char *domain_id)
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

static void strike(struct task_memory *memory, const struct record *record, wall_time *at,
                   bool issued)
{
    if (!wall_time_equal(*at, WALL_TIME_NEVER))
        order_book_remove(&memory->orders, record->provider_id,
                          (struct order_time){.at = *at, .issued = issued});
    *at = WALL_TIME_NEVER;
}

static void memory_enter(struct task_memory *memory, const struct record *record, wall_time *at,
                         wall_time order, bool issued)
{
    if (!wall_time_equal(order, WALL_TIME_NEVER) &&
        order_book_add(&memory->orders, record->provider_id,
                       (struct order_time){.at = order, .issued = issued}))
        *at = order;
}

/* The issues of the account's own CA that are not too far back, in the book or out of it. */

static void strike_issues(struct task_memory *memory, struct record *record)
{
    for (size_t i = 0; i < record->issue_count; i++) {
        wall_time at = record->issues[i].at;
        if (record->issues[i].booked)
            strike(memory, record, &at, true);
        record->issues[i].booked = false;
    }
}

static void enter_issues(struct task_memory *memory, struct record *record, wall_time now)
{
    wall_time past = wall_time_add(now, -QUEUED_AHEAD_SECONDS);

    for (size_t i = 0; i < record->issue_count; i++) {
        struct issue *issue = &record->issues[i];
        bool counts = issue->ca == record->ca && wall_time_before(past, issue->at) &&
                      !wall_time_before(now, issue->at);
        wall_time at = issue->booked ? issue->at : WALL_TIME_NEVER;

        if (issue->booked && !counts)
            strike(memory, record, &at, true);
        else if (!issue->booked && counts)
            memory_enter(memory, record, &at, issue->at, true);
        issue->booked = !wall_time_equal(at, WALL_TIME_NEVER);
    }
}

static void drop(struct task_memory *memory, struct record *record)
{
    strike_issues(memory, record);
    strike(memory, record, &record->ordered, true);
    strike(memory, record, &record->queued, false);
    tdelete(record, &memory->domains, record_compare);
    unlink_record(memory, record);
    memory->count--;
    free_record(record);
}

static void memory_make_room(struct task_memory *memory)
{
    struct record *victim = memory->oldest;
    int looked_at = 0;

    if (memory->count < MEMORY_DOMAINS)
        return;
    while (victim && victim->domain.forwarded_id[0] && ++looked_at < LOOKED_AT)
        victim = victim->newer;
    if (!victim || victim->domain.forwarded_id[0])
        victim = memory->oldest;
    drop(memory, victim);
}

void memory_recall(struct task_memory *memory, const char *domain_id, struct domain_memory *out)
{
    memset(out, 0, sizeof *out);
    strncpy(out->domain_id, domain_id, sizeof out->domain_id - 1);

    pthread_mutex_lock(&memory->lock);
    const struct record *record = memory_find(memory, domain_id);
    if (record)
        *out = record->domain;
    pthread_mutex_unlock(&memory->lock);
}

/* With the lock held: what is remembered of a domain, empty where nothing was. NULL: no memory. */
static struct record *memory_place_of(struct task_memory *memory, const char *domain_id)
{
    struct record *record = memory_find(memory, domain_id);

    if (record)
        return record;
    record = calloc(1, sizeof *record);
    if (!record)
        return NULL;
    memory_make_room(memory);
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

void memory_forget(struct task_memory *memory, const char *domain_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    if (record)
        drop(memory, record);
    pthread_mutex_unlock(&memory->lock);
}

void memory_store(struct task_memory *memory, const struct domain_memory *domain)
{
    pthread_mutex_lock(&memory->lock);
    struct record *place = memory_place_of(memory, domain->domain_id);
    if (place)
        place->domain = *domain;
    pthread_mutex_unlock(&memory->lock);
}

/* Where the task belongs; its own place if it is known already. */
static char *place_for(struct domain_memory *domain, const char *task_id)
{
    for (size_t i = 0; i + 1 < MEMORY_TASKS; i++) {
        if (!domain->task_ids[i][0] || strcmp(domain->task_ids[i], task_id) == 0)
            return domain->task_ids[i];
    }
    return domain->task_ids[MEMORY_TASKS - 1];
}

void memory_note_task(struct task_memory *memory, const char *domain_id, const char *task_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *place = memory_place_of(memory, domain_id);
    if (place)
        strncpy(place_for(&place->domain, task_id), task_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_unlock(&memory->lock);
}

void memory_forget_task(struct task_memory *memory, const char *domain_id, const char *task_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    struct domain_memory *place = record ? &record->domain : NULL;
    size_t kept = 0;
    bool known = false;
    for (size_t i = 0; place && i < MEMORY_TASKS; i++) {
        if (strcmp(place->task_ids[i], task_id) == 0)
            known = true;
        else if (kept++ != i)
            memcpy(place->task_ids[kept - 1], place->task_ids[i], OBJECT_ID_SIZE);
    }
    for (; place && kept < MEMORY_TASKS; kept++)
        place->task_ids[kept][0] = '\0';
    if (place && strcmp(place->forwarded_id, task_id) == 0)
        place->forwarded_id[0] = '\0';
    pthread_mutex_unlock(&memory->lock);
    if (known && memory->told_unreadable)
        memory->told_unreadable(memory->user, domain_id, task_id);
}

void memory_watch_unreadable(struct task_memory *memory,
                             void (*told)(void *user, const char *domain_id, const char *task_id),
                             void *user)
{
    memory->told_unreadable = told;
    memory->user = user;
}

void memory_note_renewal(struct task_memory *memory, const char *domain_id,
                         const char *certificate_id, wall_time renewal_due, const char *search_name)
{
    bool fits = strlen(search_name) < SEARCH_NAME_SIZE;

    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_place_of(memory, domain_id);
    struct domain_memory *place = record ? &record->domain : NULL;
    if (place) {
        strncpy(place->certificate_id, certificate_id, OBJECT_ID_SIZE - 1);
        strncpy(place->search_name, fits ? search_name : "", SEARCH_NAME_SIZE - 1);
        place->renewal_due = renewal_due;
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_sought(struct task_memory *memory, const char *domain_id, wall_time renewal_due)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_place_of(memory, domain_id);
    if (record)
        record->domain.sought_due = renewal_due;
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_certificate(struct task_memory *memory, const struct san_set *names,
                             const struct indexed_certificate *certificate)
{
    struct indexed_certificate noted = *certificate;

    noted.names = san_set_hash(names);
    pthread_mutex_lock(&memory->lock);
    certificate_index_note(&memory->certificates, &noted);
    pthread_mutex_unlock(&memory->lock);
}

bool memory_recall_certificate(struct task_memory *memory, const struct san_set *names,
                               struct indexed_certificate *out)
{
    uint64_t hash = san_set_hash(names);

    pthread_mutex_lock(&memory->lock);
    bool known = certificate_index_find(&memory->certificates, hash, out);
    pthread_mutex_unlock(&memory->lock);
    return known;
}

void memory_forget_certificate(struct task_memory *memory, const struct san_set *names,
                               const char *id)
{
    uint64_t hash = san_set_hash(names);

    pthread_mutex_lock(&memory->lock);
    certificate_index_forget(&memory->certificates, hash, id);
    pthread_mutex_unlock(&memory->lock);
}

/* With the lock held. Where memory runs out nothing is remembered. */
static void keep_setback(struct task_memory *memory, const char *domain_id,
                         const struct setback *reviewed)
{
    struct record *record = memory_place_of(memory, domain_id);

    if (record && !record->setback)
        record->setback = malloc(sizeof *record->setback);
    if (record && record->setback)
        *record->setback = *reviewed;
}

size_t memory_review(struct task_memory *memory, const char *domain_id,
                     const struct setback_look *look, wall_time *kept)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    struct setback reviewed = record && record->setback ? *record->setback : (struct setback){0};
    if (setback_review(&reviewed, look)) {
        keep_setback(memory, domain_id, &reviewed);
    } else if (record) {
        free(record->setback);
        record->setback = NULL;
    }
    pthread_mutex_unlock(&memory->lock);
    *kept = setback_kept(&reviewed);
    return reviewed.failures;
}

void memory_keep_refusal(struct task_memory *memory, const char *domain_id, uint64_t order,
                         wall_time issued, wall_time until)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    struct setback known = record && record->setback ? *record->setback : (struct setback){0};
    setback_keep(&known, order, issued, until);
    keep_setback(memory, domain_id, &known);
    pthread_mutex_unlock(&memory->lock);
}

/* What stands in the book goes on standing there, unless it is not known any more. */
static void pass_on_bookings(struct task_memory *memory, struct record *record,
                             struct issue *reviewed, size_t count)
{
    for (size_t i = 0; i < count; i++)
        reviewed[i].booked = false;
    for (size_t i = 0; i < record->issue_count; i++) {
        struct issue *old = &record->issues[i];
        wall_time at = old->at;
        size_t n = 0;

        while (n < count && (reviewed[n].booked || !wall_time_equal(reviewed[n].at, old->at) ||
                             reviewed[n].ca != old->ca))
            n++;
        if (old->booked && n < count)
            reviewed[n].booked = true;
        else if (old->booked)
            strike(memory, record, &at, true);
        old->booked = false;
    }
}

/* With the lock held. Where memory runs out there is room for as many as there were before. */
static void keep_issues(struct task_memory *memory, struct record *record, struct issue *reviewed,
                        size_t count)
{
    if (count > record->issue_count) {
        struct issue *grown = realloc(record->issues, count * sizeof *grown);
        if (grown)
            record->issues = grown;
        else
            count = record->issue_count;
    }
    pass_on_bookings(memory, record, reviewed, count);
    for (size_t i = 0; i < count; i++)
        record->issues[i] = reviewed[i];
    record->issue_count = count;
}

size_t memory_review_issues(struct task_memory *memory, const char *domain_id,
                            const struct issue_look *look,
                            struct issue missing[static ISSUE_HISTORY_MAX])
{
    struct issue reviewed[ISSUE_HISTORY_MAX];
    size_t count, found = 0;

    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_place_of(memory, domain_id);
    count = record ? record->issue_count : 0;
    for (size_t i = 0; i < count; i++)
        reviewed[i] = record->issues[i];
    count = issue_history_review(reviewed, count, look);
    if (record) {
        keep_issues(memory, record, reviewed, count);
        record->ca = look->ca;
    }
    pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i < count; i++) {
        if (reviewed[i].missing)
            missing[found++] = reviewed[i];
    }
    return found;
}

void memory_note_run(struct task_memory *memory, const char *domain_id, const char *task_id,
                     wall_time due)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    if (record) {
        strncpy(record->domain.runs_id, task_id, OBJECT_ID_SIZE - 1);
        record->domain.runs_at = due;
    }
    pthread_mutex_unlock(&memory->lock);
}

/* Another provider than before; false where none is known. */
static bool set_provider(struct task_memory *memory, struct record *record, const char *provider_id)
{
    if (provider_id && strcmp(record->provider_id, provider_id) != 0) {
        strike_issues(memory, record);
        strike(memory, record, &record->ordered, true);
        strike(memory, record, &record->queued, false);
        memset(record->provider_id, 0, OBJECT_ID_SIZE);
        strncpy(record->provider_id, provider_id, OBJECT_ID_SIZE - 1);
    }
    return record->provider_id[0] != '\0';
}

/* Whether what was read from the server then may be older than what is known of a taken time. */
static bool is_overtaken(const struct record *record, uint64_t moment)
{
    return record->pending || moment < record->settled;
}

/*
 * What is due counts as ordered now. What is due far ahead is another day's concern, but for a time
 * that was taken.
 */
static void set_queued(struct task_memory *memory, struct record *record, wall_time queued,
                       wall_time now)
{
    bool none = wall_time_equal(queued, WALL_TIME_NEVER);
    wall_time at = none ? queued : wall_time_later(queued, now);

    if (wall_time_equal(at, record->queued))
        return;
    strike(memory, record, &record->queued, false);
    record->taken = false;
    if (!wall_time_before(wall_time_add(now, QUEUED_AHEAD_SECONDS), at))
        memory_enter(memory, record, &record->queued, at, false);
}

void memory_note_orders(struct task_memory *memory, const char *domain_id, const char *provider_id,
                        wall_time ordered, wall_time queued, wall_time now, uint64_t moment)
{
    if (wall_time_before(ordered, wall_time_add(now, -QUEUED_AHEAD_SECONDS)))
        ordered = WALL_TIME_NEVER;
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_place_of(memory, domain_id);
    if (record && set_provider(memory, record, provider_id)) {
        if (!wall_time_equal(ordered, record->ordered)) {
            strike(memory, record, &record->ordered, true);
            memory_enter(memory, record, &record->ordered, ordered, true);
        }
        enter_issues(memory, record, now);
        if (!is_overtaken(record, moment))
            set_queued(memory, record, queued, now);
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_queued(struct task_memory *memory, const char *domain_id, const char *provider_id,
                        wall_time queued, wall_time now, uint64_t moment)
{
    if (wall_time_before(wall_time_add(now, QUEUED_AHEAD_SECONDS), queued))
        return;
    pthread_mutex_lock(&memory->lock);
    struct record *record =
        provider_id ? memory_place_of(memory, domain_id) : memory_find(memory, domain_id);
    if (record && set_provider(memory, record, provider_id) && !is_overtaken(record, moment))
        set_queued(memory, record, queued, now);
    pthread_mutex_unlock(&memory->lock);
}

/*
 * Whether a domain's time stays what it is: it was taken before, or is no earlier than what is to
 * be had now, and another would not gain it as much as a token takes.
 */
static bool keeps_time(const struct record *record, wall_time queued, struct issue_limit limit,
                       wall_time from, wall_time next)
{
    int64_t token = limit.burst > 0 ? limit.window_seconds / limit.burst + 1 : 0;

    return !wall_time_before(queued, record->taken ? from : next) &&
           wall_time_before(queued, wall_time_add(next, token));
}

/* Where it is not taken, all is left as it was. */
static wall_time next_time(struct task_memory *memory, struct record *record,
                           struct issue_limit limit, wall_time from, wall_time now, bool take)
{
    struct order_book *orders = &memory->orders;
    wall_time queued = record->queued, time;

    if (take && !record->pending)
        record->before = queued;
    record->pending = record->pending || take;
    if (order_book_keeps(orders, record->provider_id, limit, from, now, queued)) {
        record->taken = record->taken || take;
        return queued;
    }
    order_book_lift(orders, record->provider_id, (struct order_time){.at = queued});
    record->queued = WALL_TIME_NEVER;
    time = order_book_next(orders, record->provider_id, limit, from, now);
    if (keeps_time(record, queued, limit, from, time))
        time = queued;
    memory_enter(memory, record, &record->queued, take ? time : queued, false);
    record->taken = record->taken || take;
    return time;
}

static wall_time find_time(struct task_memory *memory, const char *domain_id,
                           const char *provider_id, struct issue_limit limit, wall_time from,
                           wall_time now, bool take)
{
    wall_time time = from;

    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_place_of(memory, domain_id);
    if (record && set_provider(memory, record, provider_id))
        time = next_time(memory, record, limit, from, now, take);
    pthread_mutex_unlock(&memory->lock);
    return time;
}

wall_time memory_take_time(struct task_memory *memory, const char *domain_id,
                           const char *provider_id, struct issue_limit limit, wall_time from,
                           wall_time now)
{
    return find_time(memory, domain_id, provider_id, limit, from, now, true);
}

wall_time memory_foresee_time(struct task_memory *memory, const char *domain_id,
                              const char *provider_id, struct issue_limit limit, wall_time from,
                              wall_time now)
{
    return find_time(memory, domain_id, provider_id, limit, from, now, false);
}

/* It is known by now for when the domain has a task. */
static void settle(struct task_memory *memory, const char *domain_id, bool made)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = memory_find(memory, domain_id);
    if (record && record->pending && !made && !wall_time_equal(record->queued, record->before)) {
        strike(memory, record, &record->queued, false);
        memory_enter(memory, record, &record->queued, record->before, false);
        record->taken = false;
    }
    if (record && record->pending) {
        record->pending = false;
        record->settled = ++memory->moment;
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_give_time(struct task_memory *memory, const char *domain_id)
{
    settle(memory, domain_id, false);
}

void memory_keep_time(struct task_memory *memory, const char *domain_id)
{
    settle(memory, domain_id, true);
}

uint64_t memory_moment(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    uint64_t moment = memory->moment;
    pthread_mutex_unlock(&memory->lock);
    return moment;
}

void memory_note_failed_stay(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    memory->failed_stay = true;
    pthread_mutex_unlock(&memory->lock);
}

bool memory_failed_stay(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    bool stay = memory->failed_stay;
    pthread_mutex_unlock(&memory->lock);
    return stay;
}

void memory_recall_hostname(struct task_memory *memory, char hostname[static HOSTNAME_SIZE])
{
    pthread_mutex_lock(&memory->lock);
    memcpy(hostname, memory->hostname, HOSTNAME_SIZE);
    pthread_mutex_unlock(&memory->lock);
}

void memory_store_hostname(struct task_memory *memory, const char *hostname)
{
    pthread_mutex_lock(&memory->lock);
    snprintf(memory->hostname, HOSTNAME_SIZE, "%s", hostname);
    pthread_mutex_unlock(&memory->lock);
}
