#ifndef RENEWGATE_POLICY_RENEWAL_TASK_H
#define RENEWGATE_POLICY_RENEWAL_TASK_H

/* An AcmeRenewal task of a domain, as it was read, and in which order such tasks count. */

#include <stdbool.h>
#include <stddef.h>

#include "policy/wall_time.h"

enum task_state {
    TASK_PENDING,
    TASK_RETRY,
    TASK_FAILED,
};

/* "Pending", "Retry" or "Failed", as the server calls them; static. */
const char *task_state_name(enum task_state state);

/* From such a name; any other is that of a task which waits. */
enum task_state task_state_read(const char *name);

/*
 * How long a task is due before it counts as stuck where nothing else is said: the server's lock on
 * one that runs lasts for an hour, and it runs tasks one after another.
 */
#define RENEWAL_TASK_STUCK_SECONDS (3 * INT64_C(3600))

/* Strings are borrowed from whoever read them. */
struct renewal_task {
    const char *id;
    enum task_state state;
    wall_time due;              /* Pending, Retry */
    wall_time failed_at;        /* Failed */
    wall_time seen;             /* when this failureReason was first seen by the gate */
    const char *failure_reason; /* Retry, Failed; NULL else */
    bool restarted;   /* Retry: no attempt is counted, so its due is what a collapse has written */
    int64_t attempts; /* Retry, Failed: how many are counted */
    wall_time tried;  /* Retry: when the CA last refused, where its due does not heed that */
    /*
     * Failed: it asked for other names, or another CA. Pending: so did its refusal; for the server
     * it is in Retry.
     */
    bool other_order;
    bool other_setup; /* Failed: with that, or with other settings of domain or provider */
};

/* One in Pending that says when it is due and no more, as it is at `now`. The id is borrowed. */
struct renewal_task renewal_task_waiting(const char *id, wall_time due, wall_time now);

/*
 * When a task in Retry last ran that had run out of attempts: from then on v0.16.18 retries after
 * one hour, doubled each time up to six, whatever the CA has said. NEVER for any other.
 */
wall_time renewal_task_tried(const struct renewal_task *task, int64_t max_attempts);

/*
 * The due time that counts, with `due` as the server tells it (WALL_TIME_FOREVER where that cannot
 * be read): of one that the CA has refused no more than REFUSAL_LONGEST_SECONDS from `now`. Where
 * the CA has named a time beyond what the server can write, what it tells is another time.
 */
wall_time renewal_task_due(const struct renewal_task *task, wall_time now);

/*
 * It has been due for so long that it cannot be on its way any more: the server that took it is
 * dead, and its lock is not, or nobody runs it. 0 seconds: none ever is.
 */
bool renewal_task_stuck(const struct renewal_task *task, wall_time now,
                        int64_t stuck_after_seconds);

/* It waits because the CA has refused. */
bool renewal_task_rate_limited(const struct renewal_task *task);

/*
 * It has Failed for a reason that would make the next order fail too: not a refusal, nor that
 * nothing was due, nor what a collapse has written.
 */
bool renewal_task_has_failed(const struct renewal_task *task);

/* It has Failed since the CA could not validate a name. */
bool renewal_task_is_invalid(const struct renewal_task *task);

/*
 * The id of one that the CA has refused for another order, so that it only waits; or NULL. For the
 * server it is in Retry, so whoever reads it again has to know.
 */
const char *renewal_task_released(const struct renewal_task *tasks, size_t count);

/* Equal times are told apart by the id, so that the order of a list never shows. */
bool renewal_task_sooner(const struct renewal_task *a, const struct renewal_task *b);

/* Later, with the same order among equals: the CA refuses until then whatever the others say. */
bool renewal_task_waits_longer(const struct renewal_task *a, const struct renewal_task *b);

#endif
