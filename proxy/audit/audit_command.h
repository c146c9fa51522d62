#ifndef RENEWGATE_PROXY_AUDIT_AUDIT_COMMAND_H
#define RENEWGATE_PROXY_AUDIT_AUDIT_COMMAND_H

/*
 * "renewgate audit": reads all domains with automatic certificates with the gate's own credential,
 * changes nothing, and tells how they are.
 */

#include <stdbool.h>
#include <stdio.h>

#include "proxy/relay/gate.h"

struct audit_options {
    bool json;
    bool all;             /* domains in good state too */
    const char *domain;   /* this one only, or NULL */
    const char *listener; /* "host:port" to ask for every name over TLS, or NULL */
};

/* What "renewgate audit --help" prints. */
extern const char audit_usage[];

/* Reads what follows "audit" on the command line; false for anything else. */
bool audit_options_read(struct audit_options *options, int count, char **arguments);

/*
 * The exit status: 0 all is well, 1 something needs a person, 2 there is no audit, after a line on
 * `errors` that says why.
 */
int audit_command(struct gate *gate, const struct audit_options *options, FILE *out, FILE *errors);

#endif
