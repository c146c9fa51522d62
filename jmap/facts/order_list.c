#include "jmap/facts/order_list.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/array.h"

size_t order_list_place(const struct order_list *list, wall_time at)
{
    size_t from = 0, to = list->count;

    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (wall_time_before(list->times[middle].at, at))
            from = middle + 1;
        else
            to = middle;
    }
    return from;
}

bool order_list_append(struct order_list *list, struct order_time order)
{
    struct order_time *times = array_grow(list->times, list->count, sizeof *times);

    if (!times)
        return false;
    list->times = times;
    times[list->count++] = order;
    return true;
}

bool order_list_insert(struct order_list *list, struct order_time order)
{
    size_t place = order_list_place(list, order.at);

    if (!order_list_append(list, order))
        return false;
    memmove(&list->times[place + 1], &list->times[place],
            (list->count - 1 - place) * sizeof *list->times);
    list->times[place] = order;
    return true;
}

int order_list_compare(const void *a, const void *b)
{
    const struct order_time *x = a, *y = b;

    return wall_time_before(y->at, x->at) - wall_time_before(x->at, y->at);
}

/*
 * From behind: what is the list's own moves once, and nothing is written over that has yet to move.
 */
static void merge_sorted(struct order_list *list, size_t own, const struct order_list *others)
{
    size_t left = others->count, to = own + others->count;

    while (left > 0) {
        bool moves =
            own > 0 && !wall_time_before(list->times[own - 1].at, others->times[left - 1].at);
        list->times[--to] = moves ? list->times[--own] : others->times[--left];
    }
}

bool order_list_merge(struct order_list *list, struct order_list *others)
{
    size_t own = list->count;

    if (others->count == 0)
        return true;
    for (size_t i = 0; i < others->count; i++) {
        if (!order_list_append(list, others->times[i])) {
            list->count = own;
            return false;
        }
    }
    qsort(others->times, others->count, sizeof *others->times, order_list_compare);
    merge_sorted(list, own, others);
    others->count = 0;
    return true;
}

/* Where one that is alike stands; count where there is none. */
static size_t find_alike(const struct order_list *list, struct order_time order)
{
    size_t place = order_list_place(list, order.at);

    while (place < list->count && wall_time_equal(list->times[place].at, order.at)) {
        if (list->times[place].issued == order.issued)
            return place;
        place++;
    }
    return list->count;
}

bool order_list_remove(struct order_list *list, struct order_time order)
{
    size_t place = find_alike(list, order);

    if (place == list->count)
        return false;
    list->count--;
    memmove(&list->times[place], &list->times[place + 1],
            (list->count - place) * sizeof *list->times);
    return true;
}

bool order_list_move(struct order_list *list, struct order_time order, wall_time to)
{
    size_t from = find_alike(list, order), place = order_list_place(list, to);

    if (from == list->count)
        return false;
    if (place > from) {
        place--;
        memmove(&list->times[from], &list->times[from + 1], (place - from) * sizeof order);
    } else {
        memmove(&list->times[place + 1], &list->times[place], (from - place) * sizeof order);
    }
    order.at = to;
    list->times[place] = order;
    return true;
}
