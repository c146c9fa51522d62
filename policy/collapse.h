#ifndef RENEWGATE_POLICY_COLLAPSE_H
#define RENEWGATE_POLICY_COLLAPSE_H

/*
 * One retry for each domain: which of a domain's queued tasks stays, and how it is written. Facts
 * in, plan out, by the rules of docs/decisions.md.
 *
 * Of the tasks that wait, one stays: while the certificate is fresh, one that is not due before it
 * is rather than one that is. Of such the rate-limited one that is due last, else the earliest that
 * is not due before the certificate is, else the latest of those that are. If it is rate-limited it
 * is due when the CA no longer refuses, and starts counting attempts anew: the server would give
 * up, or retry too early, after too many. Else it is due with the certificate at the earliest.
 *
 * Of those that are due one stays too, chosen alike. Which of them run cannot be seen, but the
 * server refuses to write those; so the others yield, each unless it runs. They do not count as the
 * one that waits: what runs can end at any moment without another to follow. But beside one that is
 * due, nothing that the CA has not refused is left to start soon: it would order a second time.
 *
 * One that is stuck counts for nothing, and is removed where another is there.
 *
 * In a sweep (`upkeep`) what waits is also brought forward to the time that is right for it, what
 * is due beyond the account's limit is put off, and where nothing is left one is to be made:
 * policy/upkeep.h.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/renewal_task.h"

/* A task due so soon counts as due: it would start while the others are being removed. */
#define COLLAPSE_MARGIN_SECONDS 30
/*
 * For so long a task is put off whose twin runs, as long as the server's lock on a running one
 * lasts. What the twin leaves then decides: a next renewal, beside which this one is removed, or
 * nothing. One that is due in no less than half of it is left, so that nothing is put off at each
 * look.
 */
#define COLLAPSE_PUT_OFF_SECONDS 3600

/*
 * A next renewal may be so much later than R: v0.16.5 counts its share of a certificate's life from
 * the time of issue, and CAs date certificates back. No more than a quarter of what is then left.
 */
#define COLLAPSE_LATE_SECONDS INT64_C(86400)
/* The server retries what has failed within six hours; what waits for longer is not its doing. */
#define COLLAPSE_RETRY_SECONDS INT64_C(86400)

struct collapse_facts {
    wall_time now;
    wall_time refused_until; /* H; WALL_TIME_NEVER where nothing says so */
    wall_time renewal_due;   /* R; WALL_TIME_NEVER where no certificate has the exact set */
    wall_time expires;       /* that certificate; only with `upkeep` */
    wall_time not_before;    /* the account's pace, for what is due; WALL_TIME_NEVER: at once */
    bool upkeep;             /* what is left is to be due at the right time, and to be there */
    bool followed; /* a renewal that is due follows a DNS task: none is made or brought forward */
    int64_t stuck_after_seconds;      /* 0: none is */
    const struct renewal_task *tasks; /* of one domain; Failed ones are left */
    size_t task_count;
};

enum collapse_fate {
    COLLAPSE_LEFT,
    COLLAPSE_KEPT,      /* stays as it is */
    COLLAPSE_REWRITTEN, /* stays, with `due` as its due time; if rate-limited, no attempts counted
                         */
    COLLAPSE_REMOVED,   /* what waits beside another, and what is stuck */
    COLLAPSE_NEXT,      /* the due one that stays; put off where another runs */
    COLLAPSE_YIELDS,    /* removed unless it is running already */
};

struct collapse_plan {
    size_t changes;  /* how many tasks are not as they should be: 0, nothing to do */
    size_t survivor; /* its place among the tasks; task_count where nothing waits */
    size_t next;     /* likewise of the due one that stays, where others make way for it */
    bool makes;      /* one is to be made; only with `upkeep` */
    wall_time due;   /* the survivor's, as it is to be, or that of the one that is made */
};

/*
 * When a domain's renewal is to run: at R while its certificate is fresh, else as soon as the CA
 * and the account's pace allow.
 */
wall_time collapse_right_time(const struct collapse_facts *facts);

/* Writes one fate for each task; `fates` is NULL where the plan alone is asked for. */
struct collapse_plan collapse_plan(const struct collapse_facts *facts, enum collapse_fate *fates);

/* The one that stays of those that wait; or NULL. */
const struct renewal_task *collapse_waits(const struct collapse_facts *facts);

/* The task that a create is answered with: one that is due already, else the survivor; or NULL. */
const struct renewal_task *collapse_stays(const struct collapse_facts *facts);

#endif
