#ifndef RENEWGATE_JMAP_PROBLEM_H
#define RENEWGATE_JMAP_PROBLEM_H

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
bool problem_is_crowd(unsigned status, const char *body, size_t len);

#endif
