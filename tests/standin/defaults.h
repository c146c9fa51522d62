/*
 * What a server has that nobody configured, by version.
 */
#ifndef STANDIN_DEFAULTS_H
#define STANDIN_DEFAULTS_H

#include "tests/standin/store.h"

#define DEFAULT_ISSUER "CN=Stand-in Intermediate CA"

/* The state that PUT /state is laid over: one provider, three users (admin, reader, blind; all with
 * the password "secret"), the clock as it is. */
json_t *defaults_state(enum version version);

/* The properties of a domain beyond those that struct domain knows. */
json_t *defaults_domain(void);

/* Not NULL-terminated texts of one kind: all permissions that this stand-in knows. */
json_t *defaults_permissions(void);

/* The session resource; user is NULL for an anonymous one. */
json_t *session_resource(enum version version, const struct user *user, const char *public_url);

/* What every response of the API carries as sessionState. */
const char *session_state(enum version version);

#endif
