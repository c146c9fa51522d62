#ifndef RENEWGATE_POLICY_ACCOUNT_LIMIT_H
#define RENEWGATE_POLICY_ACCOUNT_LIMIT_H

/*
 * The CA's limit of new orders for one account: a bucket of tokens, as struct issue_limit says,
 * replayed over the orders that are known: those of the past, and those that tasks in the queue
 * will make. It finds the time for one more, so that neither it nor any of the others comes too
 * early.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/refusal.h"
#include "policy/wall_time.h"

struct order_time {
    wall_time at;
    bool issued; /* a certificate came of it, which proves that there was a token */
};

/*
 * Orders before then, two windows ago, do not count one by one: there may have been as many as the
 * bucket gives, for however long, so it counts as empty then. Where few have come since, it is full
 * again within a window.
 */
wall_time account_limit_past(struct issue_limit limit, wall_time now);

/*
 * The first time, no earlier than `from`, for one more order beside these, which are ascending by
 * time. `from` itself where the limit is off. Linear in how many are not past.
 */
wall_time account_limit_next(struct issue_limit limit, const struct order_time *orders,
                             size_t count, wall_time from, wall_time now);

/* Whether one at that time, and each of those behind it, comes no more than `slack` too early. */
bool account_limit_fits(struct issue_limit limit, const struct order_time *orders, size_t count,
                        wall_time at, int64_t slack_seconds, wall_time now);

/*
 * The same for one order after another, each beside those before it: a replay stands where the last
 * time was found and goes on from there, so that many take hardly more steps than one.
 */
struct account_replay {
    struct issue_limit limit;
    wall_time from, now;
    wall_time made; /* orders before then have been made: what the CA refused took no token */
    int64_t full;   /* the bucket's, and where it stands: in ticks from now, see account_limit.c */
    int64_t at;
    size_t next; /* of the orders; those before it have been replayed */
};

/* `first`: of the orders, the first that is not past. Those before `now` have been made. */
struct account_replay account_replay_begin(struct issue_limit limit, wall_time from, wall_time now,
                                           size_t first);

/*
 * Goes on to the first time that there is. False where there is none before `end`: it stands there,
 * or later, and has looked at no order behind that.
 */
bool account_replay_next(struct account_replay *replay, const struct order_time *orders,
                         size_t count, wall_time end);

/* Where it stands. */
wall_time account_replay_time(const struct account_replay *replay);

/*
 * An order has been added, before those of the same time. False where it is not the one for which
 * the time was found, nor later: then the replay is over.
 */
bool account_replay_add(struct account_replay *replay, struct order_time order);

#endif
