#include "jmap/facts/order_book.h"

#include <stdlib.h>
#include <string.h>

#define ORDERS_MAX 1000000

static struct account_orders *order_book_find(struct order_book *book, const char *provider_id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(book->accounts[i].provider_id, provider_id) == 0)
            return &book->accounts[i].orders;
    }
    return NULL;
}

static struct account_orders *find_or_add(struct order_book *book, const char *provider_id)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    if (orders || book->count == ORDER_BOOK_PROVIDERS)
        return orders;
    struct order_book_account *account = &book->accounts[book->count++];
    strncpy(account->provider_id, provider_id, OBJECT_ID_SIZE - 1);
    return &account->orders;
}

bool order_book_add(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *orders = find_or_add(book, provider_id);

    return orders && orders->list.count < ORDERS_MAX && account_orders_add(orders, order);
}

void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    if (orders)
        account_orders_remove(orders, order);
}

void order_book_move(struct order_book *book, const char *provider_id, struct order_time order,
                     wall_time to)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    if (orders)
        account_orders_move(orders, order, to);
}

void order_book_lift(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    if (orders)
        account_orders_lift(orders, order);
}

bool order_book_better(struct order_book *book, const char *provider_id, struct issue_limit limit,
                       wall_time from, wall_time now, wall_time own, wall_time *better)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    return orders && account_orders_next_before(orders, limit, from, now, own, better);
}

wall_time order_book_next(struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now)
{
    struct account_orders *orders = order_book_find(book, provider_id);

    return orders ? account_orders_next(orders, limit, from, now)
                  : account_limit_next(limit, NULL, 0, from, now);
}

void order_book_clear(struct order_book *book)
{
    for (size_t i = 0; i < book->count; i++)
        free(book->accounts[i].orders.list.times);
    *book = (struct order_book){0};
}
