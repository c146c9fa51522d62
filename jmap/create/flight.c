#include "jmap/create/flight.h"

#include <pthread.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

struct flight {
    char domain_id[OBJECT_ID_SIZE + 1]; /* or "#" and a creation id, cut: at worst two share one */
    struct flight_place *waiting;
};

struct flight_table {
    pthread_mutex_t lock;
    void *flights; /* tsearch(3) tree of struct flight */
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
    tdestroy(table->flights, free);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static enum flight_join join_locked(struct flight_table *table, const char *domain_id,
                                    struct flight_place *place)
{
    struct flight *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return FLIGHT_NO_MEMORY;
    strncpy(fresh->domain_id, domain_id, sizeof fresh->domain_id - 1);

    struct flight **found = tsearch(fresh, &table->flights, flight_compare);
    if (!found) {
        free(fresh);
        return FLIGHT_NO_MEMORY;
    }
    place->flight = *found;
    place->leading = *found == fresh;
    if (place->leading)
        return FLIGHT_LEADING;
    free(fresh);
    place->next = place->flight->waiting;
    place->flight->waiting = place;
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

static void end_flight(struct flight_table *table, struct flight *flight,
                       const struct flight_result *result)
{
    struct flight_place *next;

    for (struct flight_place *place = flight->waiting; place; place = next) {
        next = place->next;
        place->next = NULL;
        place->flight = NULL;
        place->result = *result;
        place->wake(place->user);
    }
    tdelete(flight, &table->flights, flight_compare);
    free(flight);
}

static void stop_waiting(struct flight_place *place)
{
    struct flight_place **link = &place->flight->waiting;

    while (*link != place)
        link = &(*link)->next;
    *link = place->next;
    place->next = NULL;
}

void flight_leave(struct flight_table *table, struct flight_place *place,
                  const struct flight_result *result)
{
    pthread_mutex_lock(&table->lock);
    if (place->flight && place->leading)
        end_flight(table, place->flight, result);
    else if (place->flight)
        stop_waiting(place);
    place->flight = NULL;
    place->leading = false;
    pthread_mutex_unlock(&table->lock);
}
