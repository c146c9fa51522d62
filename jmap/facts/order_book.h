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

#include "jmap/facts/account_orders.h"
#include "jmap/wire/object_id.h"
#include "policy/account_limit.h"

#define ORDER_BOOK_PROVIDERS 64

struct order_book {
    struct order_book_account {
        char provider_id[OBJECT_ID_SIZE];
        struct account_orders orders;
    } accounts[ORDER_BOOK_PROVIDERS];
    size_t count;
};

/* False where it was not noted. */
bool order_book_add(struct order_book *book, const char *provider_id, struct order_time order);

/* One that was added. */
void order_book_remove(struct order_book *book, const char *provider_id, struct order_time order);

/* See account_orders_move(). */
void order_book_move(struct order_book *book, const char *provider_id, struct order_time order,
                     wall_time to);

/* See account_orders_next(). */
wall_time order_book_next(struct order_book *book, const char *provider_id,
                          struct issue_limit limit, wall_time from, wall_time now);

/*
 * The same for an order that was added, and may have a better time than its `own`. False where
 * there is none before that. Of those that there were without it only what is left beside it is
 * found.
 */
bool order_book_better(struct order_book *book, const char *provider_id, struct issue_limit limit,
                       wall_time from, wall_time now, wall_time own, wall_time *better);

/* Removes one for which a better time was found. */
void order_book_lift(struct order_book *book, const char *provider_id, struct order_time order);

void order_book_clear(struct order_book *book);

#endif
