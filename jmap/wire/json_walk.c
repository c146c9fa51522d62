#include "jmap/wire/json_walk.h"

#include <stddef.h>
#include <string.h>

const char *json_walk_space(const char *at, const char *end)
{
    while (at < end && memchr(" \t\r\n", *at, 4))
        at++;
    return at;
}

const char *json_walk_string(const char *at, const char *end)
{
    for (at++; at < end; at++) {
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
    while (at < end && !memchr(",]} \t\r\n", *at, 7))
        at++;
    return at;
}
