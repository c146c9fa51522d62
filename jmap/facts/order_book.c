#include "jmap/facts/order_book.h"

#include <stdlib.h>
#include <string.h>

#define ORDERS_MAX 1000000

static struct account_orders *order_book_find(const struct order_book *book,
                                              const char *provider_id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(book->accounts[i].provider_id, provider_id) == 0)
            return (struct account_orders *)&book->accounts[i];
    }
    return NULL;
}

static struct account_orders *find_or_add(struct order_book *book, const char *provider_id)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (account || book->count == ORDER_BOOK_PROVIDERS)
        return account;
    account = &book->accounts[book->count++];
    strncpy(account->provider_id, provider_id, OBJECT_ID_SIZE - 1);
    return account;
}

bool order_book_add(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = find_or_add(book, provider_id);

    if (!account || account->orders.count == ORDERS_MAX ||
        !order_list_insert(&account->orders, order))
        return false;
    account->replayed = account->replayed && account_replay_add(&account->replay, order);
    return true;
}

void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (account && order_list_remove(&account->orders, order))
        account->replayed = false;
}

/* Whether a time from `from` on has been looked for, and nothing has come up since but orders. */
static bool is_replayed(const struct account_orders *account, struct issue_limit limit,
                        wall_time from, wall_time now)
{
    const struct account_replay *replay = &account->replay;

    return account->replayed && replay->limit.burst == limit.burst &&
           replay->limit.window_seconds == limit.window_seconds &&
           wall_time_equal(replay->now, now) && !wall_time_before(from, replay->from) &&
           !wall_time_before(account_replay_time(replay), from);
}

/* Where it stands does not change by an order that is later. */
void order_book_lift(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (account && order_list_remove(&account->orders, order))
        account->replayed =
            account->replayed && wall_time_before(account_replay_time(&account->replay), order.at);
}

static bool replay_before(struct account_orders *account, struct issue_limit limit, wall_time from,
                          wall_time now, wall_time end)
{
    const struct order_list *orders = &account->orders;

    if (!is_replayed(account, limit, from, now))
        account->replay = account_replay_begin(
            limit, from, now, order_list_place(orders, account_limit_past(limit, now)));
    account->replayed = true;
    return account_replay_next(&account->replay, orders->times, orders->count, end);
}

bool order_book_better(struct order_book *book, const char *provider_id, struct issue_limit limit,
                       wall_time from, wall_time now, wall_time own, wall_time *better)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (!account || !replay_before(account, limit, from, now, own))
        return false;
    *better = account_replay_time(&account->replay);
    return true;
}

wall_time order_book_next(struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (!account)
        return account_limit_next(limit, NULL, 0, from, now);
    replay_before(account, limit, from, now, WALL_TIME_FOREVER);
    return account_replay_time(&account->replay);
}

void order_book_clear(struct order_book *book)
{
    for (size_t i = 0; i < book->count; i++)
        free(book->accounts[i].orders.times);
    *book = (struct order_book){0};
}
