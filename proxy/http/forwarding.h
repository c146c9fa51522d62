#ifndef RENEWGATE_PROXY_HTTP_FORWARDING_H
#define RENEWGATE_PROXY_HTTP_FORWARDING_H

/*
 * Whom a request is from, and the fields that tell the server so: X-Forwarded-For, -Proto and
 * -Host, Forwarded (RFC 7239) and Via (RFC 9110, section 7.6.3).
 *
 * The server takes the first address it finds as the client's, for bans and for credentials that
 * are bound to addresses. Every proxy appends the address that it was called from, so the list is
 * true from its right end on for as long as the addresses are those of trusted proxies. The first
 * that is not is the client. What stands left of it is only what the client says, and goes no
 * further.
 *
 * Where a proxy sends both lists, X-Forwarded-For counts: nearly all proxies write it, and many of
 * them pass a client's Forwarded on unread.
 */

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/http/field.h"
#include "proxy/base/networks.h"

/* The connection that the request came on. */
struct forwarding_source {
    const char *peer;    /* its address, "unknown" if it has none */
    const char *scheme;  /* "http" or "https" */
    const char *version; /* of HTTP, in which the client spoke */
    bool is_trusted;     /* forwarding_trusts() its address */
    const struct network_list *trusted;
};

/* All strings are the arena's or the source's. */
struct forwarding {
    const char *client;  /* the address that is believed to be the client's */
    const char *hops;    /* "client, proxy, peer" */
    const char *scheme;  /* that the client used */
    const char *version; /* of HTTP, in which it spoke */
    const char *host;    /* that the client asked for, NULL where it told none that can be one */
};

/* Whether what comes from there is believed. */
bool forwarding_trusts(const char *peer, const struct network_list *trusted);

/* `received` is what the client sent. False when memory runs out. */
bool forwarding_read(const struct forwarding_source *source, const struct field_list *received,
                     struct arena *arena, struct forwarding *out);

/* How many fields forwarding_add() can add. */
#define FORWARDING_FIELDS 5

/* True for the fields that forwarding_add() writes anew. */
bool forwarding_is_own(const struct field *field);

/*
 * Appends the fields to `out`, which has room for FORWARDING_FIELDS more. Strings are the arena's.
 * False when memory runs out.
 */
bool forwarding_add(const struct forwarding *forwarding, const struct field_list *received,
                    struct arena *arena, struct field_list *out);

/* Continues Via alone, for a message that came in that version of HTTP; room for one more field. */
bool forwarding_add_via(const char *version, const struct field_list *received, struct arena *arena,
                        struct field_list *out);

#endif
