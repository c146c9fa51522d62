#ifndef RENEWGATE_JMAP_FACTS_ACCOUNT_ORDERS_H
#define RENEWGATE_JMAP_FACTS_ACCOUNT_ORDERS_H

/*
 * One account's orders, those of the past and those to come, and when there is room for one more
 * (policy/account_limit.h). Begins zeroed; the times of its list are freed by whoever has it.
 */

#include <stdbool.h>

#include "jmap/facts/order_list.h"

struct account_orders {
    struct order_list list;       /* whoever writes it past these functions does so before them */
    struct account_replay replay; /* where the last time was found */
    bool replayed;                /* nothing has happened since that it does not know of */
};

/* False when memory runs out. */
bool account_orders_add(struct account_orders *orders, struct order_time order);

/* One that was added. */
void account_orders_remove(struct account_orders *orders, struct order_time order);

/* The same to another time, with no more steps than there are orders between the two. */
void account_orders_move(struct account_orders *orders, struct order_time order, wall_time to);

/*
 * The same; but of an order behind the time that was found last, what lies before that time is not
 * looked through again.
 */
void account_orders_lift(struct account_orders *orders, struct order_time order);

/*
 * The first time from `from` on for one more. Linear in how many orders there are for the first
 * one; those that follow for the same `from` and `now` go on where that has ended.
 */
wall_time account_orders_next(struct account_orders *orders, struct issue_limit limit,
                              wall_time from, wall_time now);

/* The same; false where there is none before `end`. */
bool account_orders_next_before(struct account_orders *orders, struct issue_limit limit,
                                wall_time from, wall_time now, wall_time end, wall_time *next);

#endif
