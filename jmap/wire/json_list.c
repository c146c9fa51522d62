#include "jmap/wire/json_list.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_walk.h"

struct reader {
    const char *at, *end;
    char *out;
    size_t len;
    json_list_taker *take;
    void *user;
    size_t lists; /* that were read */
};

static bool is_at(const struct reader *reader, char letter)
{
    return reader->at < reader->end && *reader->at == letter;
}

static void skip_space(struct reader *reader)
{
    reader->at = json_walk_space(reader->at, reader->end);
}

/* False where the text ends within it. */
static bool skip_value(struct reader *reader)
{
    const char *behind = json_walk_value(reader->at, reader->end);

    if (behind)
        reader->at = behind;
    return behind;
}

static void put(struct reader *reader, const char *from, const char *to)
{
    memcpy(reader->out + reader->len, from, (size_t)(to - from));
    reader->len += (size_t)(to - from);
}

/* One, which is copied unless it is taken; `any`: one was before. */
static bool pick_element(struct reader *reader, bool *any)
{
    const char *from = reader->at, *behind;

    behind = reader->take(reader->user, reader->lists, from, reader->end);

    if (behind) {
        reader->at = behind;
        return true;
    }
    if (!skip_value(reader) || reader->at == from)
        return false;
    if (*any)
        reader->out[reader->len++] = ',';
    put(reader, from, reader->at);
    *any = true;
    return true;
}

/* Behind the bracket of a list, up to the one that ends it. */
static bool pick_elements(struct reader *reader)
{
    bool any = false;

    skip_space(reader);
    if (is_at(reader, ']'))
        return true;
    for (;; reader->at++) {
        skip_space(reader);
        if (reader->at == reader->end || !pick_element(reader, &any))
            return false;
        skip_space(reader);
        if (!is_at(reader, ','))
            return is_at(reader, ']');
    }
}

static bool is_name_of_list(const char *string, size_t len)
{
    static const char list[] = "\"list\"", ids[] = "\"ids\"";

    return (len == sizeof list - 1 && memcmp(string, list, len) == 0) ||
           (len == sizeof ids - 1 && memcmp(string, ids, len) == 0);
}

/* Behind a string: whether it is the name of a list, whose elements are next. */
static bool begins_list(struct reader *reader, const char *string)
{
    struct reader ahead = *reader;

    if (!is_name_of_list(string, (size_t)(reader->at - string)))
        return false;
    skip_space(&ahead);
    if (!is_at(&ahead, ':'))
        return false;
    ahead.at++;
    skip_space(&ahead);
    if (!is_at(&ahead, '['))
        return false;
    reader->at = ahead.at + 1;
    return true;
}

static bool pick(struct reader *reader)
{
    while (reader->at < reader->end) {
        const char *from = reader->at;
        const char *string = memchr(from, '"', (size_t)(reader->end - from));

        reader->at = string ? string : reader->end;
        if (string && !skip_value(reader))
            return false;
        bool list = string && begins_list(reader, string);
        put(reader, from, reader->at);
        if (list && !pick_elements(reader))
            return false;
        reader->lists += list;
    }
    return true;
}

char *json_list_pick(const char *text, size_t len, json_list_taker *take, void *user,
                     size_t *picked_len)
{
    struct reader reader = {.at = text, .end = text + len, .take = take, .user = user};

    reader.out = malloc(len + 1);
    if (!reader.out || !pick(&reader)) {
        free(reader.out);
        return NULL;
    }
    *picked_len = reader.len;
    return reader.out;
}
