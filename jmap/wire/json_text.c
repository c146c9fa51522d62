#include "jmap/wire/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_walk.h"
#include "policy/hash.h"

static _Thread_local bool ran_out;

/*
 * jansson's reader gathers each token in a text that it doubles as it needs. Where that fails it
 * leaves bytes out and goes on: a string without its last quote is then read to wherever there is
 * one (strbuffer_append_byte() in lex_save(), load.c of 2.14). So what that text may grow to has
 * room before the reading begins, and once memory has run out nothing else gets any, which ends it.
 *
 * The text is jansson's first allocation. It grows by one of twice its size when it is full, and is
 * freed right after. An array or object may ask for the same size just then: the room is for that
 * too.
 */
static _Thread_local struct {
    bool active, begun;
    char *text; /* as it is now */
    size_t size;
    char *latest; /* what was allocated last */
    size_t latest_size;
    char *room;
    size_t room_size, room_used;
} reader;

#define FIRST_TEXT_SIZE ((size_t)16)
/* Twice the largest text for all that it grows by, and thrice for what may ask for the same. */
#define ROOM_FACTOR 5

static bool is_in_token(char byte)
{
    switch (byte) {
    case ' ':
    case '\t':
    case '\r':
    case '\n':
    case ',':
    case ':':
    case '[':
    case ']':
    case '{':
    case '}':
    case '"':
        return false;
    default:
        return true;
    }
}

/* Of the text when it is as long as the longest token, or what looks like one. */
static size_t largest_text(const char *text, size_t len)
{
    const char *end = text + len;
    size_t longest = 0, size = FIRST_TEXT_SIZE;

    for (const char *at = text; at < end;) {
        const char *start = at++;
        if (*start == '"') {
            const char *behind = json_walk_string(start, end);
            at = behind ? behind : end;
        } else if (is_in_token(*start)) {
            while (at < end && is_in_token(*at))
                at++;
        }
        longest = (size_t)(at - start) > longest ? (size_t)(at - start) : longest;
    }
    while (size < longest + 1)
        size *= 2;
    return size;
}

/* False without memory. */
static bool begin_reading(const char *text, size_t len)
{
    size_t largest = largest_text(text, len);

    reader.room_size = largest == FIRST_TEXT_SIZE ? 0 : ROOM_FACTOR * largest;
    reader.room = reader.room_size == 0 ? NULL : malloc(reader.room_size);
    reader.room_used = 0;
    reader.begun = false;
    reader.active = reader.room != NULL || reader.room_size == 0;
    return reader.active;
}

static void end_reading(void)
{
    reader.active = false;
    free(reader.room);
    reader.room = NULL;
}

static bool text_may_grow(size_t size)
{
    return reader.begun && size == 2 * reader.size &&
           memchr(reader.text, '\0', reader.size - 1) == NULL;
}

static void *take_room(size_t size)
{
    if (size > reader.room_size - reader.room_used)
        return NULL;
    reader.room_used += size;
    return reader.room + reader.room_used - size;
}

static bool is_of_room(const void *block)
{
    return (uintptr_t)block - (uintptr_t)reader.room < reader.room_size;
}

static void *reader_malloc(size_t size)
{
    char *block = ran_out ? NULL : malloc(size);

    if (!block) {
        ran_out = true;
        block = text_may_grow(size) ? take_room(size) : NULL;
    }
    reader.latest = block;
    reader.latest_size = size;
    if (!reader.begun) {
        reader.text = block;
        reader.size = size;
    }
    reader.begun = true;
    return block;
}

static void reader_free(void *block)
{
    if (block == reader.text) {
        reader.text = reader.latest;
        reader.size = reader.latest_size;
    }
    if (!is_of_room(block))
        free(block);
}

static void *noting_malloc(size_t size)
{
    if (reader.active)
        return reader_malloc(size);

    void *block = malloc(size);
    if (!block)
        ran_out = true;
    return block;
}

static void noting_free(void *block)
{
    if (reader.active)
        reader_free(block);
    else
        free(block);
}

/* Before main(), so that no thread is in the library meanwhile. */
__attribute__((constructor)) static void note_failures(void)
{
    json_set_alloc_funcs(noting_malloc, noting_free);
}

json_t *json_text_read(const char *text, size_t len, size_t flags, json_error_t *error,
                       bool *no_memory)
{
    json_t *value = NULL;

    ran_out = !begin_reading(text, len);
    if (!ran_out)
        value = json_loadb(text, len, flags, error);
    *no_memory = ran_out;
    if (ran_out) {
        json_decref(value);
        value = NULL;
    }
    end_reading();
    return value;
}

json_t *json_text_copy(const json_t *value)
{
    ran_out = false;

    json_t *copy = json_deep_copy(value);
    if (!ran_out)
        return copy;
    json_decref(copy);
    return NULL;
}

const char *json_text_value(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

char *json_text_write(const json_t *value, size_t flags)
{
    ran_out = false;

    char *text = json_dumps(value, flags);
    if (!ran_out)
        return text;
    free(text);
    return NULL;
}

/* The one character beyond what is printable that jansson takes for ASCII. */
#define DELETE_ESCAPED "\\u007F"

char *json_text_write_ascii(const json_t *value, size_t flags)
{
    char *text = json_text_write(value, flags | JSON_ENSURE_ASCII);
    size_t count = 0;
    for (const char *at = text; at && (at = strchr(at, 0x7f)) != NULL; at++)
        count++;
    if (count == 0)
        return text;

    char *plain = malloc(strlen(text) + count * (sizeof DELETE_ESCAPED - 2) + 1);
    char *to = plain;
    for (const char *at = text; plain && *at; at++)
        to = *at == 0x7f ? stpcpy(to, DELETE_ESCAPED) : (*to = *at, to + 1);
    if (plain)
        *to = '\0';
    free(text);
    return plain;
}

uint64_t json_text_hash(const json_t *value)
{
    int type = value ? (int)json_typeof(value) : -1;
    uint64_t hash = hash_add(HASH_BEGIN, &type, sizeof type), sum = 0, part;
    json_int_t number = json_integer_value(value);
    double real = json_real_value(value);
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach((json_t *)value, key, member)
    {
        part = json_text_hash(member);
        sum += hash_add(part, key, strlen(key));
    }
    json_array_foreach(value, i, member)
    {
        part = json_text_hash(member);
        hash = hash_add(hash, &part, sizeof part);
    }
    hash = hash_add(hash, &sum, sizeof sum);
    hash = hash_add(hash, &number, sizeof number);
    hash = hash_add(hash, &real, sizeof real);
    return hash_add(hash, json_string_value(value), json_string_length(value));
}
