#ifndef RENEWGATE_JMAP_WIRE_SESSION_H
#define RENEWGATE_JMAP_WIRE_SESSION_H

/*
 * The session object (RFC 8620, section 2), and what of it is not so behind a gate: the URLs, which
 * a client follows (apiUrl, uploadUrl, downloadUrl, eventSourceUrl, and the url of the WebSocket
 * capability, RFC 8887, section 3), as the server makes them of its own name whatever name the
 * client used; and maxSizeRequest, where the gate takes less.
 *
 * With it goes the document that the server's web interface signs people in with
 * (/api/discover/{user}, OpenID's metadata). Over TLS the server tells whole URLs in it, of its own
 * name; over plain HTTP only paths, which lead back by themselves. Its issuer stays as it is, since
 * what the server signs bears that. A domain whose people sign in elsewhere has the document of
 * that provider there, which stays, too: it never has the endpoint where clients register.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * True for a path (a query may follow) that is answered with the session, /jmap/session, and
 * /.well-known/jmap (RFC 8620, section 2.2), which Stalwart redirects there but need not; or with
 * the document for signing in.
 */
bool session_is_target(const char *path, size_t len);

/* Where the URLs are to lead, as it goes into JSON strings; and what the gate takes. */
struct session_front {
    const char *scheme;    /* "http" or "https" */
    const char *authority; /* NULL: the URLs stay */
    size_t max_request;    /* bytes */
};

/*
 * The same text with scheme and authority of those URLs replaced, and maxSizeRequest where it is
 * above the gate's; the caller's to free(). Not a byte besides is touched, templates in braces
 * neither; what is no absolute URL, or no number, is left alone. NULL where there is nothing to
 * replace, or memory runs out: then *no_memory.
 */
char *session_rewrite(const char *text, size_t len, const struct session_front *front,
                      size_t *out_len, bool *no_memory);

#endif
