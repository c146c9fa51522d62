#include "jmap/wire/json_size.h"

#include <limits.h>

#include "jmap/wire/json_walk.h"

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

/* Of the byte that tells each of them, outside of strings. */
static const unsigned short costs[UCHAR_MAX + 1] = {
    ['{'] = OBJECT_BYTES,  ['['] = ARRAY_BYTES,  [':'] = MEMBER_BYTES,
    [','] = ELEMENT_BYTES, ['"'] = STRING_BYTES,
};

size_t json_size_bound(const char *text, size_t len)
{
    const char *end = text + len;
    size_t bound = STRING_BYTES;

    for (const char *at = text; at < end;) {
        bound += costs[(unsigned char)*at];
        if (*at != '"') {
            at++;
            continue;
        }
        const char *behind = json_walk_string(at, end);
        if (!behind)
            behind = end;
        bound += (size_t)(behind - at);
        at = behind;
    }
    return bound;
}
