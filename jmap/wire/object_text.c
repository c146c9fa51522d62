#include "jmap/wire/object_text.h"

#include <string.h>

#include "jmap/wire/json_walk.h"

const struct text_member object_text_any[1];

struct reader {
    const char *at, *end;
};

static bool take(struct reader *reader, char letter)
{
    reader->at = json_walk_space(reader->at, reader->end);
    bool there = reader->at < reader->end && *reader->at == letter;
    reader->at += there;
    return there;
}

/* What a \u stands for, and bytes beyond ASCII, can be wrong in ways that only a parser sees. */
static bool read_string(struct reader *reader, struct text_slice *out)
{
    const char *at = reader->at, *end = reader->end;
    bool escaped = false;

    for (at = json_walk_plain(at, end); at < end && *at == '\\'; at = json_walk_plain(at, end)) {
        if (end - at < 2 || !memchr("\"\\/bfnrt", at[1], 8))
            return false;
        escaped = true;
        at += 2;
    }
    if (at == end || *at != '"')
        return false;
    *out = (struct text_slice){.text = reader->at,
                               .len = (size_t)(at - reader->at),
                               .kind = escaped ? TEXT_ESCAPED : TEXT_STRING};
    reader->at = at + 1;
    return true;
}

/* A number that no parser finds too large, or a literal. */
static bool read_word(struct reader *reader, struct text_slice *out)
{
    static const char *const literals[] = {"true", "false", "null"};
    size_t left = (size_t)(reader->end - reader->at), len = 0;

    *out = (struct text_slice){.text = reader->at, .kind = TEXT_WORD};
    while (len < left && len < 10 && out->text[len] >= '0' && out->text[len] <= '9')
        len++;
    if (len == 10 || (len > 1 && out->text[0] == '0'))
        return false;
    for (size_t i = 0; len == 0 && i < sizeof literals / sizeof *literals; i++) {
        if (left >= strlen(literals[i]) && memcmp(out->text, literals[i], strlen(literals[i])) == 0)
            len = strlen(literals[i]);
    }
    out->len = len;
    reader->at += len;
    return len > 0;
}

static bool is_text(const struct text_slice *slice, const char *text)
{
    return slice->text && slice->len == strlen(text) && memcmp(slice->text, text, slice->len) == 0;
}

static const struct text_member *member_of(const struct text_member *members, size_t count,
                                           const struct text_slice *name)
{
    for (size_t i = 0; i < count; i++) {
        if (is_text(name, members[i].name))
            return &members[i];
    }
    return NULL;
}

static bool read_members(struct reader *reader, const struct text_member *members, size_t count);

static bool read_nested(struct reader *reader, const struct text_member *member)
{
    const char *from = reader->at;

    if (!member || !member->members || !read_members(reader, member->members, member->count))
        return false;
    *member->value = (struct text_slice){
        .text = from, .len = (size_t)(reader->at - 1 - from), .kind = TEXT_OBJECT};
    return true;
}

static bool read_member(struct reader *reader, const struct text_member *members, size_t count)
{
    struct text_slice name, passed_over;

    if (!take(reader, '"') || !read_string(reader, &name) || !take(reader, ':'))
        return false;
    const struct text_member *member = member_of(members, count, &name);
    if (member && member->value->text)
        return false;
    if (take(reader, '{'))
        return read_nested(reader, member);
    struct text_slice *value = member ? member->value : &passed_over;
    return take(reader, '"') ? read_string(reader, value) : read_word(reader, value);
}

/* Behind the bracket. */
static bool read_members(struct reader *reader, const struct text_member *members, size_t count)
{
    if (take(reader, '}'))
        return true;
    do {
        if (!read_member(reader, members, count))
            return false;
    } while (take(reader, ','));
    return take(reader, '}');
}

const char *object_text_read(const char *text, const char *end, const struct text_member *members,
                             size_t count)
{
    struct reader reader = {.at = text, .end = end};

    return take(&reader, '{') && read_members(&reader, members, count) ? reader.at : NULL;
}

bool object_text_next_name(struct text_slice *object, struct text_slice *name)
{
    struct reader reader = {.at = object->text, .end = object->text + object->len};
    struct text_slice value;

    take(&reader, ',');
    if (!take(&reader, '"') || !read_string(&reader, name) || name->kind != TEXT_STRING)
        return false;
    if (!take(&reader, ':') ||
        !(take(&reader, '"') ? read_string(&reader, &value) : read_word(&reader, &value)))
        return false;
    object->len = (size_t)(reader.end - reader.at);
    object->text = reader.at;
    return true;
}

bool object_text_copy(const struct text_slice *value, char *out, size_t size)
{
    if (!value->text || value->kind != TEXT_STRING || value->len >= size)
        return false;
    memcpy(out, value->text, value->len);
    out[value->len] = '\0';
    return true;
}

bool object_text_is(const struct text_slice *value, const char *text)
{
    return value->kind == TEXT_STRING && is_text(value, text);
}

bool object_text_time(const struct text_slice *value, wall_time *out)
{
    char text[WALL_TIME_TEXT_SIZE];

    return object_text_copy(value, text, sizeof text) && wall_time_parse(text, out);
}
