#ifndef RENEWGATE_JMAP_FACTS_INVENTORY_H
#define RENEWGATE_JMAP_FACTS_INVENTORY_H

/*
 * All renewal tasks and all domains with automatic certificates, read page by page, without I/O: it
 * says what to send next and is fed the answer. The list changes while it is read, so what comes of
 * it is where to look, not what to do: a task that moves on is seen twice or once, and one that
 * moves back may not be seen.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/memory.h"
#include "jmap/facts/order_list.h"
#include "jmap/wire/object_id.h"
#include "jmap/wire/own_request.h"

/* One task; some hundred bytes. */
struct inventory_task {
    char id[OBJECT_ID_SIZE];
    char domain_id[OBJECT_ID_SIZE];
    bool not_due;             /* Failed, and all that it says is that no renewal was due */
    bool spent;               /* Failed, and a newer one says the same; whoever judges sets it */
    struct renewal_task task; /* `id` is the member above; `failure_reason` is cut where long */
};

/* One domain and its tasks: [first, first + count) of the inventory's. */
struct inventory_domain {
    char id[OBJECT_ID_SIZE];
    char *name;                       /* NULL where it was not listed; the inventory's */
    bool automatic;                   /* its certificates are managed by the server */
    char provider_id[OBJECT_ID_SIZE]; /* the ACME provider that does; or "" */
    size_t first, count;
};

struct inventory {
    struct inventory_task *tasks; /* by domain, once it is done */
    size_t task_count;
    struct inventory_domain *domains; /* ascending by id, once it is done */
    size_t domain_count;
    size_t manual_count; /* how many manage their certificates by hand */
    const char *only;    /* set after the beginning: domains of other names are passed over */
    /* Likewise: when certificates were issued since then is listed, too; WALL_TIME_FOREVER: not. */
    wall_time issued_since;
    struct order_list issued; /* of whatever domains and providers, ascending once it is done */

    /* Its own. */
    struct own_request request;
    wall_time now;
    enum {
        INVENTORY_TASKS,
        INVENTORY_FAILED,
        INVENTORY_DOMAINS,
        INVENTORY_ISSUED,
        INVENTORY_DONE
    } stage;
    wall_time cursor;     /* tasks due before it have been read */
    size_t position;      /* behind the cursor */
    size_t pages, listed; /* how many there were, and objects in them */
    size_t page;          /* how many objects the server gives in one */
    struct task_memory *memory;
    const char *error; /* why it ended before its end, in words; static */
};

/* Begins; zeroed before. The memory is borrowed until it is done. */
void inventory_begin(struct inventory *inventory, struct task_memory *memory, wall_time now);

/* What to send to the API, or NULL: it is done, or `error` is set. Valid until the next feed. */
const char *inventory_body(const struct inventory *inventory, size_t *len);

/* A response, whole; status 0 where none came. */
void inventory_feed(struct inventory *inventory, unsigned status, const char *body, size_t len);

/* Once it is done; NULL where neither the domain nor a task of it was listed. */
const struct inventory_domain *inventory_find(const struct inventory *inventory, const char *id);

/* Once it is done: the domain's task of that id, or NULL. */
const struct inventory_task *inventory_task_of(const struct inventory *inventory,
                                               const struct inventory_domain *domain,
                                               const char *id);

/* Once it is done: when the earliest of a domain's live tasks is due, of which one will be left. */
wall_time inventory_queued(const struct inventory *inventory,
                           const struct inventory_domain *domain);

/*
 * Once it is done: the live tasks of its domains, so that creates to come need not search for them,
 * and when they will make orders. It was begun at that `moment` of the memory.
 */
void inventory_note_tasks(const struct inventory *inventory, struct task_memory *memory,
                          uint64_t moment);

void inventory_clear(struct inventory *inventory);

#endif
