#ifndef RENEWGATE_POLICY_SETBACK_H
#define RENEWGATE_POLICY_SETBACK_H

/*
 * What is remembered of a domain's refusals and failures from one look at its tasks to the next:
 * for which names at which CA, and with which settings, they were. After a change they say nothing
 * any more. What was never seen before counts as of now.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/renewal_task.h"

#define SETBACK_ID_SIZE 14
#define SETBACK_MARKED 4
/* More failed validations no CA takes within any time that counts. */
#define SETBACK_INVALID 4
/* For so long they are known. */
#define SETBACK_INVALID_SECONDS (INT64_C(31) * 86400)

/* Failed tasks up to a moment, of the last second these. */
struct setback_mark {
    wall_time until;
    uint64_t ids[SETBACK_MARKED]; /* hashes; 0: none */
};

/*
 * Until when a domain was held, which is to be known beyond the tasks that told of it. The times
 * are WALL_TIME_NEVER where nothing says so.
 */
struct setback_hold {
    uint64_t order, setup; /* as in struct setback_look */
    wall_time issued;      /* the last certificate, by then */
    wall_time refused;     /* the CA has refused that order until then */
    wall_time failing;     /* after failures under that setup the next order waits until then */
    size_t failures;       /* so many, as far as is known; */
    wall_time counted;     /* the latest of them */
};

/* A task that Failed since the CA could not validate a name; it may be gone. */
struct setback_invalid {
    char id[SETBACK_ID_SIZE]; /* "": none */
    wall_time failed_at;
    int64_t attempts;
};

/* Begins zeroed. */
struct setback {
    uint64_t order, setup; /* as in struct setback_look, when last seen; 0: never */
    struct setback_mark other_order, other_setup; /* tasks that Failed under others */
    size_t failures;                              /* under this setup, since the last certificate */
    wall_time counted;                            /* the latest of them */
    char refused[SETBACK_ID_SIZE]; /* a task in Retry that the CA has refused; or "" */
    uint64_t refused_reason;
    int64_t refused_attempts;
    bool refused_other;       /* for another order than `order` */
    struct setback_hold kept; /* its order and setup are 0 where nothing is kept of them */
    struct setback_invalid invalid[SETBACK_INVALID]; /* the newest that were seen */
};

struct setback_look {
    uint64_t order;             /* stands for the names and the CA; not 0 */
    uint64_t setup;             /* for that, and for whatever else can make an order fail; not 0 */
    struct renewal_task *tasks; /* of one domain */
    size_t task_count;
    wall_time issued; /* its last certificate; or WALL_TIME_NEVER */
    wall_time now;
};

/*
 * Marks the tasks that are of another order or setup than this one; one in Retry whose refusal was
 * of another order becomes Pending: it only waits. Then takes note of the others. False when there
 * is nothing to remember.
 */
bool setback_review(struct setback *known, const struct setback_look *look);

/*
 * Keeps a refusal, and a wait after failures, beyond the tasks that told of it: until a certificate
 * has come since the last one, or no live task is left that waits for its end.
 */
void setback_keep(struct setback *known, const struct setback_hold *hold);

/* What is kept for the order and the setup that were last looked at, and how many failures are
 * known. */
struct setback_hold setback_kept(const struct setback *known);

#endif
