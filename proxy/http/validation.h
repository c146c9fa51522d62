#ifndef RENEWGATE_PROXY_HTTP_VALIDATION_H
#define RENEWGATE_PROXY_HTTP_VALIDATION_H

/*
 * What a request or an answer must be before it goes on: framed in one way only, so that the gate
 * and whoever is on either side of it cannot disagree where it ends (RFC 9112, section 6.3), and
 * with names that are names. And such that the server's HTTP library reads it (the crates hyper and
 * http): what that cannot read is a malformed request of the gate's, and 30 of them are a ban.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/http/request_head.h"

/* The server reads a hundred fields, and the gate adds some of its own. */
#define VALIDATION_FIELDS ((size_t)90)
/* The longest target that it reads; and less than the 417,792 bytes of a head. */
#define VALIDATION_TARGET ((size_t)65534)
#define VALIDATION_HEAD ((size_t)393216)

/*
 * False for a head of more than VALIDATION_FIELDS fields, with a target of more than
 * VALIDATION_TARGET bytes, or of more than `limit` or VALIDATION_HEAD bytes, each field counted
 * with 72 bytes more than its text and the request line with 1,280. A client's connection has about
 * twice the limit here, and the answer's head must fit in with that of the request.
 */
bool validation_head_fits(const struct request_head *request_head, size_t limit);

/*
 * A request's head stays in the memory of its client's connection until its answer's has gone out.
 * That has this much more than the limit, which must do for the answer to a request of that size.
 */
#define VALIDATION_ANSWER_ROOM ((size_t)4096)

/*
 * A library that reads cookies copies them, and has the connection's memory for that grown by this
 * part of the limit. False where the request's are larger, each counted with 72 bytes more.
 */
#define VALIDATION_COOKIE_ROOM(limit) ((limit) / 4 * 3)
bool validation_cookies_fit(const struct request_head *request_head, size_t limit);

/* False where an answer with these fields does not fit in with its request, counted as above. */
bool validation_answer_fits(const struct request_head *request_head,
                            const struct field_list *fields, size_t limit);

/* What is wrong with the request, in words for its sender; NULL where nothing is. */
const char *validation_fault(const struct request_head *request_head);

/*
 * What is wrong with how fields frame a body, of a request or an answer: it must be told once, or
 * not at all. NULL where nothing is.
 */
const char *validation_framing_fault(const struct field_list *fields);

/* How a validated request's body is framed. */
struct body_frame {
    bool present;
    size_t len; /* LENGTH_UNKNOWN when it comes in chunks */
};

struct body_frame validation_body_frame(const struct request_head *request_head);

/*
 * The part of a request target that the server routes by: without the scheme and authority of an
 * absolute one, and without what follows a "#". Borrowed from the target.
 */
struct target_path {
    const char *text; /* does not end in NUL */
    size_t len;
};

struct target_path validation_target_path(const struct request_head *request_head);

#endif
