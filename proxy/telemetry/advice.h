#ifndef RENEWGATE_PROXY_TELEMETRY_ADVICE_H
#define RENEWGATE_PROXY_TELEMETRY_ADVICE_H

/*
 * What a person does next about a domain: in words, and where one command or call mends it, that,
 * ready to be pasted into a shell. What others chose stands in a command only where no shell can
 * take it for anything else.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/held.h"
#include "policy/wall_time.h"

struct advice_facts {
    wall_time now;
    bool renewable; /* the domain's ACME provider exists */
    wall_time held_until;
    enum held_by held_by;
    size_t failures;     /* since its last certificate */
    bool stuck;          /* its task */
    bool changes;        /* a sweep would change something */
    size_t live;         /* tasks */
    const char *task_id; /* the earliest of them; or "" */
};

#define ADVICE_COMMAND_SIZE 512

struct advice {
    const char *words;                 /* NULL: there is nothing to do. Static */
    char command[ADVICE_COMMAND_SIZE]; /* or "" */
};

/* `upstream_url` is the server's. */
struct advice advice_of(const struct advice_facts *facts, const char *upstream_url);

/* `renewgate explain` for a domain; "" where its name is none that a shell leaves alone. */
void advice_explain(const char *name, char command[static ADVICE_COMMAND_SIZE]);

#endif
