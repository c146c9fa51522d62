#ifndef RENEWGATE_PROXY_JOBS_ALIVE_H
#define RENEWGATE_PROXY_JOBS_ALIVE_H

/*
 * `renewgate --alive`: whether the gate on this machine answers on its admin address, for the
 * health check of a container that has nothing else in it. Nothing else is needed for that: neither
 * the files that the gate has read when it started, nor the server's name.
 */

#include <stdio.h>

#include "proxy/base/listen_address.h"

/* The exit status: 0 if it does, else 1 with a line on `errors`. */
int alive_run(const struct listen_address *admin, FILE *errors);

#endif
