#ifndef RENEWGATE_JMAP_TIDY_QUEUE_CHANGE_H
#define RENEWGATE_JMAP_TIDY_QUEUE_CHANGE_H

/*
 * A queued task that was tidied up, or in a dry run would be, as it is told to the operator.
 * Strings are borrowed, and valid during the call that tells it only.
 */

#include "policy/renewal_task.h"
#include "policy/wall_time.h"

enum queue_action {
    QUEUE_POSTPONED,  /* the one that stays: given its due time; if refused, attempts forgotten */
    QUEUE_ADVANCED,   /* the same, where that is earlier than it was */
    QUEUE_DESTROYED,  /* it was there twice */
    QUEUE_SUPERSEDED, /* the same, written as Failed */
    QUEUE_SCHEDULED,  /* a renewal queued anew */
    QUEUE_CLEARED,    /* a Failed task that is gone */
    QUEUE_ACTIONS,
};

struct queue_change {
    const char *domain_id;
    const char *domain_name; /* NULL where it is not known */
    enum queue_action action;
    const char *id;         /* NULL where it is to be made, in a dry run */
    const char *survivor;   /* the task that stays, of those that wait */
    wall_time due;          /* its new one, where postponed, advanced or scheduled */
    const char *old_state;  /* what it was: "Pending", "Retry" or "Failed" */
    wall_time old_due;      /* the same */
    const char *old_reason; /* the same; NULL where it has not failed */
};

/* "postponed", "advanced" and so on; static. */
const char *queue_action_name(enum queue_action action);

/* What becomes of the one that stays, when it is given another due time. */
enum queue_action queue_action_of_move(const struct renewal_task *task, wall_time due);

/* A change of a task that was as it is given; `due` and `survivor` are the caller's to say. */
struct queue_change queue_change_of(enum queue_action action, const struct renewal_task *task,
                                    const char *domain_id, const char *domain_name);

#endif
