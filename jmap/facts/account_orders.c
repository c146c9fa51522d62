#include "jmap/facts/account_orders.h"

bool account_orders_add(struct account_orders *orders, struct order_time order)
{
    if (!order_list_insert(&orders->list, order))
        return false;
    orders->replayed = orders->replayed && account_replay_add(&orders->replay, order);
    return true;
}

void account_orders_remove(struct account_orders *orders, struct order_time order)
{
    if (order_list_remove(&orders->list, order))
        orders->replayed = false;
}

void account_orders_move(struct account_orders *orders, struct order_time order, wall_time to)
{
    if (order_list_move(&orders->list, order, to))
        orders->replayed = false;
}

/* Where the replay stands does not change by an order that is later. */
void account_orders_lift(struct account_orders *orders, struct order_time order)
{
    if (order_list_remove(&orders->list, order))
        orders->replayed =
            orders->replayed && wall_time_before(account_replay_time(&orders->replay), order.at);
}

/* Whether a time from `from` on has been looked for, and nothing has come up since but orders. */
static bool is_replayed(const struct account_orders *orders, struct issue_limit limit,
                        wall_time from, wall_time now)
{
    const struct account_replay *replay = &orders->replay;

    return orders->replayed && replay->limit.burst == limit.burst &&
           replay->limit.window_seconds == limit.window_seconds &&
           wall_time_equal(replay->now, now) && !wall_time_before(from, replay->from) &&
           !wall_time_before(account_replay_time(replay), from);
}

bool account_orders_next_before(struct account_orders *orders, struct issue_limit limit,
                                wall_time from, wall_time now, wall_time end, wall_time *next)
{
    const struct order_list *list = &orders->list;

    if (!is_replayed(orders, limit, from, now))
        orders->replay = account_replay_begin(
            limit, from, now, order_list_place(list, account_limit_past(limit, now)));
    orders->replayed = true;
    if (!account_replay_next(&orders->replay, list->times, list->count, end))
        return false;
    *next = account_replay_time(&orders->replay);
    return true;
}

wall_time account_orders_next(struct account_orders *orders, struct issue_limit limit,
                              wall_time from, wall_time now)
{
    account_orders_next_before(orders, limit, from, now, WALL_TIME_FOREVER, &from);
    return from;
}
