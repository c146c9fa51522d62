#ifndef RENEWGATE_JMAP_WIRE_PROBLEM_H
#define RENEWGATE_JMAP_WIRE_PROBLEM_H

/*
 * Problem documents (RFC 7807) in the server's own shape (recordings unauthorized, not-request):
 * {"type":…,"status":…,"title":…,"detail":…}.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * The document as JSON text, the caller's to free(). `title` may be NULL and is then left out.
 * NULL when memory runs out.
 */
char *problem_document(const char *type, unsigned status, const char *title, const char *detail);

/*
 * True when an answer says that the caller has too many requests under way (RFC 8620, section
 * 3.6.1: the limit maxConcurrentRequests). Nothing of the request was then done.
 */
bool problem_is_too_many_requests(unsigned status, const char *body, size_t len);

/*
 * The server repeats what it could not read as a request (recordings not-request, not-json-body),
 * but says something else of a message over a WebSocket (recording websocket).
 * The answer with what the client sent in the place of what was sent for it, the caller's to
 * free(); NULL where it repeats nothing, or memory ran out: then *no_memory.
 */
char *problem_repeat(const char *body, size_t len, const char *request, size_t request_len,
                     bool *no_memory);

#endif
