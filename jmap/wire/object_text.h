#ifndef RENEWGATE_JMAP_WIRE_OBJECT_TEXT_H
#define RENEWGATE_JMAP_WIRE_OBJECT_TEXT_H

/*
 * An object read from its text, without a tree (jmap/wire/json_list.h), where it is plain: JSON in
 * ASCII, with no \u, no number that is negative, has a fraction or more than nine digits, no array,
 * no object but where one is wanted, and nothing wanted twice. What is not is to be parsed.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/wall_time.h"

/* A member's value as it stands there, without its quotes or brackets. */
struct text_slice {
    const char *text; /* NULL: the member is not there */
    size_t len;
    enum {
        TEXT_WORD,
        TEXT_STRING,
        TEXT_ESCAPED /* a string that stands for another */,
        TEXT_OBJECT
    } kind;
};

/* One that is wanted; one with members of its own may be an object. */
struct text_member {
    const char *name;
    struct text_slice *value;          /* zeroed before */
    const struct text_member *members; /* NULL: it is to be no object */
    size_t count;
};

/* The members of an object that may have any, none of which is wanted: a count of 0. */
extern const struct text_member object_text_any[1];

/* What is behind the object that begins at `text`; NULL where it is not plain. */
const char *object_text_read(const char *text, const char *end, const struct text_member *members,
                             size_t count);

/*
 * The next name in an object that was read, which then begins behind it. False where there is none;
 * where one stands for another text something is left of the object.
 */
bool object_text_next_name(struct text_slice *object, struct text_slice *name);

/* A string's text; false where it is none, stands for another, or does not fit. */
bool object_text_copy(const struct text_slice *value, char *out, size_t size);

bool object_text_is(const struct text_slice *value, const char *text);

/* False where that is no string with a time. */
bool object_text_time(const struct text_slice *value, wall_time *out);

#endif
