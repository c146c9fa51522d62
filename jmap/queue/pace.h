#ifndef RENEWGATE_JMAP_QUEUE_PACE_H
#define RENEWGATE_JMAP_QUEUE_PACE_H

/*
 * The pace of orders in a pass over all domains: each ACME provider's account gets so many in a
 * time (policy/account_limit.h), and what is due beyond that is spread over the time that follows.
 * Known are the orders that queued tasks will make, those whose certificates were listed or looked
 * up, and those that the pass itself has found a time for. Of two passes over the same state each
 * finds the same times.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/inventory.h"
#include "jmap/facts/lookup.h"
#include "jmap/queue/outlook.h"
#include "policy/account_limit.h"

struct pace_account;

/* Its members are its own. */
struct pace {
    const struct inventory *inventory;
    struct issue_limit limit;
    wall_time now;
    struct order_list lately; /* issued of late, of domains that were not come by yet */
    struct pace_account *accounts;
    size_t account_count;
    wall_time *placed; /* of each domain's next order; WALL_TIME_NEVER where it has none */
    bool *noted;       /* whether the pass has come by it */
};

/*
 * Begins with the listed tasks; the inventory is borrowed until the end. False, with nothing to be
 * ended, when memory runs out.
 */
bool pace_open(struct pace *pace, const struct inventory *inventory, struct issue_limit limit,
               wall_time now);

/* Zeroed is allowed. */
void pace_close(struct pace *pace);

/*
 * When the account of a domain that was looked up has an order for it, which is then its. A task
 * that waits for nearly that time keeps it; of one that was come by before, it is that time again.
 * WALL_TIME_NEVER where the domain is not due, or an
 * order is on its way. False when memory runs out.
 */
bool pace_place(struct pace *pace, const struct inventory_domain *domain,
                const struct lookup_domain *found, const struct outlook *outlook,
                wall_time *not_before);

/*
 * The domain's order comes at another time than the one that was found: creates have taken that
 * meanwhile, so it goes on counting. False when memory runs out.
 */
bool pace_shift(struct pace *pace, const struct inventory_domain *domain, wall_time at);

#endif
