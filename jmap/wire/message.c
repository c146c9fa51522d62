#include "jmap/wire/message.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"

static enum message_kind kind_of(const json_t *root)
{
    static const struct {
        const char *type;
        enum message_kind kind;
    } kinds[] = {
        {"Request", MESSAGE_REQUEST},
        {"Response", MESSAGE_RESPONSE},
        {"RequestError", MESSAGE_REQUEST_ERROR},
    };
    const char *type = json_string_value(json_object_get(root, "@type"));

    for (size_t i = 0; type && i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(type, kinds[i].type) == 0)
            return kinds[i].kind;
    }
    return MESSAGE_OTHER;
}

static unsigned status_of(const json_t *root, enum message_kind kind)
{
    if (kind == MESSAGE_RESPONSE)
        return 200;
    if (kind != MESSAGE_REQUEST_ERROR)
        return 0;
    json_int_t status = json_integer_value(json_object_get(root, "status"));
    return status >= 300 && status <= 599 ? (unsigned)status : 400;
}

struct message message_read(const char *text, size_t len)
{
    bool no_memory;
    json_t *root = json_text_read(text, len, JSON_ALLOW_NUL, NULL, &no_memory);
    struct message message = {.kind = root ? kind_of(root) : MESSAGE_UNREADABLE};
    json_t *id = json_object_get(root, message.kind == MESSAGE_REQUEST ? "id" : "requestId");

    message.status = status_of(root, message.kind);
    if (json_is_string(id))
        message.id = json_incref(id);
    json_decref(root);
    return message;
}

void message_clear(struct message *message)
{
    json_decref(message->id);
    *message = (struct message){.kind = MESSAGE_OTHER};
}

bool message_answers(const struct message *message, const json_t *id)
{
    bool same = id ? json_equal(message->id, id) == 1 : !message->id;

    return (message->kind == MESSAGE_RESPONSE && same) ||
           (message->kind == MESSAGE_REQUEST_ERROR && (same || !message->id));
}

char *message_of_problem(const char *problem, size_t len, const json_t *id)
{
    bool no_memory;
    json_t *told = json_text_read(problem, len, 0, NULL, &no_memory);
    json_t *error =
        json_pack("{s:s, s:O*, s:O*, s:O*, s:O*}", "@type", "RequestError", "type",
                  json_object_get(told, "type"), "status", json_object_get(told, "status"),
                  "detail", json_object_get(told, "detail"), "requestId", id);
    char *text = told && error ? json_text_write(error, JSON_COMPACT) : NULL;

    json_decref(error);
    json_decref(told);
    return text;
}

char *message_not_held(bool too_much)
{
    json_t *error =
        too_much ? json_pack("{s:s, s:s, s:s, s:i, s:s}", "@type", "RequestError", "type",
                             "urn:ietf:params:jmap:error:limit", "limit", "maxSizeRequest",
                             "status", 400, "detail",
                             "The request has more values than one may have that can renew a "
                             "certificate.")
                 : json_pack("{s:s, s:s, s:i, s:s}", "@type", "RequestError", "type", "about:blank",
                             "status", 503, "detail",
                             "The gateway has no room for this request; try again later.");
    char *text = error ? json_text_write(error, JSON_COMPACT) : NULL;

    json_decref(error);
    return text;
}

char *message_too_large(size_t limit)
{
    json_t *error =
        json_pack("{s:s, s:s, s:s, s:i, s:o}", "@type", "RequestError", "type",
                  "urn:ietf:params:jmap:error:limit", "limit", "maxSizeRequest", "status", 400,
                  "detail", json_sprintf("A request may have up to %zu bytes.", limit));
    char *text = error ? json_text_write(error, JSON_COMPACT) : NULL;

    json_decref(error);
    return text;
}
