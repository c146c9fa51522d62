#ifndef RENEWGATE_POLICY_ISSUE_HISTORY_H
#define RENEWGATE_POLICY_ISSUE_HISTORY_H

/*
 * When the CA has issued for a domain, as far as looks at it have shown: the newest few, of the
 * last 31 days, so that a certificate counts against the CA's limits after it has been destroyed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/wall_time.h"

#define ISSUE_HISTORY_MAX 16
#define ISSUE_HISTORY_SECONDS (INT64_C(31) * 86400)
/* A certificate begins so much before or after its order at most: CAs date back by an hour. */
#define ISSUE_HISTORY_NEAR_SECONDS (INT64_C(2) * 3600)

enum issue_kind {
    ISSUE_STORED,      /* a certificate was seen */
    ISSUE_THROWN_AWAY, /* a Failed task says so */
    ISSUE_ASSUMED,     /* an order has left no certificate, but the task that follows one */
};

struct issue {
    wall_time at;
    uint64_t order;     /* the names and the CA, as in struct setback_look */
    uint64_t ca;        /* the CA alone, with the account */
    uint64_t authority; /* the CA whatever the account, as its limits are */
    enum issue_kind kind;
    bool missing;  /* by the last look at that order it is not there any more */
    bool other_ca; /* in a look: it is not of that order, though it has the names */
    bool own_ca;   /* in a look: it is of that order's CA for certain */
    bool booked;   /* its owner's */
};

struct issue_look {
    wall_time now;
    uint64_t order, ca, authority;
    struct issue *seen; /* of that order but for those of another CA, in any order of time */
    size_t seen_count;
    bool ran; /* a task that was known to be due then is gone, and another follows it */
    wall_time ran_at;
};

/*
 * Brings the history, newest first, to what is known after a look; its new length. Two of the same
 * time and kind are two. What was seen before, when the domain had another CA, is that one's, but
 * for what is certain: it is marked so in the look. Linear in how many were seen.
 */
size_t issue_history_review(struct issue history[static ISSUE_HISTORY_MAX], size_t count,
                            const struct issue_look *look);

#endif
