#ifndef RENEWGATE_JMAP_TIDY_QUEUE_CHANGE_H
#define RENEWGATE_JMAP_TIDY_QUEUE_CHANGE_H

/*
 * A queued task that was tidied up, or in a dry run would be, as it is told to the operator.
 * Strings are borrowed, and valid during the call that tells it only.
 */

#include "jmap/tidy/collapse.h"
#include "policy/wall_time.h"

struct queue_change {
    const char *domain_id;
    const char *domain_name; /* NULL where it is not known */
    const char *action;      /* a collapse's; "scheduled", a renewal queued anew; "cleared", a
                                Failed task that is gone */
    const char *id;          /* NULL where it is to be made, in a dry run */
    const char *survivor;    /* the task that stays, of those that wait */
    wall_time due;           /* its new one, where postponed or scheduled */
    const char *old_state;   /* what it was: "Pending", "Retry" or "Failed" */
    wall_time old_due;       /* the same */
    const char *old_reason;  /* the same; NULL where it has not failed */
};

struct queue_change queue_change_of_collapse(const struct collapse_change *change,
                                             const char *domain_id, const char *domain_name);

#endif
