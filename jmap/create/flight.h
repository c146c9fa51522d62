#ifndef RENEWGATE_JMAP_CREATE_FLIGHT_H
#define RENEWGATE_JMAP_CREATE_FLIGHT_H

/*
 * Flights: the creates for one domain are decided one at a time. Whoever comes first leads the
 * domain's flight; who comes meanwhile waits, and is woken with what the leader settled.
 *
 * The table is shared by all threads. Who leads several flights at once must have joined them in
 * ascending order of the domains' ids, or two leaders could wait for each other.
 */

#include <stdbool.h>

#include "jmap/wire/object_id.h"
#include "policy/wall_time.h"

struct flight_table;
struct flight;

/* What a leader leaves to those who waited. */
struct flight_result {
    bool settled;   /* false: it came to nothing, decide anew */
    bool no_op;     /* the id is a no-op's */
    bool forced;    /* it was decided under a force */
    bool asked_now; /* it was asked for now, else for `asked` */
    wall_time asked;
    char id[OBJECT_ID_SIZE];
};

/*
 * One place in one flight, owned by its holder and zeroed before its first use; it must stay
 * where it is until it has left.
 */
struct flight_place {
    struct flight *flight;
    struct flight_place *next;
    bool leading;
    void (*wake)(void *user); /* called once, with the table locked, on the leader's thread */
    void *user;
    struct flight_result result; /* valid once woken */
};

/* NULL when memory runs out. */
struct flight_table *flight_table_create(void);

/* No place may be held any more. NULL is allowed. */
void flight_table_destroy(struct flight_table *table);

enum flight_join {
    FLIGHT_LEADING,
    FLIGHT_WAITING,
    FLIGHT_NO_MEMORY,
};

/* Takes a place in the flight of a domain. `place->wake` and `user` are set by the caller. */
enum flight_join flight_join(struct flight_table *table, const char *domain_id,
                             struct flight_place *place);

/*
 * Gives the place back. A leader's result goes to all who wait, and the flight ends; a waiter that
 * leaves is not woken any more once this returns. Does nothing for a place that is in no flight.
 */
void flight_leave(struct flight_table *table, struct flight_place *place,
                  const struct flight_result *result);

#endif
