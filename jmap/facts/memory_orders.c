#include "jmap/facts/memory_parts.h"

#include <stdlib.h>
#include <string.h>

/* So far ahead queued tasks count against an account's limit, and so far back orders: 8 days. */
#define QUEUED_AHEAD_SECONDS (INT64_C(8) * 86400)

/* The issues of the account's own CA that are not too far back, in the book or out of it. */
static void enter_issues(struct task_memory *memory, struct record *record, wall_time now)
{
    wall_time past = wall_time_add(now, -QUEUED_AHEAD_SECONDS);

    for (size_t i = 0; i < record->issue_count; i++) {
        struct issue *issue = &record->issues[i];
        bool counts = issue->ca == record->ca && wall_time_before(past, issue->at) &&
                      !wall_time_before(now, issue->at);
        wall_time at = issue->booked ? issue->at : WALL_TIME_NEVER;

        if (issue->booked && !counts)
            record_strike(memory, record, &at, true);
        else if (!issue->booked && counts)
            record_enter(memory, record, &at, issue->at, true);
        issue->booked = !wall_time_equal(at, WALL_TIME_NEVER);
    }
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
            record_strike(memory, record, &at, true);
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
    struct record *record = record_of(memory, domain_id);
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

/* Another provider than before; false where none is known. */
static bool set_provider(struct task_memory *memory, struct record *record, const char *provider_id)
{
    if (provider_id && strcmp(record->provider_id, provider_id) != 0) {
        record_strike_issues(memory, record);
        record_strike(memory, record, &record->ordered, true);
        record_strike(memory, record, &record->queued, false);
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
 * What is due counts as ordered now, so with each look it is moved along. What is due far ahead is
 * another day's concern, but for a time that was taken.
 */
static void set_queued(struct task_memory *memory, struct record *record, wall_time queued,
                       wall_time now)
{
    bool none = wall_time_equal(queued, WALL_TIME_NEVER);
    wall_time at = none ? queued : wall_time_later(queued, now);
    bool counts = !none && !wall_time_before(wall_time_add(now, QUEUED_AHEAD_SECONDS), at);

    if (wall_time_equal(at, record->queued))
        return;
    record->taken = false;
    if (counts && !wall_time_equal(record->queued, WALL_TIME_NEVER)) {
        order_book_move(&memory->orders, record->provider_id,
                        (struct order_time){.at = record->queued}, at);
        record->queued = at;
        return;
    }
    record_strike(memory, record, &record->queued, false);
    if (counts)
        record_enter(memory, record, &record->queued, at, false);
}

void memory_note_orders(struct task_memory *memory, const char *domain_id, const char *provider_id,
                        wall_time ordered, wall_time queued, wall_time now, uint64_t moment)
{
    if (wall_time_before(ordered, wall_time_add(now, -QUEUED_AHEAD_SECONDS)))
        ordered = WALL_TIME_NEVER;
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_of(memory, domain_id);
    if (record && set_provider(memory, record, provider_id)) {
        if (!wall_time_equal(ordered, record->ordered)) {
            record_strike(memory, record, &record->ordered, true);
            record_enter(memory, record, &record->ordered, ordered, true);
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
        provider_id ? record_of(memory, domain_id) : record_find(memory, domain_id);
    if (record && set_provider(memory, record, provider_id) && !is_overtaken(record, moment))
        set_queued(memory, record, queued, now);
    pthread_mutex_unlock(&memory->lock);
}

/* A time that was taken gives way only to one that gains as much as a token takes. */
static bool keeps_taken(struct order_book *orders, const struct record *record,
                        struct issue_limit limit, wall_time from, wall_time now)
{
    int64_t token = limit.burst > 0 ? limit.window_seconds / limit.burst + 1 : 0;
    wall_time better;

    return record->taken && !wall_time_before(record->queued, from) &&
           (!order_book_better(orders, record->provider_id, limit, from, now, record->queued,
                               &better) ||
            wall_time_before(record->queued, wall_time_add(better, token)));
}

/* So does any that is no earlier than what is to be had. */
static bool keeps_queued(wall_time queued, struct issue_limit limit, wall_time next)
{
    int64_t token = limit.burst > 0 ? limit.window_seconds / limit.burst + 1 : 0;

    return !wall_time_before(queued, next) && wall_time_before(queued, wall_time_add(next, token));
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
    if (keeps_taken(orders, record, limit, from, now))
        return queued;
    order_book_lift(orders, record->provider_id, (struct order_time){.at = queued});
    record->queued = WALL_TIME_NEVER;
    time = order_book_next(orders, record->provider_id, limit, from, now);
    if (keeps_queued(queued, limit, time))
        time = queued;
    record_enter(memory, record, &record->queued, take ? time : queued, false);
    record->taken = record->taken || take;
    return time;
}

static wall_time find_time(struct task_memory *memory, const char *domain_id,
                           const char *provider_id, struct issue_limit limit, wall_time from,
                           wall_time now, bool take)
{
    wall_time time = from;

    pthread_mutex_lock(&memory->lock);
    struct record *record = record_of(memory, domain_id);
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
    struct record *record = record_find(memory, domain_id);
    if (record && record->pending && !made && !wall_time_equal(record->queued, record->before)) {
        record_strike(memory, record, &record->queued, false);
        record_enter(memory, record, &record->queued, record->before, false);
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
