#include "proxy/http/field.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "proxy/base/arena.h"

/* 1: in a name, 2: in a value, 4: in a host, or their sum. */
const unsigned char field_byte_kinds[256] = {
    /* clang-format off */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    2, 7, 2, 3, 7, 7, 7, 7, 6, 6, 7, 7, 6, 7, 7, 2,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 6, 2, 6, 2, 2,
    2, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 6, 2, 6, 3, 7,
    3, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 2, 3, 2, 7, 0,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
    /* clang-format on */
};

bool field_list_create(struct field_list *out, size_t capacity, struct arena *arena)
{
    out->count = 0;
    out->fields = arena_alloc(arena, capacity * sizeof *out->fields);
    return out->fields != NULL;
}

struct field field_of(const char *name, const char *value)
{
    return (struct field){
        .name = name, .value = value, .name_len = strlen(name), .value_len = strlen(value)};
}

bool field_list_is_encoded(const struct field_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct field *field = &list->fields[i];
        if (field_is(field, "Content-Encoding") && strcasecmp(field->value, "identity") != 0)
            return true;
    }
    return false;
}

bool field_name_valid(const char *name, size_t len)
{
    size_t valid = 0;
    while (valid < len && field_byte_in_name(name[valid]))
        valid++;
    return len > 0 && valid == len;
}

bool field_value_valid(const char *value, size_t len)
{
    size_t valid = 0;
    while (valid < len && field_byte_in_value(value[valid]))
        valid++;
    return valid == len;
}

static bool is_separator(char c)
{
    return c == ',' || c == ' ' || c == '\t';
}

bool field_value_has_token(const char *value, const char *token, size_t token_len)
{
    while (*value != '\0') {
        size_t len = 0;
        while (is_separator(*value))
            value++;
        while (value[len] != '\0' && !is_separator(value[len]))
            len++;
        if (len == token_len && strncasecmp(value, token, len) == 0)
            return true;
        value += len;
    }
    return false;
}

static bool named_by_connection(const struct field_list *list, const struct field *field)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct field *connection = &list->fields[i];
        if (field_is(connection, "Connection") &&
            field_value_has_token(connection->value, field->name, field->name_len))
            return true;
    }
    return false;
}

static bool is_of_one_hop(const struct field *field)
{
    return field_is(field, "Connection") || field_is(field, "Keep-Alive") ||
           field_is(field, "Proxy-Authenticate") || field_is(field, "Proxy-Authorization") ||
           field_is(field, "TE") || field_is(field, "Proxy-Connection") ||
           field_is(field, "Trailer") || field_is(field, "Transfer-Encoding") ||
           field_is(field, "Upgrade");
}

bool field_is_hop_by_hop(const struct field_list *list, const struct field *field)
{
    if (is_of_one_hop(field))
        return true;
    /* A client could otherwise take away what frames and routes its request. */
    if (field_is(field, "Content-Length") || field_is(field, "Host"))
        return false;
    return named_by_connection(list, field);
}

bool field_read_length(const char *value, size_t *out)
{
    if (*value == '\0')
        return false;
    size_t length = 0;
    for (; *value != '\0'; value++) {
        if (*value < '0' || *value > '9')
            return false;
        size_t digit = (size_t)(*value - '0');
        if (length > ((size_t)INT64_MAX - digit) / 10)
            return false;
        length = length * 10 + digit;
    }
    *out = length;
    return true;
}
