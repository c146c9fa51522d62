#include "jmap/problem.h"

#include <jansson.h>

char *problem_document(const char *type, unsigned status, const char *title, const char *detail)
{
    json_t *document = json_pack("{s:s, s:i, s:s*, s:s}", "type", type, "status", (int)status,
                                 "title", title, "detail", detail);
    char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;

    json_decref(document);
    return text;
}
