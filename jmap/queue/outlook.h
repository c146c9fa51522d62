#ifndef RENEWGATE_JMAP_QUEUE_OUTLOOK_H
#define RENEWGATE_JMAP_QUEUE_OUTLOOK_H

/*
 * What is known of a domain once its tasks were listed (jmap/facts/inventory.h) and it was looked
 * up (jmap/facts/lookup.h), and what is to be done for it (policy/upkeep.h).
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/inventory.h"
#include "jmap/facts/lookup.h"
#include "policy/hold_settings.h"
#include "policy/upkeep.h"

struct outlook {
    struct renewal_task *tasks; /* its own; their strings are the inventory's and the look-up's */
    size_t task_count;
    enum collapse_fate *fates; /* one for each task */
    bool *spent;               /* likewise: a Failed one that says what a newer one says */
    size_t spent_count;
    struct held held; /* by all that is known; its words are the tasks' */
    int64_t stuck_after_seconds;
    struct upkeep_plan plan;
};

/*
 * What is known: the tasks, Failed ones too, as the look-up has seen them last, and what was listed
 * beside them. False, with nothing to be cleared, when memory runs out.
 */
bool outlook_open(struct outlook *outlook, const struct inventory *inventory,
                  const struct inventory_domain *domain, const struct lookup_domain *found,
                  const struct hold_settings *settings, wall_time now);

/* What is to be done; `not_before` is the account's pace. */
void outlook_plan(struct outlook *outlook, const struct lookup_domain *found, wall_time not_before,
                  wall_time now);

/* A task is due that is not stuck. */
bool outlook_is_on_its_way(const struct outlook *outlook, wall_time now);

/* Zeroed is allowed. */
void outlook_clear(struct outlook *outlook);

#endif
