#ifndef RENEWGATE_JMAP_TIDY_COLLAPSE_PARTS_H
#define RENEWGATE_JMAP_TIDY_COLLAPSE_PARTS_H

/*
 * What the parts of a collapse share; nobody else includes it.
 *
 *     collapse.c           the tasks are read, the plan is made, the one that stays is written, and
 *                          in the end Failed ones go; the driver's side
 *     collapse_removal.c   the others make way, one stage after the other
 */

#include "jmap/tidy/collapse.h"
#include "jmap/tidy/queue_change.h"
#include "jmap/wire/object_id.h"
#include "jmap/wire/own_request.h"

enum stage {
    STAGE_READ,
    STAGE_WRITE,
    STAGE_YIELD,     /* some of the due ones that are to make way for the next */
    STAGE_CLEAR,     /* those of them that did */
    STAGE_PUT_OFF,   /* the next itself, since another runs already */
    STAGE_DESTROY,   /* some of the rest */
    STAGE_SUPERSEDE, /* those of them that the server does not destroy */
    STAGE_SPENT,     /* Failed ones that say nothing new */
    STAGE_END,
};

struct collapse {
    struct collapse_order order;
    char domain_id[OBJECT_ID_SIZE];
    char released[OBJECT_ID_SIZE];
    json_t *ids; /* array: the tasks that are known */
    struct own_request request;
    json_t *read; /* the response that the tasks were read from; owns their strings */
    struct renewal_task *tasks;
    enum collapse_fate *fates; /* set to COLLAPSE_LEFT as each is dealt with */
    size_t task_count;
    size_t most;          /* tasks that are read or changed in one call */
    const char *survivor; /* of those that wait; where none does, of those that are due */
    wall_time due;        /* the survivor's */
    size_t survivor_at;   /* task_count where none waits */
    size_t next_at;       /* the due one that stays, or task_count */
    bool next_waits;      /* it was seen not to run */
    const char *running;  /* another that does, and orders first; or NULL */
    json_t *yielded;      /* array: written as Failed, to be destroyed */
    json_t *spent;        /* object: why the Failed ones did that are to go, by id */
    bool keeps_failed;    /* the server destroys none of these */
    enum stage stage;
    unsigned rounds;
    bool changed_meanwhile;
    size_t removed; /* how many were dealt with */
    bool destroys;  /* until the server has refused it */
    bool forbidden;
    const char *error;
};

/* ---- collapse.c ---- */

/* Ends, after the Failed ones that are to go; at once where there is an error, in words, static. */
void collapse_end(struct collapse *collapse, const char *error);

/* The write was not carried out: the credential may not, or nobody knows. */
void collapse_end_unchanged(struct collapse *collapse);

/* The domain is not what the plan was made for. */
void collapse_start_again(struct collapse *collapse);

/* Sends the request that was written. */
void collapse_send(struct collapse *collapse, enum stage stage);

void collapse_tell(struct collapse *collapse, enum queue_action action, size_t i, wall_time due,
                   const char *survivor);
void collapse_tell_moved(struct collapse *collapse, size_t i);

/* The update that gives a task another due time, and with `restart` all of its attempts again. */
json_t *collapse_postponed(wall_time due, bool restart);

/* Why the server refuses a change of a task; the second where no second look would change that. */
bool collapse_refused_as(const json_t *refusal, const char *type);
bool collapse_refused_for_good(const json_t *refusal);

/* ---- collapse_removal.c ---- */

/* Sends the next that removes a task, or ends where there is none. */
void collapse_remove(struct collapse *collapse);

/* From STAGE_YIELD to STAGE_SUPERSEDE: the answer to that. */
void collapse_feed_removal(struct collapse *collapse);

#endif
