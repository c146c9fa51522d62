#include "jmap/wire/json_walk.h"

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static bool is_space(char byte)
{
    return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}

const char *json_walk_space(const char *at, const char *end)
{
    while (at < end && is_space(*at))
        at++;
    return at;
}

/* The high bit of the lowest byte that is not plain, and of none below it. */
static uint64_t mark_other_bytes(uint64_t word)
{
    const uint64_t each = UINT64_C(0x0101010101010101);
    uint64_t quote = word ^ each * '"', escape = word ^ each * '\\';

    return (word | (word - each * ' ') | (quote - each) | (escape - each)) & each * 0x80;
}

static bool is_plain(unsigned char byte)
{
    return byte >= ' ' && byte < 0x80 && byte != '"' && byte != '\\';
}

const char *json_walk_plain(const char *at, const char *end)
{
    for (uint64_t word; (size_t)(end - at) >= sizeof word; at += sizeof word) {
        memcpy(&word, at, sizeof word);
        uint64_t others = mark_other_bytes(le64toh(word));
        if (others)
            return at + __builtin_ctzll(others) / 8;
    }
    while (at < end && is_plain((unsigned char)*at))
        at++;
    return at;
}

const char *json_walk_string(const char *at, const char *end)
{
    for (at = json_walk_plain(at + 1, end); at < end; at = json_walk_plain(at + 1, end)) {
        if (*at == '"')
            return at + 1;
        at += *at == '\\' && at + 1 < end;
    }
    return NULL;
}

static const char *walk_nested(const char *at, const char *end)
{
    size_t depth = 0;

    while (at && at < end) {
        if (*at == '"') {
            at = json_walk_string(at, end);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
        if (depth == 0)
            return at;
    }
    return NULL;
}

const char *json_walk_value(const char *at, const char *end)
{
    if (at < end && *at == '"')
        return json_walk_string(at, end);
    if (at < end && (*at == '{' || *at == '['))
        return walk_nested(at, end);
    while (at < end && *at != ',' && *at != ']' && *at != '}' && !is_space(*at))
        at++;
    return at;
}
