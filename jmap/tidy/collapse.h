#ifndef RENEWGATE_JMAP_TIDY_COLLAPSE_H
#define RENEWGATE_JMAP_TIDY_COLLAPSE_H

/*
 * Carries a plan of policy/collapse.h out on the server, for one domain, without I/O: it says what
 * to send next and is fed the answer.
 *
 *     read       the tasks that are known, by id; then the plan is made
 *     write      the one that stays, and a look at what became of it
 *     yield      the due ones but one are written as Failed, which the server refuses for those
 *                that run, and then destroyed; where another runs that one is put off
 *     remove     the others: destroyed, or where the server refuses that (recording set-destroy of
 *                v0.16.5) written as Failed, which never runs
 *
 * In this order the domain has its task at every moment, so it may be broken off anywhere and done
 * again. What has changed meanwhile is read anew, a few times, else left for the next time. Where
 * the credential may not change tasks, it ends without having changed any.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/collapse.h"

struct collapse;
struct queue_change; /* jmap/tidy/queue_change.h */

/* Copied, but for `domain_name` and `user`. */
struct collapse_order {
    const char *domain_id;
    const char *domain_name;     /* as it is told; may be NULL */
    const char *const *task_ids; /* all of the domain that are known; some may be gone */
    size_t task_count;
    size_t most; /* objects that the server takes in one call; 0: as many as others do */
    const struct renewal_task *spent; /* Failed ones that are to go, in the end; a few */
    size_t spent_count;
    wall_time refused_until; /* H from all but these tasks */
    wall_time renewal_due;   /* R, or WALL_TIME_NEVER */
    int64_t blind_hold_seconds;
    /* One in Retry whose refusal was of another order, so that it only waits; or NULL. */
    const char *released;
    wall_time expires, not_before; /* the four: see policy/collapse.h */
    bool upkeep, followed;         /* likewise */
    int64_t stuck_after_seconds;
    wall_time (*now)(void *user);
    void (*changed)(void *user, const struct queue_change *change);
    void *user;
};

/* NULL when memory runs out. */
struct collapse *collapse_create(const struct collapse_order *order);
void collapse_destroy(struct collapse *collapse);

/* What to send to the API, or NULL: it has ended. Valid until the next feed. */
const char *collapse_body(const struct collapse *collapse, size_t *len);

/* A response, whole; status 0 where none came. */
void collapse_feed(struct collapse *collapse, unsigned status, const char *body, size_t len);

/* Why it ended before its end, in words; NULL when it did not. Static. */
const char *collapse_error(const struct collapse *collapse);

/* Whether the server has said that it destroys none of the Failed ones. */
bool collapse_keeps_failed(const struct collapse *collapse);

/* Whether that is so because the credential may not change tasks, of whatever domain. */
bool collapse_is_forbidden(const struct collapse *collapse);

#endif
