#include "proxy/relay/reply.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/problem.h"

#define PROBLEM_TYPE "application/problem+json"

bool reply_body(unsigned status, const char *type, const char *body, size_t len,
                struct arena *arena, struct answer *out)
{
    struct field *fields = arena_alloc(arena, sizeof *fields);
    if (fields == NULL || body == NULL)
        return false;
    *fields = field_of("Content-Type", type);
    *out = (struct answer){.status = status,
                           .fields = {.fields = fields, .count = 1},
                           .kind = ANSWER_WHOLE,
                           .body = body,
                           .len = len};
    return true;
}

bool reply_problem(unsigned status, const char *title, const char *detail, struct arena *arena,
                   struct answer *out)
{
    char *document = problem_document("about:blank", status, title, detail);
    if (document == NULL)
        return false;
    size_t len = strlen(document);
    const char *body = arena_copy(arena, document, len);
    free(document);
    return reply_body(status, PROBLEM_TYPE, body, len, arena, out);
}

bool reply_too_large(size_t limit, struct arena *arena, struct answer *out)
{
    const char *body = arena_format(arena,
                                    "{\"type\":\"urn:ietf:params:jmap:error:limit\","
                                    "\"status\":400,"
                                    "\"detail\":\"A request may have up to %zu bytes.\","
                                    "\"limit\":\"maxSizeRequest\"}",
                                    limit);
    return body != NULL && reply_body(400, PROBLEM_TYPE, body, strlen(body), arena, out);
}

bool reply_no_room(struct arena *arena, struct answer *out)
{
    return reply_problem(503, "Service Unavailable",
                         "The gateway has no room for this request; try again later.", arena, out);
}

bool reply_too_much(struct arena *arena, struct answer *out)
{
    static const char body[] = "{\"type\":\"urn:ietf:params:jmap:error:limit\",\"status\":400,"
                               "\"detail\":\"The request has more values than one may have that "
                               "can renew a certificate.\",\"limit\":\"maxSizeRequest\"}";
    return reply_body(400, PROBLEM_TYPE, body, sizeof body - 1, arena, out);
}

bool reply_upstream_failure(enum upstream_failure failure, struct arena *arena, struct answer *out)
{
    switch (failure) {
    case UPSTREAM_TIMEOUT:
        return reply_problem(504, "Gateway Timeout", "The mail server did not answer in time.",
                             arena, out);
    case UPSTREAM_MEMORY:
        return reply_problem(503, "Service Unavailable", "The gateway is out of memory.", arena,
                             out);
    case UPSTREAM_BROKEN:
        return reply_problem(502, "Bad Gateway", "The mail server gave no proper answer.", arena,
                             out);
    default:
        return reply_problem(502, "Bad Gateway", "The mail server cannot be reached.", arena, out);
    }
}
