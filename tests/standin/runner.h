/*
 * The task manager: what is due is run, one after another, in no particular order. A dispatcher
 * locks up to ten tasks ahead of the one that runs; each is loaded when its turn comes, and run
 * whatever its status then is, unless it is gone.
 */
#ifndef STANDIN_RUNNER_H
#define STANDIN_RUNNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct task;

void runner_start(void);
/* After store.stopping was set. */
void runner_stop(void);
/* Runs what is due now, without the waits, until nothing is; how many tasks that were. */
size_t runner_run_due(void);

/* The queue has changed (store.lock is held): locks what is due, as far as there is room. */
void runner_dispatch(void);

/*
 * The server is killed in the middle of its work: what it ran is not done, and this and what it had
 * locked to run next stays locked for so many seconds. store.lock is held.
 */
void runner_kill(int64_t lock_seconds);

/* Whether a server, this one or one that was killed, has a lock on it. store.lock is held. */
bool runner_has_locked(const struct task *task);

/* The state was replaced (store.lock is held): an order under way comes to nothing. */
void runner_forget(void);

#endif
