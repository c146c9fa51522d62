#include "proxy/relay/websocket_parts.h"

#include <malloc.h>

/* So many bytes leave so much behind in the heap that it is worth a walk over it. */
#define TRIM_AFTER ((size_t)16 << 20)

void websocket_mark(struct websocket *websocket)
{
    struct websocket_set *set = websocket->context->websockets;
    if (websocket->is_ready)
        return;
    websocket->is_ready = true;
    websocket->next_ready = set->ready;
    set->ready = websocket;
}

static void unmark(struct websocket *websocket)
{
    struct websocket **at = &websocket->context->websockets->ready;
    while (websocket->is_ready && *at != websocket)
        at = &(*at)->next_ready;
    if (websocket->is_ready)
        *at = websocket->next_ready;
    websocket->is_ready = false;
}

void websocket_link(struct websocket *websocket)
{
    struct websocket_set *set = websocket->context->websockets;
    websocket->next = set->all;
    if (websocket->next != NULL)
        websocket->next->previous = websocket;
    set->all = websocket;
}

void websocket_unlink(struct websocket *websocket)
{
    unmark(websocket);
    if (websocket->previous != NULL)
        websocket->previous->next = websocket->next;
    else
        websocket->context->websockets->all = websocket->next;
    if (websocket->next != NULL)
        websocket->next->previous = websocket->previous;
}

void websocket_set_run(struct websocket_set *set)
{
    struct websocket *websocket = set->ready;
    set->ready = NULL;
    set->ran = set->ran || websocket != NULL;
    while (websocket != NULL) {
        struct websocket *next = websocket->next_ready;
        websocket->is_ready = false;
        websocket_run(websocket);
        websocket = next;
    }
}

bool websocket_set_is_ready(const struct websocket_set *set)
{
    return set->ready != NULL;
}

/*
 * What many sockets had at once lies in pieces all over the heap: free, but not the system's. Once
 * they have fallen silent it is given back.
 */
static void trim(struct websocket_set *set)
{
    if (!set->ran && set->passed >= TRIM_AFTER) {
        malloc_trim(0);
        set->passed = 0;
    }
    set->ran = false;
}

void websocket_set_tick(struct websocket_set *set)
{
    trim(set);
    for (struct websocket *websocket = set->all; websocket != NULL; websocket = websocket->next) {
        if (websocket_has_given_up(websocket) || websocket_is_overdue(websocket))
            websocket_mark(websocket);
    }
}

void websocket_set_drain(struct websocket_set *set)
{
    set->draining = true;
    for (struct websocket *websocket = set->all; websocket != NULL; websocket = websocket->next)
        websocket_mark(websocket);
}
