#ifndef RENEWGATE_JMAP_WIRE_REQUEST_H
#define RENEWGATE_JMAP_WIRE_REQUEST_H

/*
 * A JMAP request (RFC 8620, section 3.3) and the held creates in it: those of renewals, and those
 * of DnsManagement tasks that would end with one (recording dns-task).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy/wall_time.h"

struct held_create {
    bool of_dns_task;   /* which ends with the renewal, once it has succeeded */
    size_t call;        /* its place in methodCalls */
    const char *key;    /* creation id; borrowed from the request */
    const char *domain; /* canonical domain id, or a "#key" that means none so far; the request's */
    json_t *object;     /* the create as it goes to the server; borrowed */
    json_t *original;   /* a copy of the create as the client wrote it; owned */
    bool asked_now;     /* no due time, or one that cannot be read */
    wall_time asked;    /* as the client wrote it, with asked_now false */
};

struct jmap_request {
    json_t *root;       /* changed in place by request_make_placeholder() and its like */
    json_t *calls;      /* root's methodCalls; borrowed */
    json_t *strings;    /* owns the creates' domain ids */
    bool escaped_names; /* a method name was spelled with a JSON escape */
    bool without_due;   /* a due time that no task may have was taken out of a create */
    bool repeated_keys; /* an object names a key twice: to be written anew, see request_parse() */
    bool makes;         /* one of its calls may give keys a meaning */
    bool wants_created_ids;
    struct held_create *creates; /* in the order of their calls */
    size_t count;
};

enum request_kind {
    REQUEST_PASSES,     /* whatever the server makes of it, no create of a renewal is in it */
    REQUEST_HELD,       /* `out` is filled; end with request_clear() */
    REQUEST_UNREADABLE, /* the server might read a create in it where this gate cannot */
    REQUEST_NO_MEMORY,
};

/*
 * Whether the text has the words of a create, or of a DNS task that ends with one, however they are
 * spelled: else request_parse() lets it pass without parsing it. One pass over the text.
 */
bool request_may_hold(const char *body, size_t len);

/*
 * Reads a request. `out` is empty but for REQUEST_HELD. Of a repeated key the last value counts
 * here, while the server makes both of two creates of one name: such a request is held even if no
 * create is left in it, and goes to the server only as it was read.
 */
enum request_kind request_parse(const char *body, size_t len, struct jmap_request *out);

/*
 * Lets go of what the request says, as far as memory allows: the domains of its creates are left,
 * and the ids of its calls.
 */
void request_shed(struct jmap_request *request);

void request_clear(struct jmap_request *request);

/* What "#key" means by the client's createdIds, as they spell it; or the reference itself. */
const char *request_meaning(const struct jmap_request *request, const char *reference);

/* Points the create at the domain that cannot exist. False when memory ran out. */
bool request_make_placeholder(struct held_create *create);

/* Lets no renewal follow the DNS task. False when memory ran out. */
bool request_drop_renewal(struct held_create *create);

/* Gives the create another due time. False when memory ran out. */
bool request_set_due(struct held_create *create, wall_time due);

/*
 * Takes the calls from `cut` on, and their creates, out of the request, with calls that do nothing
 * in their places, and asks for the createdIds. What is no call stays, for the server to refuse. An
 * array, the caller's; NULL when memory ran out.
 */
json_t *request_cut(struct jmap_request *request, size_t cut);

/* A call with the id of another that does nothing, or NULL. */
json_t *request_empty_call(const json_t *call);

/* Puts such a one in the place of each, as far as memory allows. */
void request_empty_calls(json_t *calls);

/* The request as text, the caller's to free(), NULL when memory ran out. */
char *request_text(const struct jmap_request *request, size_t *len);

#endif
