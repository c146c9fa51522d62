#ifndef RENEWGATE_JMAP_CREATE_FLIGHT_H
#define RENEWGATE_JMAP_CREATE_FLIGHT_H

/*
 * Flights: the creates for one domain are decided one at a time. Whoever comes first leads the
 * domain's flight; who comes meanwhile waits, first come first served. A leader's result goes to
 * all of those whom it answers; of the others the first leads next, and the rest go on waiting.
 *
 * Nobody is to be kept waiting by who may have no business here: only a caller whom the server
 * knows joins.
 *
 * The table is shared by all threads. Who leads several flights at once must have joined them in
 * ascending order of the domains' ids, or two leaders could wait for each other.
 */

#include <stdbool.h>
#include <stdint.h>

#include "jmap/wire/object_id.h"
#include "policy/wall_time.h"

struct flight_table;
struct flight;

/* How long a flight goes on without a leader once one has left with its outcome unknown: what the
 * server has to carry out a write whose answer was lost before the next one looks. */
#define FLIGHT_AFTERMATH_MILLISECONDS 10000

/* What a leader leaves to those who waited. */
struct flight_result {
    bool settled;   /* false: it came to nothing, decide anew */
    bool unknown;   /* the server may still be writing; then not settled */
    bool no_op;     /* the id is a no-op's */
    unsigned row;   /* of the table, for the log */
    bool forced;    /* it was decided under a force */
    bool asked_now; /* it was asked for now, else for `asked` */
    wall_time asked;
    char id[OBJECT_ID_SIZE];
};

/* How a place stands. */
enum flight_standing {
    FLIGHT_OUT, /* in no flight: not joined, or left */
    FLIGHT_LEADS,
    FLIGHT_WAITS,
    FLIGHT_SERVED,   /* woken with a result that answers it; in no flight any more */
    FLIGHT_OVERTIME, /* woken since it has waited for too long; likewise */
};

/*
 * One place in one flight, owned by its holder and zeroed before its first use; it must stay
 * where it is until it has left. The first members are the holder's to set before it joins.
 */
struct flight_place {
    bool patient; /* it waits for as long as it takes */
    /*
     * Called with the table locked, on whatever thread: once, when the place waits no longer; and
     * whether a settled result answers it too (NULL: none does).
     */
    void (*wake)(void *user);
    bool (*serves)(void *user, const struct flight_result *result);
    void *user;

    enum flight_standing standing;
    struct flight_result result; /* with FLIGHT_SERVED */
    struct flight *flight;
    struct flight_place *next, **link; /* of those who wait; what points here */
    int64_t since;                     /* on the table's clock; 0: before its first tick */
};

/* NULL when memory runs out. */
struct flight_table *flight_table_create(void);

/* No place may be held any more. NULL is allowed. */
void flight_table_destroy(struct flight_table *table);

/*
 * Time goes on, in milliseconds of any clock that is never turned back: ends the wait of those who
 * are not patient and have waited that long, and of flights in their aftermath. About once a
 * second.
 */
void flight_table_tick(struct flight_table *table, int64_t now, int64_t patience);

enum flight_join {
    FLIGHT_LEADING,
    FLIGHT_WAITING,
    FLIGHT_NO_MEMORY,
};

/* Takes a place in the flight of a domain. */
enum flight_join flight_join(struct flight_table *table, const char *domain_id,
                             struct flight_place *place);

/* How a place that waited stands since its waker was called. */
enum flight_standing flight_standing(struct flight_table *table, const struct flight_place *place);

/*
 * Gives the place back. A leader's result goes to those whom it answers, and the first of the
 * others leads; a waiter that leaves is not woken any more once this returns. Does nothing for a
 * place that is in no flight.
 */
void flight_leave(struct flight_table *table, struct flight_place *place,
                  const struct flight_result *result);

#endif
