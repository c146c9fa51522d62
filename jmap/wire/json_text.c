#include "jmap/wire/json_text.h"

#include <stdlib.h>
#include <string.h>

static _Thread_local bool ran_out;

static void *noting_malloc(size_t size)
{
    void *block = malloc(size);

    if (!block)
        ran_out = true;
    return block;
}

/* Before main(), so that no thread is in the library meanwhile. */
__attribute__((constructor)) static void note_failures(void)
{
    json_set_alloc_funcs(noting_malloc, free);
}

json_t *json_text_read(const char *text, size_t len, size_t flags, json_error_t *error,
                       bool *no_memory)
{
    ran_out = false;

    json_t *value = json_loadb(text, len, flags, error);
    *no_memory = ran_out;
    if (!ran_out)
        return value;
    json_decref(value);
    return NULL;
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

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
    const unsigned char *at = bytes;

    for (size_t i = 0; i < len; i++)
        hash = (hash ^ at[i]) * 0x100000001b3;
    return hash;
}

uint64_t json_text_hash(const json_t *value)
{
    int type = value ? (int)json_typeof(value) : -1;
    uint64_t hash = hash_bytes(0xcbf29ce484222325, &type, sizeof type), sum = 0, part;
    json_int_t number = json_integer_value(value);
    double real = json_real_value(value);
    const char *key;
    json_t *member;
    size_t i;

    json_object_foreach((json_t *)value, key, member)
    {
        part = json_text_hash(member);
        sum += hash_bytes(part, key, strlen(key));
    }
    json_array_foreach(value, i, member)
    {
        part = json_text_hash(member);
        hash = hash_bytes(hash, &part, sizeof part);
    }
    hash = hash_bytes(hash, &sum, sizeof sum);
    hash = hash_bytes(hash, &number, sizeof number);
    hash = hash_bytes(hash, &real, sizeof real);
    return hash_bytes(hash, json_string_value(value), json_string_length(value));
}
