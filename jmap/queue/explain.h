#ifndef RENEWGATE_JMAP_QUEUE_EXPLAIN_H
#define RENEWGATE_JMAP_QUEUE_EXPLAIN_H

/*
 * What would become of a create for one domain now, and why, without I/O and without changing
 * anything: the domain is found by its name, looked up as a create's is, and judged by
 * jmap/facts/judgement.h, as a create is.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/domain_facts.h"
#include "jmap/facts/memory.h"
#include "jmap/wire/machine.h"
#include "jmap/wire/object_id.h"
#include "policy/decide.h"
#include "policy/held.h"
#include "policy/hold_settings.h"

struct explain;

/* Borrowed from the machine, for as long as it lives. */
struct explanation {
    const char *name;                  /* as it was asked for, in lower case */
    char id[OBJECT_ID_SIZE];           /* the domain's */
    const struct lookup_domain *found; /* NULL where it could not be looked up */
    const char *unread;                /* why not, in words; else NULL. Static */
    struct decision_facts facts;       /* as the table was read with */
    struct held held;                  /* with the account's limit where that has a say */
    struct decision decision;
    struct decision_trace trace;
    char answered[OBJECT_ID_SIZE]; /* the id that the create would be answered with; or "" */
};

/* All borrowed for the machine's lifetime. */
struct explain_context {
    const struct hold_settings *settings;
    struct task_memory *memory;
    const char *name;
    bool forced; /* as with Renewgate-Force: 1, where that is allowed */
    wall_time (*now)(void *user);
    void *user;
};

/* NULL when memory runs out. */
struct explain *explain_create(const struct explain_context *context);

/* In any state. NULL is allowed. */
void explain_destroy(struct explain *explain);

extern const struct machine explain_machine;

/* Once it is done: what there is to tell; NULL where there is nothing, and explain_error() says
 * why.
 */
const struct explanation *explain_result(const struct explain *explain);
const char *explain_error(const struct explain *explain);

#endif
