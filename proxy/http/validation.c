#include "proxy/http/validation.h"

#include <string.h>
#include <strings.h>

#include "proxy/base/networks.h"
#include "proxy/base/plain_text.h"

/* libmicrohttpd's own note of a field comes to that. */
#define FIELD_COST ((size_t)72)
/* Colon, blank, CR and LF around a field that is written. */
#define FIELD_FRAME ((size_t)4)
/* The rest of the request line, what is added to the answer's head, and the library's own. */
#define LINE_COST ((size_t)1280)

static size_t head_cost(const struct request_head *request_head)
{
    size_t len = request_head->target_len + LINE_COST;
    for (size_t i = 0; i < request_head->fields.count; i++) {
        const struct field *field = &request_head->fields.fields[i];
        len += field->name_len + field->value_len + FIELD_COST;
    }
    return len;
}

bool validation_head_fits(const struct request_head *request_head, size_t limit)
{
    size_t cost = head_cost(request_head);
    return request_head->fields.count <= VALIDATION_FIELDS &&
           request_head->target_len <= VALIDATION_TARGET && cost <= limit &&
           cost <= VALIDATION_HEAD;
}

/* The fields, and one more note for each cookie behind the first. */
bool validation_cookies_fit(const struct request_head *request_head, size_t limit)
{
    size_t len = 0;
    for (size_t i = 0; i < request_head->fields.count; i++) {
        const struct field *field = &request_head->fields.fields[i];
        if (!field_is(field, "Cookie"))
            continue;
        len += field->value_len + FIELD_COST;
        for (size_t at = 0; at < field->value_len; at++)
            len += field->value[at] == ';' ? FIELD_COST : 0;
    }
    return len <= VALIDATION_COOKIE_ROOM(limit);
}

bool validation_answer_fits(const struct request_head *request_head,
                            const struct field_list *fields, size_t limit)
{
    size_t len = head_cost(request_head);
    for (size_t i = 0; i < fields->count; i++)
        len += fields->fields[i].name_len + fields->fields[i].value_len + FIELD_FRAME;
    return len <= limit + VALIDATION_ANSWER_ROOM;
}

static const char *fields_fault(const struct field_list *fields)
{
    for (size_t i = 0; i < fields->count; i++) {
        const struct field *field = &fields->fields[i];
        if (!field_name_valid(field->name, field->name_len))
            return "A header field's name is not valid.";
        if (!field_value_valid(field->value, field->value_len))
            return "A header field's value has a character that it must not have.";
    }
    return NULL;
}

const char *validation_framing_fault(const struct field_list *fields)
{
    const struct field *length = field_find(fields, "Content-Length");
    const struct field *coding = field_find(fields, "Transfer-Encoding");
    size_t unused;
    if (field_count(fields, "Content-Length") > 1)
        return "Content-Length is there more than once.";
    if (field_count(fields, "Transfer-Encoding") > 1)
        return "Transfer-Encoding is there more than once.";
    if (length != NULL && coding != NULL)
        return "Content-Length and Transfer-Encoding exclude each other.";
    if (length != NULL && !field_read_length(length->value, &unused))
        return "Content-Length is not a number.";
    if (coding != NULL && strcasecmp(coding->value, "chunked") != 0)
        return "The only transfer coding that is taken is chunked.";
    return NULL;
}

/* An absolute target's authority begins here; NULL for the other forms. */
static const char *authority_of(const char *target)
{
    if (target[0] == '/')
        return NULL;
    if (strncasecmp(target, "http://", 7) == 0)
        return target + 7;
    if (strncasecmp(target, "https://", 8) == 0)
        return target + 8;
    return NULL;
}

