#include "jmap/problem.h"

#include <jansson.h>
#include <string.h>

#include "jmap/json_text.h"

char *problem_document(const char *type, unsigned status, const char *title, const char *detail)
{
    json_t *document = json_pack("{s:s, s:i, s:s*, s:s}", "type", type, "status", (int)status,
                                 "title", title, "detail", detail);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

    json_decref(document);
    return text;
}

bool problem_is_crowd(unsigned status, const char *body, size_t len)
{
    bool no_memory;
    json_t *document = status == 400 ? json_text_read(body, len, 0, NULL, &no_memory) : NULL;
    const char *limit = json_string_value(json_object_get(document, "limit"));
    bool crowd = limit && strcmp(limit, "maxConcurrentRequests") == 0;

    json_decref(document);
    return crowd;
}
