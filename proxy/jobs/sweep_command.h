#ifndef RENEWGATE_PROXY_JOBS_SWEEP_COMMAND_H
#define RENEWGATE_PROXY_JOBS_SWEEP_COMMAND_H

/* "renewgate sweep": one sweep, and what it has changed as a table or as JSON. */

#include <stdbool.h>
#include <stdio.h>

#include "proxy/relay/gate.h"

struct sweep_options {
    bool dry_run; /* what it would change */
    bool json;    /* an object a line */
};

/* What "renewgate sweep --help" prints. */
extern const char sweep_usage[];

/* Reads what follows "sweep" on the command line; false for anything else. */
bool sweep_options_read(struct sweep_options *options, int count, char **arguments);

/*
 * The exit status: 0, or 1 after lines on `errors` that say why, or which domains it passed over.
 */
int sweep_command(struct gate *gate, const struct sweep_options *options, FILE *out, FILE *errors);

#endif
