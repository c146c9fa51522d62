#ifndef RENEWGATE_PROXY_HTTP_OUTGOING_H
#define RENEWGATE_PROXY_HTTP_OUTGOING_H

/*
 * The header fields of what goes to the server, and of what comes back. All lists and strings are
 * the arena's or the request head's. False when memory runs out.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/arena.h"
#include "proxy/http/request_head.h"

/*
 * A client's own request: its fields in their order, without those of one hop, with the
 * forwarding fields kept up. `len` is the body's length where the client told one (it may have
 * changed); LENGTH_UNKNOWN leaves Content-Length out. `expects`: the client's Expect is the
 * server's to answer; else it has been answered.
 */
bool outgoing_relay_fields(const struct request_head *request_head, size_t len, bool expects,
                           struct arena *arena, struct field_list *out);

/* In whose name the gate itself asks the server. Strings are borrowed. */
struct own_name {
    const char *authorization;
    const char *address; /* of the gate; "" where it is not known */
};

/*
 * A look-up: in the gate's own name, or with the caller's credential and address where `own` is
 * NULL.
 */
bool outgoing_lookup_fields(const struct request_head *request_head, const struct own_name *own,
                            struct arena *arena, struct field_list *out);

/* A request of the gate's own that nobody's leads to. */
bool outgoing_own_fields(const struct own_name *own, struct arena *arena, struct field_list *out);

/* A server's answer, on its way to the client. */
bool outgoing_answer_fields(unsigned status, const struct field_list *received, struct arena *arena,
                            struct field_list *out);

/* Takes the Content-Length out, if there is one. */
void outgoing_drop_length(struct field_list *fields);

/* Puts another Content-Length in the place of the present one, if there is one. */
bool outgoing_set_length(struct field_list *fields, size_t len, struct arena *arena);

#endif
