#ifndef RENEWGATE_JMAP_PROBLEM_H
#define RENEWGATE_JMAP_PROBLEM_H

/*
 * Problem documents (RFC 7807) in the server's own shape (recordings unauthorized, not-request):
 * {"type":…,"status":…,"title":…,"detail":…}.
 */

/*
 * The document as JSON text, the caller's to free(). `title` may be NULL and is then left out.
 * NULL when memory runs out.
 */
char *problem_document(const char *type, unsigned status, const char *title, const char *detail);

#endif
