#ifndef RENEWGATE_JMAP_FACTS_ORDER_BOOK_H
#define RENEWGATE_JMAP_FACTS_ORDER_BOOK_H

/*
 * The orders of each ACME provider's account, as far as the gate knows: those of the past, and
 * those that queued tasks will make. Not locked; begins zeroed and ends with order_book_clear().
 *
 * 16 bytes an order. Beyond a million orders of a provider, and 64 providers, none is noted.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/order_list.h"
#include "jmap/wire/object_id.h"
#include "policy/account_limit.h"

#define ORDER_BOOK_PROVIDERS 64

struct order_book {
    struct account_orders {
        char provider_id[OBJECT_ID_SIZE];
        struct order_list orders;
    } accounts[ORDER_BOOK_PROVIDERS];
    size_t count;
};

/* False where it was not noted. */
bool order_book_add(struct order_book *book, const char *provider_id, struct order_time order);

/* One that was added. */
void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order);

/* See account_limit_next(). */
wall_time order_book_next(const struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now);

void order_book_clear(struct order_book *book);

#endif
