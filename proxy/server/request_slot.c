#include "proxy/server/request_slot.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* There while a request of its is under way or waits. */
struct caller {
    size_t under_way;
    struct request_slot *first;
    struct request_slot **end;
    char credential[];
};

struct request_slots {
    void *callers; /* tsearch(3) tree */
};

static int request_slot_compare(const void *a, const void *b)
{
    return strcmp(((const struct caller *)a)->credential, ((const struct caller *)b)->credential);
}

struct request_slots *request_slots_create(void)
{
    return calloc(1, sizeof(struct request_slots));
}

void request_slots_destroy(struct request_slots *slots)
{
    if (slots == NULL)
        return;
    tdestroy(slots->callers, free);
    free(slots);
}

/* NULL when memory runs out. */
static struct caller *find_caller(struct request_slots *slots, const char *credential)
{
    size_t size = strlen(credential) + 1;
    struct caller *fresh = malloc(sizeof *fresh + size);
    if (fresh == NULL)
        return NULL;
    *fresh = (struct caller){.end = &fresh->first};
    memcpy(fresh->credential, credential, size);
    struct caller **found = tsearch(fresh, &slots->callers, request_slot_compare);
    if (found == NULL || *found != fresh)
        free(fresh);
    return found == NULL ? NULL : *found;
}

static void request_slot_append(struct request_slot *slot)
{
    struct caller *caller = slot->caller;
    slot->waiting = true;
    slot->next = NULL;
    slot->link = caller->end;
    *caller->end = slot;
    caller->end = &slot->next;
}

static void prepend(struct request_slot *slot)
{
    struct caller *caller = slot->caller;
    slot->waiting = true;
    slot->next = caller->first;
    slot->link = &caller->first;
    if (slot->next == NULL)
        caller->end = &slot->next;
    else
        slot->next->link = &slot->next;
    caller->first = slot;
}

static void take_out(struct request_slot *slot)
{
    *slot->link = slot->next;
    if (slot->next == NULL)
        slot->caller->end = slot->link;
    else
        slot->next->link = slot->link;
    slot->waiting = false;
}

static void let_go(struct request_slot *slot)
{
    take_out(slot);
    slot->caller->under_way++;
    slot->go(slot->user);
}

static void request_slot_leave(struct request_slots *slots, struct request_slot *slot)
{
    struct caller *caller = slot->caller;
    slot->caller = NULL;
    slot->patience = (monotonic_time){0};
    if (caller->under_way > 0 || caller->first != NULL)
        return;
    tdelete(caller, &slots->callers, request_slot_compare);
    free(caller);
}

bool request_slot_take(struct request_slots *slots, struct request_slot *slot,
                       const char *credential)
{
    slot->caller = find_caller(slots, credential);
    if (slot->caller == NULL)
        return true; /* uncounted */
    if (slot->caller->first != NULL) {
        request_slot_append(slot);
        return false;
    }
    slot->caller->under_way++;
    return true;
}

bool request_slot_wait(struct request_slots *slots, struct request_slot *slot,
                       int64_t patience_milliseconds)
{
    monotonic_time now = clock_monotonic();
    monotonic_time patience = monotonic_after(now, patience_milliseconds);
    bool again = slot->patience.nanoseconds != 0;
    if (slot->caller == NULL)
        return false;
    slot->caller->under_way--;
    if (again && slot->patience.nanoseconds <= now.nanoseconds) {
        request_slot_leave(slots, slot);
        return false;
    }
    slot->patience = again ? monotonic_earlier(slot->patience, patience) : patience;
    if (again)
        prepend(slot);
    else
        request_slot_append(slot);
    return true;
}

void request_slot_end(struct request_slots *slots, struct request_slot *slot)
{
    struct caller *caller = slot->caller;
    if (caller == NULL)
        return;
    if (slot->waiting) {
        take_out(slot);
    } else {
        caller->under_way--;
        if (caller->first != NULL)
            let_go(caller->first);
    }
    request_slot_leave(slots, slot);
}

/* One of each caller, since there may be room again, and all that have waited for long enough. */
static void tick_caller(const void *node, VISIT visit, void *now)
{
    struct caller *caller = *(struct caller *const *)node;
    if (visit != postorder && visit != leaf)
        return;
    if (caller->first != NULL)
        let_go(caller->first);
    for (struct request_slot *slot = caller->first, *next; slot != NULL; slot = next) {
        next = slot->next;
        if (slot->patience.nanoseconds != 0 &&
            slot->patience.nanoseconds <= ((const monotonic_time *)now)->nanoseconds)
            let_go(slot);
    }
}

void request_slots_tick(struct request_slots *slots)
{
    monotonic_time now = clock_monotonic();
    twalk_r(slots->callers, tick_caller, &now);
}
