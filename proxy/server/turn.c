#include "proxy/server/turn.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* There while a request of its is under way or waits. */
struct caller {
    size_t under_way;
    struct turn *first;
    struct turn **end;
    char credential[];
};

struct turns {
    void *callers; /* tsearch(3) tree */
};

static int turn_compare(const void *a, const void *b)
{
    return strcmp(((const struct caller *)a)->credential, ((const struct caller *)b)->credential);
}

struct turns *turns_create(void)
{
    return calloc(1, sizeof(struct turns));
}

void turns_destroy(struct turns *turns)
{
    if (turns == NULL)
        return;
    tdestroy(turns->callers, free);
    free(turns);
}

/* NULL when memory runs out. */
static struct caller *find_caller(struct turns *turns, const char *credential)
{
    size_t size = strlen(credential) + 1;
    struct caller *fresh = malloc(sizeof *fresh + size);
    if (fresh == NULL)
        return NULL;
    *fresh = (struct caller){.end = &fresh->first};
    memcpy(fresh->credential, credential, size);
    struct caller **found = tsearch(fresh, &turns->callers, turn_compare);
    if (found == NULL || *found != fresh)
        free(fresh);
    return found == NULL ? NULL : *found;
}

static void turn_append(struct turn *turn)
{
    struct caller *caller = turn->caller;
    turn->waiting = true;
    turn->next = NULL;
    *caller->end = turn;
    caller->end = &turn->next;
}

static void prepend(struct turn *turn)
{
    struct caller *caller = turn->caller;
    turn->waiting = true;
    turn->next = caller->first;
    if (caller->first == NULL)
        caller->end = &turn->next;
    caller->first = turn;
}

static void take_out(struct turn *turn)
{
    struct caller *caller = turn->caller;
    struct turn **link = &caller->first;
    while (*link != turn)
        link = &(*link)->next;
    *link = turn->next;
    if (turn->next == NULL)
        caller->end = link;
    turn->waiting = false;
}

static void let_go(struct turn *turn)
{
    take_out(turn);
    turn->caller->under_way++;
    turn->go(turn->user);
}

static void turn_leave(struct turns *turns, struct turn *turn)
{
    struct caller *caller = turn->caller;
    turn->caller = NULL;
    turn->patience = (monotonic_time){0};
    if (caller->under_way > 0 || caller->first != NULL)
        return;
    tdelete(caller, &turns->callers, turn_compare);
    free(caller);
}

bool turn_take(struct turns *turns, struct turn *turn, const char *credential)
{
    turn->caller = find_caller(turns, credential);
    if (turn->caller == NULL)
        return true; /* uncounted */
    if (turn->caller->first != NULL) {
        turn_append(turn);
        return false;
    }
    turn->caller->under_way++;
    return true;
}

bool turn_wait(struct turns *turns, struct turn *turn, int64_t patience_milliseconds)
{
    monotonic_time now = clock_monotonic();
    monotonic_time patience = monotonic_after(now, patience_milliseconds);
    bool again = turn->patience.nanoseconds != 0;
    if (turn->caller == NULL)
        return false;
    turn->caller->under_way--;
    if (again && turn->patience.nanoseconds <= now.nanoseconds) {
        turn_leave(turns, turn);
        return false;
    }
    turn->patience = again ? monotonic_earlier(turn->patience, patience) : patience;
    if (again)
        prepend(turn);
    else
        turn_append(turn);
    return true;
}

void turn_end(struct turns *turns, struct turn *turn)
{
    struct caller *caller = turn->caller;
    if (caller == NULL)
        return;
    if (turn->waiting) {
        take_out(turn);
    } else {
        caller->under_way--;
        if (caller->first != NULL)
            let_go(caller->first);
    }
    turn_leave(turns, turn);
}

/* One of each caller, since there may be room again, and all that have waited for long enough. */
static void tick_caller(const void *node, VISIT visit, void *now)
{
    struct caller *caller = *(struct caller *const *)node;
    if (visit != postorder && visit != leaf)
        return;
    if (caller->first != NULL)
        let_go(caller->first);
    for (struct turn *turn = caller->first, *next; turn != NULL; turn = next) {
        next = turn->next;
        if (turn->patience.nanoseconds != 0 &&
            turn->patience.nanoseconds <= ((const monotonic_time *)now)->nanoseconds)
            let_go(turn);
    }
}

void turns_tick(struct turns *turns)
{
    monotonic_time now = clock_monotonic();
    twalk_r(turns->callers, tick_caller, &now);
}
