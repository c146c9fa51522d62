#include "proxy/base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAPACITY ((size_t)4096)

void buffer_lend(struct buffer *buffer, char *bytes, size_t capacity)
{
    if (bytes != NULL)
        *buffer = (struct buffer){.bytes = bytes, .capacity = capacity, .lent = true};
}

const char *buffer_content(const struct buffer *buffer)
{
    return buffer->bytes == NULL ? "" : buffer->bytes + buffer->start;
}

/* Doubled until it fits; 0 where no size is large enough. */
static size_t capacity_for(const struct buffer *buffer, size_t len)
{
    if (len > SIZE_MAX / 2 - buffer->len)
        return 0;
    size_t capacity = buffer->capacity == 0 ? FIRST_CAPACITY : buffer->capacity;
    while (capacity < buffer->len + len)
        capacity *= 2;
    return capacity;
}

size_t buffer_growth(const struct buffer *buffer, size_t len)
{
    size_t capacity = capacity_for(buffer, len);
    return capacity == 0 ? SIZE_MAX : capacity - buffer->capacity;
}

/* Room for `len` more bytes behind the content. */
static bool buffer_make_room(struct buffer *buffer, size_t len)
{
    if (buffer->capacity - buffer->start - buffer->len >= len)
        return true;
    size_t capacity = capacity_for(buffer, len);
    if (capacity == 0)
        return false;
    if (buffer->start > 0) {
        memmove(buffer->bytes, buffer->bytes + buffer->start, buffer->len);
        buffer->start = 0;
    }
    if (capacity == buffer->capacity)
        return true;
    char *bytes = realloc(buffer->lent ? NULL : buffer->bytes, capacity);
    if (bytes == NULL)
        return false;
    if (buffer->lent)
        memcpy(bytes, buffer->bytes, buffer->len);
    buffer->lent = false;
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

bool buffer_append(struct buffer *buffer, const char *bytes, size_t len)
{
    if (len == 0)
        return true;
    if (!buffer_make_room(buffer, len))
        return false;
    memcpy(buffer->bytes + buffer->start + buffer->len, bytes, len);
    buffer->len += len;
    return true;
}

bool buffer_format(struct buffer *buffer, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    bool fits = len >= 0 && buffer_make_room(buffer, (size_t)len + 1);
    if (fits) {
        vsnprintf(buffer->bytes + buffer->start + buffer->len, (size_t)len + 1, format, again);
        buffer->len += (size_t)len;
    }
    va_end(again);
    return fits;
}

size_t buffer_take(struct buffer *buffer, char *into, size_t max)
{
    size_t len = buffer->len < max ? buffer->len : max;
    if (len == 0)
        return 0;
    memcpy(into, buffer->bytes + buffer->start, len);
    buffer_drop(buffer, len);
    return len;
}

void buffer_drop(struct buffer *buffer, size_t len)
{
    buffer->len -= len;
    buffer->start = buffer->len == 0 ? 0 : buffer->start + len;
}

void buffer_clear(struct buffer *buffer)
{
    if (!buffer->lent)
        free(buffer->bytes);
    *buffer = BUFFER_EMPTY;
}
