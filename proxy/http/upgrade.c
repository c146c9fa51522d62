#include "proxy/http/upgrade.h"

#include <string.h>

static bool has_token(const struct field_list *list, const char *name, const char *token)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct field *field = &list->fields[i];
        if (field_is(field, name) && field_value_has_token(field->value, token, strlen(token)))
            return true;
    }
    return false;
}

bool upgrade_is_asked(const struct request_head *request_head)
{
    return strcmp(request_head->method, "GET") == 0 && strcmp(request_head->version, "1.0") != 0 &&
           has_token(&request_head->fields, "Connection", "upgrade") &&
           has_token(&request_head->fields, "Upgrade", "websocket");
}

/*
 * No extension is offered: what one did to the frames could not be read here. Key and version go
 * on as they are, and the server's Sec-WebSocket-Accept comes back as it is: so the client itself
 * proves that a server of WebSockets has answered this very request, and the gate is no more than
 * a wire in between.
 */
bool upgrade_request_fields(struct field_list *fields, struct arena *arena)
{
    struct field_list list;
    if (!field_list_create(&list, fields->count + 2, arena))
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        if (!field_is(&fields->fields[i], "Sec-WebSocket-Extensions"))
            list.fields[list.count++] = fields->fields[i];
    }
    list.fields[list.count++] = field_of("Upgrade", "websocket");
    list.fields[list.count++] = field_of("Connection", "Upgrade");
    *fields = list;
    return true;
}

const char *upgrade_fault(const struct request_head *request_head, const struct field_list *answer)
{
    const struct field *version = field_find(&request_head->fields, "Sec-WebSocket-Version");
    const struct field *upgrade = field_find(answer, "Upgrade");
    if (upgrade == NULL || !field_value_has_token(upgrade->value, "websocket", strlen("websocket")))
        return "the server switched to a protocol that nobody had asked for";
    if (version == NULL || strcmp(version->value, "13") != 0)
        return "the server switched to a version of WebSocket that cannot be read here";
    if (field_find(answer, "Sec-WebSocket-Extensions") != NULL)
        return "the server uses a WebSocket extension that nobody had offered";
    return NULL;
}

/* The clients' side adds the Connection field. */
bool upgrade_answer_fields(struct field_list *fields, struct arena *arena)
{
    struct field_list list;
    if (!field_list_create(&list, fields->count + 1, arena))
        return false;
    list.fields[list.count++] = field_of("Upgrade", "websocket");
    for (size_t i = 0; i < fields->count; i++)
        list.fields[list.count++] = fields->fields[i];
    *fields = list;
    return true;
}
