#include "jmap/facts/order_book.h"

#include <stdlib.h>
#include <string.h>

#define ORDERS_MAX 1000000

static struct account_orders *find(const struct order_book *book, const char *provider_id)
{
    for (size_t i = 0; i < book->count; i++) {
        if (strcmp(book->accounts[i].provider_id, provider_id) == 0)
            return (struct account_orders *)&book->accounts[i];
    }
    return NULL;
}

static struct account_orders *find_or_add(struct order_book *book, const char *provider_id)
{
    struct account_orders *account = find(book, provider_id);

    if (account || book->count == ORDER_BOOK_PROVIDERS)
        return account;
    account = &book->accounts[book->count++];
    strncpy(account->provider_id, provider_id, OBJECT_ID_SIZE - 1);
    return account;
}

/* The first that is no earlier. */
static size_t place_of(const struct account_orders *account, wall_time at)
{
    size_t low = 0, high = account->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (wall_time_before(account->orders[middle].at, at))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve(struct account_orders *account)
{
    if (account->count < account->room)
        return true;
    if (account->count >= ORDERS_MAX)
        return false;

    size_t room = account->room ? account->room * 2 : 64;
    struct order_time *orders = realloc(account->orders, room * sizeof *orders);
    if (!orders)
        return false;
    account->orders = orders;
    account->room = room;
    return true;
}

bool order_book_add(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = find_or_add(book, provider_id);

    if (!account || !reserve(account))
        return false;

    size_t place = place_of(account, order.at);
    memmove(account->orders + place + 1, account->orders + place,
            (account->count - place) * sizeof *account->orders);
    account->orders[place] = order;
    account->count++;
    return true;
}

void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order)
{
    struct account_orders *account = find(book, provider_id);

    for (size_t i = account ? place_of(account, order.at) : 0;
         account && i < account->count && wall_time_equal(account->orders[i].at, order.at); i++) {
        if (account->orders[i].issued != order.issued)
            continue;
        account->count--;
        memmove(account->orders + i, account->orders + i + 1,
                (account->count - i) * sizeof *account->orders);
        return;
    }
}

wall_time order_book_next(const struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now)
{
    const struct account_orders *account = find(book, provider_id);
    size_t first = account ? place_of(account, wall_time_add(now, -limit.window_seconds)) : 0;

    return account_limit_next(limit, account ? account->orders + first : NULL,
                              account ? account->count - first : 0, from, now);
}

void order_book_clear(struct order_book *book)
{
    for (size_t i = 0; i < book->count; i++)
        free(book->accounts[i].orders);
    *book = (struct order_book){0};
}
