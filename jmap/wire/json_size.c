#include "jmap/wire/json_size.h"

#include <stdbool.h>

/*
 * What each token can cost, blocks rounded up and tables as they are while they grow: an object
 * with its first eight buckets; an array with its first eight places; a member, and the place of an
 * element, each with a number in it; a string beside its bytes.
 */
enum {
    OBJECT_BYTES = 272,
    ARRAY_BYTES = 192,
    MEMBER_BYTES = 192,
    ELEMENT_BYTES = 64,
    STRING_BYTES = 96,
};

size_t json_size_bound(const char *text, size_t len)
{
    const char *end = text + len;
    size_t bound = STRING_BYTES;
    bool in_string = false;

    for (const char *at = text; at < end; at++) {
        if (in_string) {
            bound++;
            if (*at == '\\' && at + 1 < end)
                at++;
            else if (*at == '"')
                in_string = false;
            continue;
        }
        switch (*at) {
        case '{':
            bound += OBJECT_BYTES;
            break;
        case '[':
            bound += ARRAY_BYTES;
            break;
        case ':':
            bound += MEMBER_BYTES;
            break;
        case ',':
            bound += ELEMENT_BYTES;
            break;
        case '"':
            bound += STRING_BYTES;
            in_string = true;
            break;
        default:
            break;
        }
    }
    return bound;
}
