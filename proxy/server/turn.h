#ifndef RENEWGATE_PROXY_SERVER_TURN_H
#define RENEWGATE_PROXY_SERVER_TURN_H

/*
 * Turns at the server. It refuses a caller more than a few requests at once (four, by default), and
 * a client that asks the gate often and at once is not to notice. A request that was refused so
 * waits for its turn: until another of the same caller has ended, or a second has passed. Whoever
 * has a turn keeps it over several requests, one after another.
 *
 * One table a worker, used on its thread only. A turn belongs to whoever takes it, and stays where
 * it is until it has ended.
 */

#include <stdbool.h>

#include "proxy/base/clock.h"

struct turns;
struct caller;

struct turn {
    struct turn *next;
    struct caller *caller; /* NULL: not taken */
    bool waiting;
    monotonic_time patience; /* when it has waited long enough; all zero before the first refusal */
    void (*go)(void *user);  /* what waits may be sent; must not end turns */
    void *user;
};

/* NULL when memory runs out. */
struct turns *turns_create(void);

/* No turn may be left. NULL is allowed. */
void turns_destroy(struct turns *turns);

/* Takes a turn for a credential. False: others wait already, and go() will be called. */
bool turn_take(struct turns *turns, struct turn *turn, const char *credential);

/* The server refused. False: it has waited for as long as it may since it was first refused, and
 * the turn has ended. */
bool turn_wait(struct turns *turns, struct turn *turn, int64_t patience_milliseconds);

/* Ends a turn in any state and lets the next one go. */
void turn_end(struct turns *turns, struct turn *turn);

/* Lets go who has waited for nobody in particular; about once a second. */
void turns_tick(struct turns *turns);

#endif
