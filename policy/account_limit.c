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

struct replay {
    const struct order_time *orders;
    size_t count;
    int64_t burst;
    wall_time now;
};

/* Far times are held where their ticks cannot overflow. */
static int64_t ticks(const struct replay *replay, wall_time t)
{
    static const int64_t most = INT64_C(1000000000000);
    uint64_t ahead = (uint64_t)t.seconds - (uint64_t)replay->now.seconds;
    uint64_t behind = (uint64_t)replay->now.seconds - (uint64_t)t.seconds;

    if (wall_time_before(t, replay->now))
        return -(behind < (uint64_t)most ? (int64_t)behind : most) * replay->burst;
    return (ahead < (uint64_t)most ? (int64_t)ahead : most) * replay->burst;
}

/*
 * The first of the orders from `i` on that would come too early if one more were made at `at`;
 * count where none would, since the bucket is full before.
 */
static size_t first_robbed(const struct replay *replay, size_t i, struct bucket bucket, int64_t at)
{
    account_limit_take(&bucket, at, false);
    for (; i < replay->count; i++) {
        int64_t other = ticks(replay, replay->orders[i].at);

        if (bucket.full <= other)
            break;
        if (other < next_token(&bucket))
            return i;
        account_limit_take(&bucket, other, replay->orders[i].issued);
    }
    return replay->count;
}

static int64_t to_whole_second(int64_t at, int64_t burst)
{
    int64_t rest = at % burst;

    return rest > 0 ? at - rest + burst : at - rest;
}

wall_time account_limit_next(struct issue_limit limit, const struct order_time *orders,
                             size_t count, wall_time from, wall_time now)
{
    if (limit.burst < 1 || limit.window_seconds < 1)
        return from;

    const struct replay replay = {orders, count, limit.burst, now};
    struct bucket bucket = {.interval = limit.window_seconds,
                            .capacity = limit.window_seconds * limit.burst,
                            .full = INT64_MIN / 2};
    int64_t start = ticks(&replay, from), at = start;
    wall_time past = wall_time_add(now, -limit.window_seconds);
    size_t i = 0;

    while (i < count && wall_time_before(orders[i].at, past))
        i++;
    for (;;) {
        while (i < count && ticks(&replay, orders[i].at) <= at) {
            account_limit_take(&bucket, ticks(&replay, orders[i].at), orders[i].issued);
            i++;
        }
        int64_t token = to_whole_second(next_token(&bucket), replay.burst);
        if (token > at) {
            at = token;
            continue;
        }
        size_t robbed = first_robbed(&replay, i, bucket, at);
        if (robbed == count)
            break;
        at = ticks(&replay, orders[robbed].at);
    }
    return at == start ? from : wall_time_add(now, at / replay.burst);
}
