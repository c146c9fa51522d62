#include "jmap/wire/problem.h"

#include <jansson.h>
#include <string.h>

#include "jmap/wire/json_text.h"

char *problem_document(const char *type, unsigned status, const char *title, const char *detail)
{
    json_t *document = json_pack("{s:s, s:i, s:s*, s:s}", "type", type, "status", (int)status,
                                 "title", title, "detail", detail);
    char *text = document ? json_text_write(document, JSON_COMPACT) : NULL;

    json_decref(document);
    return text;
}

bool problem_is_too_many_requests(unsigned status, const char *body, size_t len)
{
    bool no_memory;
    json_t *document = status == 400 ? json_text_read(body, len, 0, NULL, &no_memory) : NULL;
    const char *limit = json_string_value(json_object_get(document, "limit"));
    bool too_many = limit && strcmp(limit, "maxConcurrentRequests") == 0;

    json_decref(document);
    return too_many;
}

/* A request that the gate could not read either went out with a mark before it. */
static bool is_request(const char *text)
{
    return text && (text[0] == '!' || text[0] == '{');
}

static json_t *repeated(const json_t *detail, const char *request, size_t request_len)
{
    const char *text = json_string_value(detail);

    return text[0] == '!' ? json_stringn(text + 1, json_string_length(detail) - 1)
                          : json_stringn(request, request_len);
}

char *problem_repeat(const char *body, size_t len, const char *request, size_t request_len,
                     bool *no_memory)
{
    json_t *document = json_text_read(body, len, JSON_ALLOW_NUL, NULL, no_memory);
    const char *type = json_string_value(json_object_get(document, "type"));
    const json_t *detail = json_object_get(document, "detail");
    char *text = NULL;

    if (type && strcmp(type, "urn:ietf:params:jmap:error:notRequest") == 0 &&
        is_request(json_string_value(detail))) {
        json_t *own = repeated(detail, request, request_len);
        text = own && json_object_set_new(document, "detail", own) == 0
                   ? json_text_write(document, JSON_COMPACT)
                   : NULL;
        *no_memory = !text;
    }
    json_decref(document);
    return text;
}
