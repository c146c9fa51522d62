#ifndef RENEWGATE_PROXY_FORWARDING_H
#define RENEWGATE_PROXY_FORWARDING_H

/*
 * The fields that tell the server whom the gate speaks for: X-Forwarded-For, -Proto and -Host,
 * Forwarded (RFC 7239) and Via (RFC 9110, section 7.6.3).
 *
 * The server takes the first address it finds as the client's, for bans and for credentials that
 * are bound to addresses. So what a client that is not believed says about itself is dropped, and
 * only a believed proxy's list is continued.
 */

#include <stdbool.h>

#include "proxy/arena.h"
#include "proxy/field.h"

struct forwarding {
    const char *peer;   /* the address the request came from */
    const char *scheme; /* "http" or "https" */
    const char *host;   /* the client's Host, or NULL */
    bool believed;      /* the peer is a proxy whose own forwarding fields are true */
};

/* How many fields forwarding_add() can add. */
#define FORWARDING_FIELDS 5

/* True for the fields that forwarding_add() writes anew. */
bool forwarding_is_own(const struct field *field);

/*
 * Appends the fields to `out`, which has room for FORWARDING_FIELDS more; `received` is what the
 * client sent. Strings are the arena's. False when memory runs out.
 */
bool forwarding_add(const struct forwarding *forwarding, const struct field_list *received,
                    struct arena *arena, struct field_list *out);

#endif
