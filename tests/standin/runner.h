/*
 * The task manager: what is due is run, one after another, in no particular order.
 */
#ifndef STANDIN_RUNNER_H
#define STANDIN_RUNNER_H

#include <stddef.h>

void runner_start(void);
/* After store.stopping was set. */
void runner_stop(void);
/* Runs what is due now, without the waits, until nothing is; how many tasks that were. */
size_t runner_run_due(void);

/* The state was replaced (store.lock is held): an order under way comes to nothing. */
void runner_forget(void);

#endif
