#ifndef RENEWGATE_PROXY_SERVICE_H
#define RENEWGATE_PROXY_SERVICE_H

/*
 * The gate as a service: starts everything, waits for signals, ends everything in the opposite
 * order.
 */

#include <stdbool.h>

#include "proxy/relay/gate.h"

/* Until SIGTERM or SIGINT; the process's exit status. */
int service_run(struct gate *gate);

/* What replicas share, if that is set: gate->replicas. False with a line in the log. */
bool service_start_replicas(struct gate *gate);

#endif
