#include "proxy/relay/public_session.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/session.h"
#include "policy/url.h"
#include "proxy/http/outgoing.h"
#include "proxy/http/validation.h"

bool public_session_asked(const struct request_head *request_head)
{
    struct target_path path = validation_target_path(request_head);
    return (strcmp(request_head->method, "GET") == 0 ||
            strcmp(request_head->method, "HEAD") == 0) &&
           session_is_target(path.text, path.len);
}

static bool is_json(const struct field *type)
{
    static const char json[] = "application/json";
    size_t len = strlen(json);
    return type != NULL && strncasecmp(type->value, json, len) == 0 &&
           strchr("; \t", type->value[len]) != NULL;
}

bool public_session_answers(const struct answer *answer)
{
    const struct field *length = field_find(&answer->fields, "Content-Length");
    size_t len = 0;
    return answer->status == 200 && is_json(field_find(&answer->fields, "Content-Type")) &&
           field_find(&answer->fields, "Content-Encoding") == NULL &&
           (length == NULL ||
            (field_read_length(length->value, &len) && len <= PUBLIC_SESSION_LIMIT));
}

/* Where the client is to go; without an authority where that cannot be told, or is left alone. */
static struct session_front front_for(const struct config *config,
                                      const struct request_head *request_head)
{
    struct session_front front = {.max_request = config->max_request};
    if (config->public_url == NULL)
        return front;
    if (*config->public_url == '\0') {
        front.scheme = request_head->from.scheme;
        front.authority = request_head->from.host;
        return front;
    }
    front.scheme = strncmp(config->public_url, "https", 5) == 0 ? "https" : "http";
    front.authority = url_authority(config->public_url);
    return front;
}

bool public_session_rewrite(const struct config *config, const struct request_head *request_head,
                            struct buffer *body, struct field_list *fields, struct arena *arena)
{
    struct session_front front = front_for(config, request_head);
    size_t len;
    bool no_memory;
    char *text = session_rewrite(buffer_content(body), body->len, &front, &len, &no_memory);
    if (text == NULL)
        return !no_memory;
    buffer_clear(body);
    bool fine = buffer_append(body, text, len) && outgoing_set_length(fields, len, arena);
    free(text);
    return fine;
}
