#ifndef RENEWGATE_PROXY_SERVER_API_CALL_H
#define RENEWGATE_PROXY_SERVER_API_CALL_H

/*
 * Requests of the gate's own to the server's API, and answers of the API that are read whole.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/buffer.h"
#include "proxy/server/upstream.h"

/* The largest such answer, in bytes. */
#define API_ANSWER_LIMIT ((size_t)64 << 20)

/* A POST of a JMAP request, which is borrowed, or a GET of the session; fields are to be added. */
struct upstream_request api_call(bool is_session, const char *body, size_t len);

/* The next piece of an answer, behind what came of it before. */
enum data_result api_call_take(struct buffer *content, const char *bytes, size_t len);

#endif
