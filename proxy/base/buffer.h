#ifndef RENEWGATE_PROXY_BASE_BUFFER_H
#define RENEWGATE_PROXY_BASE_BUFFER_H

/*
 * Bytes on their way: appended at the end, taken from the front. Also a place to write text.
 */

#include <stdbool.h>
#include <stddef.h>

struct buffer {
    char *bytes; /* what is there begins at bytes + start */
    size_t start;
    size_t len;
    size_t capacity;
    bool lent; /* the bytes are another's */
};

#define BUFFER_EMPTY ((struct buffer){0})

/* Lets an empty one begin with bytes that live longer than it; NULL is allowed. */
void buffer_lend(struct buffer *buffer, char *bytes, size_t capacity);

/* Where the content begins; not NULL even when empty. Valid until the buffer changes. */
const char *buffer_content(const struct buffer *buffer);

/* By how much the memory of it would grow if so many bytes were appended. */
size_t buffer_growth(const struct buffer *buffer, size_t len);

/* False, and nothing appended, when memory runs out. */
bool buffer_append(struct buffer *buffer, const char *bytes, size_t len);

/* printf() onto the end; false, and nothing appended, when memory runs out. */
bool buffer_format(struct buffer *buffer, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Takes up to `max` bytes from the front; returns how many. */
size_t buffer_take(struct buffer *buffer, char *into, size_t max);

/* Drops `len` bytes, of those that are there, from the front. */
void buffer_drop(struct buffer *buffer, size_t len);

/* Empties it and gives its memory back; what was lent is not used any more. */
void buffer_clear(struct buffer *buffer);

#endif
