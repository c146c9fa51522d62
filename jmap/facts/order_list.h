#ifndef RENEWGATE_JMAP_FACTS_ORDER_LIST_H
#define RENEWGATE_JMAP_FACTS_ORDER_LIST_H

/*
 * One account's orders, ascending by time. Begins zeroed; its times are freed by whoever has it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/account_limit.h"

struct order_list {
    struct order_time *times;
    size_t count;
};

/* The first that is not before a time; count where all are. */
size_t order_list_place(const struct order_list *list, wall_time at);

/* These two give false when memory runs out. The first leaves it to the caller to bring order. */
bool order_list_append(struct order_list *list, struct order_time order);
bool order_list_insert(struct order_list *list, struct order_time order);

/* All of another one, in whatever order they are, which is emptied. False when memory runs out. */
bool order_list_merge(struct order_list *list, struct order_list *others);

/* One that is alike; false where there is none. */
bool order_list_remove(struct order_list *list, struct order_time order);

/* The same to another time, with no more steps than there are orders between the two. */
bool order_list_move(struct order_list *list, struct order_time order, wall_time to);

/* For qsort(3), by time. */
int order_list_compare(const void *a, const void *b);

#endif
