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

#include "policy/refusal.h"
#include "policy/wall_time.h"

struct order_time {
    wall_time at;
    bool issued; /* a certificate came of it, which proves that there was a token */
};

/*
 * The first time, no earlier than `from`, for one more order beside these, which are ascending by
 * time. `from` itself where the limit is off. Those before `now` less a window are past, and do not
 * count. Linear in how many are not.
 */
wall_time account_limit_next(struct issue_limit limit, const struct order_time *orders,
                             size_t count, wall_time from, wall_time now);

#endif
