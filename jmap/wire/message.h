#ifndef RENEWGATE_JMAP_WIRE_MESSAGE_H
#define RENEWGATE_JMAP_WIRE_MESSAGE_H

/*
 * Messages of JMAP over WebSocket (RFC 8887, section 4; recording websocket). A request is that of
 * a POST with "@type" and perhaps "id" beside; its response has "@type" and the id as "requestId".
 * What the server refuses comes back as a RequestError, of which the server does not say to which
 * request it belongs: it answers a socket's requests one after the other.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum message_kind {
    MESSAGE_REQUEST,
    MESSAGE_RESPONSE,
    MESSAGE_REQUEST_ERROR,
    MESSAGE_OTHER,      /* JSON, but none of these */
    MESSAGE_UNREADABLE, /* no JSON, or memory ran out */
};

struct message {
    enum message_kind kind;
    json_t *id;      /* a request's id, an answer's requestId; NULL where it has none */
    unsigned status; /* what a POST would have been answered with; 0 for what is no answer */
};

/* End with message_clear(). */
struct message message_read(const char *text, size_t len);

void message_clear(struct message *message);

/* True where the message may be the answer to a request with that id (or NULL). */
bool message_answers(const struct message *message, const json_t *id);

/*
 * For a request that is not read: the gate has no room, or it has too many values. NULL: no memory.
 */
char *message_not_held(bool too_much);

/*
 * The gate's own RequestErrors, each the caller's to free(); NULL when memory ran out. `id` may be
 * NULL.
 */
char *message_of_problem(const char *problem, size_t len, const json_t *id);
char *message_too_large(size_t limit);

#endif
