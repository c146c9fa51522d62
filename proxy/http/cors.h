#ifndef RENEWGATE_PROXY_HTTP_CORS_H
#define RENEWGATE_PROXY_HTTP_CORS_H

/*
 * What the server lets web pages of other origins see (the Fetch standard, "HTTP CORS protocol").
 * The gate's own answers say the same as the server's last one did, or a web client would be shown
 * a "network error" in place of the reason.
 *
 * One a worker, used on its thread only. It keeps what fits into CORS_SIZE, else nothing.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/arena.h"
#include "proxy/http/field.h"

#define CORS_SIZE 2048 /* bytes of names and values, with their NULs */
#define CORS_FIELDS 8  /* the protocol has six for answers */

struct cors {
    struct field fields[CORS_FIELDS]; /* in `text` */
    size_t count;
    size_t used;
    bool any_origin;    /* "*": they hold for every origin */
    const char *origin; /* for which else they were said; in `text` */
    char text[CORS_SIZE];
};

/* The server has answered a request. Those that name no Origin teach nothing. */
void cors_learn(struct cors *cors, const struct field_list *request,
                const struct field_list *answer);

/*
 * Adds to the fields of an own answer what a page of the request's origin is to see. Lists are the
 * arena's. False when memory runs out.
 */
bool cors_add(const struct cors *cors, const struct field_list *request, struct arena *arena,
              struct field_list *answer);

#endif
