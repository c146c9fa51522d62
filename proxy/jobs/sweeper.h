#ifndef RENEWGATE_PROXY_JOBS_SWEEPER_H
#define RENEWGATE_PROXY_JOBS_SWEEPER_H

/*
 * Drives sweeps (jmap/queue/sweep.h) and surveys (proxy/jobs/survey.h), one at a time, each as an
 * job (proxy/jobs/job.h). Where the server does not come back in the end that one is given
 * up; the next one finds what is left.
 */

#include <stdbool.h>

#include "proxy/relay/gate.h"

struct queue_change; /* jmap/tidy/queue_change.h */
struct sweep_skip;   /* jmap/queue/sweep_context.h */
struct sweeper;

struct sweeper_handler {
    void (*changed)(void *user, const struct queue_change *change);
    void (*skipped)(void *user, const struct sweep_skip *skip); /* a domain was passed over */
    void *user;
};

/*
 * The gate has a credential of its own. `handler` is copied. In a dry run nothing is changed. NULL
 * when memory or files run out.
 */
struct sweeper *sweeper_create(struct gate *gate, bool dry_run,
                               const struct sweeper_handler *handler);

void sweeper_destroy(struct sweeper *sweeper);

/* One sweep, on the caller's thread. NULL when it came to its end, else why not; static. */
const char *sweeper_sweep(struct sweeper *sweeper);

/* How often the gate sweeps, and surveys, in milliseconds; 0: never. */
int64_t sweeper_sweep_interval_ms(const struct config *config);
int64_t sweeper_survey_interval_ms(const struct config *config);

/* A thread that does so. False with errno. */
bool sweeper_start(struct sweeper *sweeper);

/* Ends the thread, in the middle of its work if need be, and waits for it. */
void sweeper_stop(struct sweeper *sweeper);

#endif
