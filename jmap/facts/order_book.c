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

    return account && account->orders.count < ORDERS_MAX &&
           order_list_insert(&account->orders, order);
}

void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = order_book_find(book, provider_id);

    if (account)
        order_list_remove(&account->orders, order);
}

wall_time order_book_next(const struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now)
{
    const struct account_orders *account = order_book_find(book, provider_id);
    const struct order_list none = {0}, *orders = account ? &account->orders : &none;
    size_t first = order_list_place(orders, wall_time_add(now, -limit.window_seconds));

    return account_limit_next(limit, orders->times + first, orders->count - first, from, now);
}

void order_book_clear(struct order_book *book)
{
    for (size_t i = 0; i < book->count; i++)
        free(book->accounts[i].orders.times);
    *book = (struct order_book){0};
}
