#ifndef RENEWGATE_PROXY_SERVER_REQUEST_SLOT_H
#define RENEWGATE_PROXY_SERVER_REQUEST_SLOT_H

/*
 * Request slots. The server refuses a caller more than a few requests at once (four, by default),
 * and a client that asks the gate often and at once is not to notice. A request that was refused so
 * waits for a slot: until another of the same caller has ended, or a second has passed. Whoever
 * has a slot keeps it over several requests, one after another.
 *
 * One table a worker, used on its thread only. A slot belongs to whoever takes it, and stays where
 * it is until it has ended.
 */

#include <stdbool.h>

#include "proxy/base/clock.h"

struct request_slots;
struct caller;

struct request_slot {
    struct request_slot *next, **link; /* of those who wait; what points here */
    struct caller *caller;             /* NULL: not taken */
    bool waiting;
    monotonic_time patience; /* when it has waited long enough; all zero before the first refusal */
    void (*go)(void *user);  /* what waits may be sent; must not end slots */
    void *user;
};

/* NULL when memory runs out. */
struct request_slots *request_slots_create(void);

/* No slot may be left. NULL is allowed. */
void request_slots_destroy(struct request_slots *slots);

/* Takes a slot for a credential. False: others wait already, and go() will be called. */
bool request_slot_take(struct request_slots *slots, struct request_slot *slot,
                       const char *credential);

/* The server refused. False: it has waited for as long as it may since it was first refused, and
 * the slot has ended. */
bool request_slot_wait(struct request_slots *slots, struct request_slot *slot,
                       int64_t patience_milliseconds);

/* Ends a slot in any state and lets the next one go. */
void request_slot_end(struct request_slots *slots, struct request_slot *slot);

/* Lets go who has waited for nobody in particular; about once a second. */
void request_slots_tick(struct request_slots *slots);

#endif
