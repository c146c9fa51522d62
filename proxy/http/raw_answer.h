#ifndef RENEWGATE_PROXY_HTTP_RAW_ANSWER_H
#define RENEWGATE_PROXY_HTTP_RAW_ANSWER_H

/*
 * Answers in bytes, for the two moments at which libmicrohttpd takes none: interim ones (RFC 9110,
 * section 15.2), and one to a request whose body is still being sent. Both are small, so they are
 * written into the socket at once or not at all.
 */

#include <stdbool.h>

#include "proxy/base/buffer.h"
#include "proxy/http/answer.h"

/* A 1xx. False when memory runs out. */
bool raw_answer_interim(unsigned status, const char *reason, const struct field_list *fields,
                        struct buffer *out);

/* A whole answer, after which the connection ends. False when memory runs out. */
bool raw_answer_last(const struct answer *answer, const char *reason, struct buffer *out);

enum raw_result {
    RAW_SENT,
    RAW_UNSENT, /* nothing went out */
    RAW_BROKEN, /* a part went out: the connection is of no more use */
};

/* Whether a socket takes so many bytes at once, whatever becomes of them on the way. */
bool raw_answer_has_room(int socket, size_t len);

/* All of it or, where the socket has no room for that now, nothing. */
enum raw_result raw_answer_send(int socket, const struct buffer *bytes);

/* The same through a gnutls_session_t. */
enum raw_result raw_answer_send_tls(int socket, void *session, const struct buffer *bytes);

/* Tells the client that nothing more comes. `session` is NULL without TLS. */
void raw_answer_end(int socket, void *session);

#endif
