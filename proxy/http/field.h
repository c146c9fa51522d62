#ifndef RENEWGATE_PROXY_HTTP_FIELD_H
#define RENEWGATE_PROXY_HTTP_FIELD_H

/*
 * Header fields of HTTP messages, and the rules about them that a proxy must know (RFC 9110,
 * sections 5 and 7.6; RFC 9112).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

struct arena; /* proxy/base/arena.h */

/* One field as it came. The strings are borrowed, and end in NUL. */
struct field {
    const char *name;
    const char *value;
    size_t name_len;
    size_t value_len;
};

/* Of a body, where no field tells it. */
#define LENGTH_UNKNOWN SIZE_MAX

struct field_list {
    struct field *fields;
    size_t count;
};

/* An empty list with room for so many fields, which is the arena's. False when memory runs out. */
bool field_list_create(struct field_list *out, size_t capacity, struct arena *arena);

/* A field of two strings that end in NUL. */
struct field field_of(const char *name, const char *value);

/*
 * Names are compared without case. Most differ in length already, and that of a literal is known
 * when this is compiled.
 */
static inline bool field_is(const struct field *field, const char *name)
{
    size_t len = strlen(name);
    return field->name_len == len && ((field->name[0] ^ name[0]) & 0xdf) == 0 &&
           strncasecmp(field->name, name, len) == 0;
}

/* The first of that name, or NULL. */
static inline const struct field *field_find(const struct field_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (field_is(&list->fields[i], name))
            return &list->fields[i];
    }
    return NULL;
}

static inline size_t field_count(const struct field_list *list, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += field_is(&list->fields[i], name);
    return count;
}

/* Of ASCII, whatever the locale. */
static inline bool field_alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* What a byte may be part of. */
extern const unsigned char field_byte_kinds[256];
#define FIELD_BYTE_IN_NAME 1
#define FIELD_BYTE_IN_VALUE 2
#define FIELD_BYTE_IN_HOST 4

/* Of a token (RFC 9110, section 5.6.2). */
static inline bool field_byte_in_name(char c)
{
    return (field_byte_kinds[(unsigned char)c] & FIELD_BYTE_IN_NAME) != 0;
}

/* Not a control character, but for a tab (RFC 9110, section 5.5). */
static inline bool field_byte_in_value(char c)
{
    return (field_byte_kinds[(unsigned char)c] & FIELD_BYTE_IN_VALUE) != 0;
}

/* Of a host with its port (RFC 3986, section 3.2, without a user). */
static inline bool field_byte_in_host(char c)
{
    return (field_byte_kinds[(unsigned char)c] & FIELD_BYTE_IN_HOST) != 0;
}

/* Whether there is a Content-Encoding that is more than "identity". */
bool field_list_is_encoded(const struct field_list *list);

/* True for a name that is a token (RFC 9110, section 5.6.2). */
bool field_name_valid(const char *name, size_t len);

/* True for a value without control characters but tabs (RFC 9110, section 5.5). */
bool field_value_valid(const char *value, size_t len);

/* True where a comma-separated list in `value` has the token, compared without case. */
bool field_value_has_token(const char *value, const char *token, size_t token_len);

/*
 * True for a field of one hop only: those that are so by name, and those that a Connection field
 * of the list names. Content-Length and Host are never, whatever Connection says.
 */
bool field_is_hop_by_hop(const struct field_list *list, const struct field *field);

/* Reads a Content-Length; false for anything but digits and for numbers above INT64_MAX. */
bool field_read_length(const char *value, size_t *out);

#endif