/* A name or an address, and perhaps a port; it ends with the path. */
static bool authority_valid(const char *authority)
{
    size_t len = strcspn(authority, "/?#"), at = 0, colons = 0;
    if (len > 0 && *authority == '[') {
        struct network_address unused;
        at = strcspn(authority, "]") + 1;
        if (at > len || !network_address_read(authority + 1, at - 2, &unused))
            return false;
    }
    for (; at < len; at++) {
        if (!field_byte_in_host(authority[at]) || strchr("%[]", authority[at]) != NULL)
            return false;
        colons += authority[at] == ':';
    }
    return len > 0 && colons <= 1;
}

/* Up to the number sign, which the server cuts off with all that follows. */
static bool path_valid(const char *path)
{
    const char *refused = "<>`";
    while (*path != '\0' && *path != '#') {
        struct plain_character character = plain_text_next(path);
        if (*path == '?')
            refused = "\"<>";
        if (strchr(refused, *path) != NULL || (character.len == 1 && (unsigned char)*path >= 0x80))
            return false;
        path += character.len;
    }
    return true;
}

static const char *line_fault(const struct request_head *request_head)
{
    static const char forbidden[] = "The request target has a character that it must not have.";
    const char *authority = authority_of(request_head->target);
    if (!field_name_valid(request_head->method, strlen(request_head->method)))
        return "The method's name is not valid.";
    if (strcmp(request_head->method, "CONNECT") == 0)
        return "CONNECT is not served here.";
    for (size_t i = 0; i < request_head->target_len; i++) {
        unsigned char c = (unsigned char)request_head->target[i];
        if (c <= ' ' || c == 0x7f)
            return forbidden;
    }
    if (request_head->target[0] != '/' && strcmp(request_head->target, "*") != 0 &&
        authority == NULL)
        return "The request target is neither a path nor a URL.";
    /* RFC 9110, section 4.2.4: it is an error, and often a password. */
    if (authority != NULL && memchr(authority, '@', strcspn(authority, "/?#")) != NULL)
        return "The request target names a user.";
    if (authority != NULL && !authority_valid(authority))
        return "The request target's host is not valid.";
    return path_valid(validation_target_path(request_head).text) ? NULL : forbidden;
}

/* The server must not take another host for meant than the gate does (RFC 9112, section 3.2). */
static const char *host_fault(const struct request_head *request_head)
{
    const struct field *host = field_find(&request_head->fields, "Host");
    if (host == NULL)
        return NULL;
    if (field_count(&request_head->fields, "Host") > 1)
        return "Host is there more than once.";
    size_t len = 0;
    while (field_byte_in_host(host->value[len]))
        len++;
    if (len != host->value_len)
        return "Host has a character that it must not have.";
    const char *authority = authority_of(request_head->target);
    if (authority != NULL &&
        (strcspn(authority, "/?#") != len || strncasecmp(authority, host->value, len) != 0))
        return "Host is not that of the request target.";
    return NULL;
}

const char *validation_fault(const struct request_head *request_head)
{
    const char *fault = line_fault(request_head);
    if (fault == NULL)
        fault = fields_fault(&request_head->fields);
    if (fault == NULL)
        fault = validation_framing_fault(&request_head->fields);
    if (fault == NULL && strcmp(request_head->version, "1.0") == 0 &&
        field_find(&request_head->fields, "Transfer-Encoding") != NULL)
        fault = "HTTP/1.0 has no Transfer-Encoding.";
    if (fault == NULL)
        fault = host_fault(request_head);
    return fault;
}

struct body_frame validation_body_frame(const struct request_head *request_head)
{
    if (field_find(&request_head->fields, "Transfer-Encoding") != NULL)
        return (struct body_frame){.present = true, .len = LENGTH_UNKNOWN};
    const struct field *length = field_find(&request_head->fields, "Content-Length");
    size_t len = 0;
    if (length != NULL)
        field_read_length(length->value, &len);
    return (struct body_frame){.present = len > 0, .len = len};
}

struct target_path validation_target_path(const struct request_head *request_head)
{
    const char *text = request_head->target;
    const char *authority = authority_of(text);
    if (authority != NULL)
        text = authority + strcspn(authority, "/?#");
    return (struct target_path){.text = text, .len = strcspn(text, "#")};
}
