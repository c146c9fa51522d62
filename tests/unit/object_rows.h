#ifndef RENEWGATE_TESTS_UNIT_OBJECT_ROWS_H
#define RENEWGATE_TESTS_UNIT_OBJECT_ROWS_H

/* Objects that are read from their text where they are plain, and are left to a parser else. */

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct object_row {
    const char *text;
    bool plain;
};

/*
 * Reads the object that begins at `text`: what is behind it, or NULL. Fails where what was read is
 * not what a parser finds.
 */
typedef const char *object_check(const char *text, const char *end);

/* Whether it is plain, to its end. */
static inline bool object_is_plain(const char *text, size_t len, object_check *check)
{
    char *exact = malloc(len + 1); /* so that a look beyond its end shows */
    memcpy(exact, text, len);
    exact = realloc(exact, len > 0 ? len : 1);
    const char *behind = check(exact, exact + len);
    bool plain = behind == exact + len && behind;
    free(exact);
    return plain;
}

static inline void objects_are_read(const struct object_row *rows, size_t count,
                                    object_check *check)
{
    for (size_t i = 0; i < count; i++) {
        if (object_is_plain(rows[i].text, strlen(rows[i].text), check) != rows[i].plain)
            fail_msg("%s", rows[i].text);
    }
}

/* Each byte of each row replaced by each of some others, or left out; and each beginning. */
static inline void changed_objects_are_read(const struct object_row *rows, size_t count,
                                            object_check *check)
{
    static const char others[] = "\"\\{}[],: 0a\x80\n\x01u9-";

    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(rows[i].text);
        char *text = malloc(len + 1);
        for (size_t at = 0; at < len; at++) {
            memcpy(text, rows[i].text, len + 1);
            object_is_plain(text, at, check);
            for (size_t o = 0; o < sizeof others; o++) {
                text[at] = others[o];
                object_is_plain(text, len, check);
            }
            memmove(text + at, rows[i].text + at + 1, len - at);
            object_is_plain(text, len - 1, check);
        }
        free(text);
    }
}

#endif
