#ifndef RENEWGATE_PROXY_JOBS_EXPLAIN_COMMAND_H
#define RENEWGATE_PROXY_JOBS_EXPLAIN_COMMAND_H

/* `renewgate explain DOMAIN`: what would become of a create now, and why. */

#include <stdbool.h>
#include <stdio.h>

#include "proxy/relay/gate.h"

struct explain_options {
    const char *domain;
    bool json;
    bool forced;
};

/* What `renewgate explain --help` prints. */
extern const char explain_usage[];

/* False where they are not understood. */
bool explain_options_read(struct explain_options *options, int count, char **arguments);

/* The exit status: 0, or 2 where there is no explanation and a line on `errors` says why. */
int explain_command(struct gate *gate, const struct explain_options *options, FILE *out,
                    FILE *errors);

#endif
