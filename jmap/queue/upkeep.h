#ifndef RENEWGATE_JMAP_QUEUE_UPKEEP_H
#define RENEWGATE_JMAP_QUEUE_UPKEEP_H

/*
 * One domain of a sweep, without I/O: in its flight and with its lease, so that no create decides
 * on it meanwhile, it is looked up, a renewal that it has lost is queued, and its tasks are
 * collapsed to one. Where the server has no time now (429, 5xx) the flight is left, and the domain
 * is to be looked at again.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/create/flight.h"
#include "jmap/facts/inventory.h"
#include "jmap/facts/lookup.h"
#include "jmap/queue/outlook.h"
#include "jmap/queue/sweep_context.h"
#include "jmap/wire/machine.h"
#include "jmap/wire/own_request.h"

struct collapse;
struct lease;

enum upkeep_step {
    UPKEEP_SEND, /* upkeep_request(), then upkeep_feed() */
    UPKEEP_WAIT, /* another decides on the domain; upkeep_woken() once the waker was called */
    UPKEEP_DONE,
    UPKEEP_INTERRUPTED, /* the flight was left; the domain is to be begun again, from its overview
                         */
};

/*
 * Its members are its own, but for `placed_at`, `error` and `is_over`. Zeroed before its first use.
 */
struct upkeep {
    const struct sweep_context *context;
    const struct inventory *inventory;
    const struct inventory_domain *domain; /* the one at hand */
    unsigned interruptions;                /* of that one */
    wall_time not_before;
    bool took;           /* one of its account's times, until it is known what became of it */
    wall_time placed_at; /* for then its order was placed; WALL_TIME_NEVER where none was */
    struct flight_place place;
    struct lease *lease; /* NULL: not taken, or there is no lock */
    struct lookup_domain found;
    struct lookup *lookup;
    struct outlook outlook;
    struct collapse *collapse;
    struct own_request request;
    enum {
        UPKEEP_FLIGHT,
        UPKEEP_LEASE,
        UPKEEP_LOOKUP,
        UPKEEP_MAKE,
        UPKEEP_COLLAPSE,
        UPKEEP_END,
    } stage;
    enum upkeep_step step;
    bool
        is_making; /* a create is on its way, or its answer was lost: the server may be making it */
    const char
        *error;   /* with UPKEEP_DONE: why it ended before its end, in words; static. Or NULL */
    bool is_over; /* with an error: no other domain would fare better */
};

/* Whether an answer of that status says that whatever is asked next comes to nothing as well. */
bool upkeep_is_over(unsigned status);

/*
 * Begins with a domain of the inventory; `not_before` is the account's pace. All is borrowed until
 * it ends.
 */
enum upkeep_step upkeep_begin(struct upkeep *upkeep, const struct sweep_context *context,
                              const struct inventory *inventory,
                              const struct inventory_domain *domain, wall_time not_before);

/* UPKEEP_SEND only; valid until the next feed. */
struct machine_order upkeep_request(const struct upkeep *upkeep);

/* A response, whole; status 0 where none came. */
enum upkeep_step upkeep_feed(struct upkeep *upkeep, unsigned status, const char *body, size_t len);

/* UPKEEP_WAIT only. */
enum upkeep_step upkeep_woken(struct upkeep *upkeep);

/* Ends it in any state and gives its flight to whoever waits. */
void upkeep_end(struct upkeep *upkeep);

/* What is known of a domain, for people and for looks to come. */
void upkeep_note_found(const struct sweep_context *context, const struct lookup_domain *found,
                       const struct outlook *outlook);

/* What would be done for it, without doing it. */
void upkeep_tell_plan(const struct sweep_context *context, const struct lookup_domain *found,
                      const struct outlook *outlook);

#endif
