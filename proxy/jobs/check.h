#ifndef RENEWGATE_PROXY_JOBS_CHECK_H
#define RENEWGATE_PROXY_JOBS_CHECK_H

/*
 * `renewgate --check`: are the servers there, what may the gate's own credential do, and does the
 * mail server see who its clients are?
 */

#include <stdio.h>

#include "proxy/config.h"

/* Tells on `out`; the process's exit status: 0 where all is well, else 1. */
int check_run(const struct config *config, FILE *out);

#endif
