#include "policy/account_limit.h"

#include <stdint.h>

/*
 * Times are in ticks from `now`, 1/burst of a second each, so that a token's interval is a whole
 * number of them. The bucket is one number: when it is full again.
 */
struct bucket {
    int64_t interval, capacity;
    int64_t full;
};

/* When it has its next token. */
static int64_t next_token(const struct bucket *bucket)
{
    return bucket->full + bucket->interval - bucket->capacity;
}

static void account_limit_take(struct bucket *bucket, int64_t at, bool issued)
{
    bucket->full = (bucket->full > at ? bucket->full : at) + bucket->interval;
    if (issued && bucket->full > at + bucket->capacity)
        bucket->full = at + bucket->capacity;
}

struct orders {
    const struct order_time *list;
    size_t count;
};

/* Far times are held where their ticks cannot overflow. */
static int64_t ticks(const struct account_replay *replay, wall_time t)
{
    static const int64_t most = INT64_C(1000000000000);
    uint64_t ahead = (uint64_t)t.seconds - (uint64_t)replay->now.seconds;
    uint64_t behind = (uint64_t)replay->now.seconds - (uint64_t)t.seconds;

    if (wall_time_before(t, replay->now))
        return -(behind < (uint64_t)most ? (int64_t)behind : most) * replay->limit.burst;
    return (ahead < (uint64_t)most ? (int64_t)ahead : most) * replay->limit.burst;
}

static struct bucket bucket_of(const struct account_replay *replay)
{
    return (struct bucket){.interval = replay->limit.window_seconds,
                           .capacity = replay->limit.window_seconds * replay->limit.burst,
                           .full = replay->full};
}

/*
 * The first of the next orders that would come more than `slack` too early if one more were made
 * where the replay stands; count where none would, since the bucket is full before.
 */
static size_t first_robbed(const struct account_replay *replay, struct orders orders,
                           struct bucket bucket, int64_t slack)
{
    account_limit_take(&bucket, replay->at, false);
    for (size_t i = replay->next; i < orders.count; i++) {
        int64_t other = ticks(replay, orders.list[i].at);

        if (bucket.full <= other)
            break;
        if (other + slack < next_token(&bucket))
            return i;
        account_limit_take(&bucket, other, orders.list[i].issued);
    }
    return orders.count;
}

static int64_t to_whole_second(int64_t at, int64_t burst)
{
    int64_t rest = at % burst;

    return rest > 0 ? at - rest + burst : at - rest;
}

wall_time account_limit_past(struct issue_limit limit, wall_time now)
{
    return wall_time_add(now, -2 * limit.window_seconds);
}

static bool is_off(struct issue_limit limit)
{
    return limit.burst < 1 || limit.window_seconds < 1;
}

struct account_replay account_replay_begin(struct issue_limit limit, wall_time from, wall_time now,
                                           size_t first)
{
    struct account_replay replay = {.limit = limit,
                                    .from = from,
                                    .now = now,
                                    .made = now,
                                    .full = -limit.window_seconds *
                                            (int64_t)limit.burst, /* empty two windows ago */
                                    .next = first};

    replay.at = is_off(limit) ? 0 : ticks(&replay, from);
    return replay;
}

wall_time account_replay_time(const struct account_replay *replay)
{
    return is_off(replay->limit) || replay->at == ticks(replay, replay->from)
               ? replay->from
               : wall_time_add(replay->now, replay->at / replay->limit.burst);
}

/* Those up to where it stands. */
static void take_until_now(struct account_replay *replay, struct orders orders,
                           struct bucket *bucket)
{
    while (replay->next < orders.count &&
           ticks(replay, orders.list[replay->next].at) <= replay->at) {
        const struct order_time *order = &orders.list[replay->next++];
        account_limit_take(bucket, ticks(replay, order->at),
                           order->issued || wall_time_before(order->at, replay->made));
    }
}

bool account_replay_next(struct account_replay *replay, const struct order_time *orders,
                         size_t count, wall_time end)
{
    struct bucket bucket = bucket_of(replay);

    if (is_off(replay->limit))
        return wall_time_before(replay->from, end);
    while (replay->at < ticks(replay, end)) {
        take_until_now(replay, (struct orders){orders, count}, &bucket);
        replay->full = bucket.full;
        int64_t token = to_whole_second(next_token(&bucket), replay->limit.burst);
        if (token > replay->at) {
            replay->at = token;
            continue;
        }
        size_t robbed = first_robbed(replay, (struct orders){orders, count}, bucket, 0);
        if (robbed == count)
            return true;
        replay->at = ticks(replay, orders[robbed].at);
    }
    return false;
}

bool account_replay_add(struct account_replay *replay, struct order_time order)
{
    struct bucket bucket = bucket_of(replay);
    int64_t at = ticks(replay, order.at);

    if (at != replay->at)
        return at > replay->at;
    account_limit_take(&bucket, at, order.issued);
    replay->full = bucket.full;
    replay->next++;
    return true;
}

/* The first of the orders that is not past. */
static size_t first_of(struct issue_limit limit, const struct order_time *orders, size_t count,
                       wall_time now)
{
    wall_time past = account_limit_past(limit, now);
    size_t first = 0;

    while (first < count && wall_time_before(orders[first].at, past))
        first++;
    return first;
}

wall_time account_limit_next(struct issue_limit limit, const struct order_time *orders,
                             size_t count, wall_time from, wall_time now)
{
    struct account_replay replay =
        account_replay_begin(limit, from, now, first_of(limit, orders, count, now));

    account_replay_next(&replay, orders, count, WALL_TIME_FOREVER);
    return account_replay_time(&replay);
}

bool account_limit_fits(struct issue_limit limit, const struct order_time *orders, size_t count,
                        wall_time at, int64_t slack_seconds, wall_time now)
{
    struct account_replay replay =
        account_replay_begin(limit, at, now, first_of(limit, orders, count, now));
    const struct orders all = {orders, count};
    struct bucket bucket = bucket_of(&replay);
    int64_t slack = slack_seconds * limit.burst;

    if (is_off(limit))
        return true;
    take_until_now(&replay, all, &bucket);
    return next_token(&bucket) <= replay.at + slack &&
           first_robbed(&replay, all, bucket, slack) == count;
}
