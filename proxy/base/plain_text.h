#ifndef RENEWGATE_PROXY_BASE_PLAIN_TEXT_H
#define RENEWGATE_PROXY_BASE_PLAIN_TEXT_H

/*
 * Text that others chose, for people to read: in the log, on pages, in metrics, in a terminal. What
 * a terminal would obey, what would turn the text around it or break its line, and what is no UTF-8
 * at all never goes there as it is. Whoever writes such text takes it apart here, and shows what is
 * hidden in the way of its own format.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/base/buffer.h"

/* U+FFFD, the sign for what cannot be shown. */
#define PLAIN_TEXT_HIDDEN "\xef\xbf\xbd"

struct plain_character {
    size_t len;    /* bytes; 0 at the end of the text */
    uint32_t code; /* its number in Unicode; U+FFFD for a byte that is no UTF-8 */
    bool hidden;   /* must not be shown as it is */
};

/*
 * The character at the beginning of the text. Hidden are control characters (C0 with tab and line
 * feed, DEL, C1), marks and overrides of direction (U+061C, U+200E, U+200F, U+202A to U+202E,
 * U+2066 to U+2069), and the separators of lines and paragraphs (U+2028, U+2029).
 */
struct plain_character plain_text_next(const char *text);

/* Appends the text with U+FFFD for what is hidden; false when memory runs out. */
bool plain_text_append(struct buffer *out, const char *text);

/*
 * The same for a terminal whose character set is not known: all but ASCII's printable characters
 * become "\xNN", byte by byte.
 */
bool plain_text_append_ascii(struct buffer *out, const char *text);

/* The same into a stream, padded with blanks to `width` as printf() does. */
void plain_text_print(FILE *out, const char *text, int width);

#endif
