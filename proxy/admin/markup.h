#ifndef RENEWGATE_PROXY_ADMIN_MARKUP_H
#define RENEWGATE_PROXY_ADMIN_MARKUP_H

/*
 * HTML onto a buffer. Texts from outside go through markup_text(), which leaves nothing of them
 * that a browser could take for markup, between tags as well as in quoted attributes.
 */

#include <stdbool.h>

#include "policy/wall_time.h"
#include "proxy/base/buffer.h"

struct markup {
    struct buffer *out;
    bool fine; /* false once memory has run out; what follows is then left out */
};

/* printf() of what is markup already. */
#define markup_put(markup, ...)                                                                    \
    ((markup)->fine = (markup)->fine && buffer_format((markup)->out, __VA_ARGS__))

/* Escaped. */
void markup_text(struct markup *markup, const char *text);

/* The same, kept apart from the writing direction of what is around it. */
void markup_name(struct markup *markup, const char *text);

/* "23 Nov 2026, 21:33 UTC", as a time element. */
void markup_time(struct markup *markup, wall_time time);

/* The same, of which only the day is shown. */
void markup_date(struct markup *markup, wall_time time);

/* "in 3 d 4 h", "12 min ago", "now": how far `time` is from `now`. */
void markup_distance(struct markup *markup, wall_time time, wall_time now);

/* A value within the query of a URL. */
void markup_query_value(struct markup *markup, const char *text);

#endif
