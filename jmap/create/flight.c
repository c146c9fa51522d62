#include "jmap/create/flight.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct flight {
    char domain_id[OBJECT_ID_SIZE + 1]; /* or "#" and a creation id, cut: at worst two share one */
    struct flight_place *leader;        /* NULL in its aftermath */
    int64_t aftermath_ends;             /* 0: from the next tick on */
    struct flight_place *first;         /* of those who wait, in the order in which they came */
    struct flight_place **end;
    struct flight *previous, *next; /* of all flights */
};

struct flight_table {
    pthread_mutex_t lock;
    void *by_domain; /* tsearch(3) tree of struct flight */
    struct flight *flights;
    int64_t now; /* as of the last tick */
};

static int flight_compare(const void *a, const void *b)
{
    const struct flight *x = a, *y = b;

    return strcmp(x->domain_id, y->domain_id);
}

struct flight_table *flight_table_create(void)
{
    struct flight_table *table = calloc(1, sizeof *table);

    if (table && pthread_mutex_init(&table->lock, NULL) != 0) {
        free(table);
        return NULL;
    }
    return table;
}

void flight_table_destroy(struct flight_table *table)
{
    if (!table)
        return;
    tdestroy(table->by_domain, free);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* The flight of a domain, a new one without a leader where there is none; NULL without memory. */
static struct flight *find_flight(struct flight_table *table, const char *domain_id)
{
    struct flight *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    strncpy(fresh->domain_id, domain_id, sizeof fresh->domain_id - 1);
    fresh->end = &fresh->first;

    struct flight **found = tsearch(fresh, &table->by_domain, flight_compare);
    if (!found || *found != fresh) {
        free(fresh);
        return found ? *found : NULL;
    }
    fresh->next = table->flights;
    if (fresh->next)
        fresh->next->previous = fresh;
    return table->flights = fresh;
}

static void forget_flight(struct flight_table *table, struct flight *flight)
{
    tdelete(flight, &table->by_domain, flight_compare);
    if (flight->next)
        flight->next->previous = flight->previous;
    if (flight->previous)
        flight->previous->next = flight->next;
    else
        table->flights = flight->next;
    free(flight);
}

static void lead(struct flight *flight, struct flight_place *place)
{
    flight->leader = place;
    place->flight = flight;
    place->standing = FLIGHT_LEADS;
}

static void stand_outside(struct flight_place *place, enum flight_standing standing)
{
    place->flight = NULL;
    place->next = NULL;
    place->standing = standing;
}

static enum flight_join join_locked(struct flight_table *table, const char *domain_id,
                                    struct flight_place *place)
{
    struct flight *flight = find_flight(table, domain_id);
    if (!flight)
        return FLIGHT_NO_MEMORY;

    if (!flight->leader && !flight->first && flight->aftermath_ends == 0) {
        lead(flight, place);
        return FLIGHT_LEADING;
    }
    place->flight = flight;
    place->standing = FLIGHT_WAITS;
    place->since = table->now;
    place->next = NULL;
    place->link = flight->end;
    *flight->end = place;
    flight->end = &place->next;
    return FLIGHT_WAITING;
}

enum flight_join flight_join(struct flight_table *table, const char *domain_id,
                             struct flight_place *place)
{
    pthread_mutex_lock(&table->lock);
    enum flight_join joined = join_locked(table, domain_id, place);
    pthread_mutex_unlock(&table->lock);
    return joined;
}

enum flight_standing flight_standing(struct flight_table *table, const struct flight_place *place)
{
    pthread_mutex_lock(&table->lock);
    enum flight_standing standing = place->standing;
    pthread_mutex_unlock(&table->lock);
    return standing;
}

static void take_out(struct flight_place *place)
{
    *place->link = place->next;
    if (place->next)
        place->next->link = place->link;
    else
        place->flight->end = place->link;
}

static void share(struct flight *flight, const struct flight_result *result)
{
    struct flight_place *next;

    for (struct flight_place *place = flight->first; place; place = next) {
        next = place->next;
        if (!place->serves || !place->serves(place->user, result))
            continue;
        take_out(place);
        stand_outside(place, FLIGHT_SERVED);
        place->result = *result;
        place->wake(place->user);
    }
}

/* The first who waits leads; where nobody does, the flight ends. */
static void hand_over(struct flight_table *table, struct flight *flight)
{
    if (!flight->first) {
        forget_flight(table, flight);
        return;
    }
    struct flight_place *place = flight->first;
    take_out(place);
    flight->aftermath_ends = 0;
    lead(flight, place);
    place->wake(place->user);
}

static void stop_leading(struct flight_table *table, struct flight *flight,
                         const struct flight_result *result)
{
    flight->leader = NULL;
    if (result->settled)
        share(flight, result);
    if (result->unknown)
        flight->aftermath_ends = table->now + FLIGHT_AFTERMATH_MILLISECONDS;
    else
        hand_over(table, flight);
}

void flight_leave(struct flight_table *table, struct flight_place *place,
                  const struct flight_result *result)
{
    pthread_mutex_lock(&table->lock);
    struct flight *flight = place->flight;
    if (flight && place->standing == FLIGHT_WAITS)
        take_out(place);
    else if (flight)
        stop_leading(table, flight, result);
    stand_outside(place, FLIGHT_OUT);
    pthread_mutex_unlock(&table->lock);
}

static void end_long_waits(struct flight *flight, int64_t now, int64_t patience)
{
    struct flight_place *next;

    for (struct flight_place *place = flight->first; place; place = next) {
        next = place->next;
        if (place->since == 0)
            place->since = now;
        if (place->patient || now - place->since < patience)
            continue;
        take_out(place);
        stand_outside(place, FLIGHT_OVERTIME);
        place->wake(place->user);
    }
}

void flight_table_tick(struct flight_table *table, int64_t now, int64_t patience)
{
    struct flight *next;

    pthread_mutex_lock(&table->lock);
    for (struct flight *flight = table->flights; flight; flight = next) {
        next = flight->next;
        end_long_waits(flight, now, patience);
        if (!flight->leader && flight->aftermath_ends <= FLIGHT_AFTERMATH_MILLISECONDS)
            flight->aftermath_ends = now + FLIGHT_AFTERMATH_MILLISECONDS; /* before any tick */
        else if (!flight->leader && flight->aftermath_ends <= now)
            hand_over(table, flight);
    }
    table->now = now;
    pthread_mutex_unlock(&table->lock);
}
