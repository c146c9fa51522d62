/*
 * The task manager: what is due is run, one after another, in no particular order. A dispatcher
 * locks up to ten tasks ahead of the one that runs; each is loaded when its turn comes, and run
 * whatever its status then is, unless it is gone.
 */
#ifndef STANDIN_RUNNER_H
#define STANDIN_RUNNER_H

#include <stddef.h>

void runner_start(void);
/* After store.stopping was set. */
void runner_stop(void);
/* Runs what is due now, without the waits, until nothing is; how many tasks that were. */
size_t runner_run_due(void);

/* The queue has changed (store.lock is held): locks what is due, as far as there is room. */
void runner_dispatch(void);

/* The state was replaced (store.lock is held): an order under way comes to nothing. */
void runner_forget(void);

#endif
