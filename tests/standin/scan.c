#include "tests/standin/scan.h"

#include <string.h>

#define MAX_DEPTH 127

struct frame {
    bool object, key_next;
    size_t index; /* of the member or element */
};

struct scan {
    struct frame frames[MAX_DEPTH + 1];
    int depth;
    enum { ROOT_OTHER, ROOT_CALLS, ROOT_CREATED_IDS } root_key;
    bool plain_methods;
};

static bool string_allowed(struct scan *scan, const char *text, size_t len)
{
    const struct frame *top = &scan->frames[scan->depth];
    bool escaped = memchr(text, '\\', len) != NULL;
    bool in_calls = scan->root_key == ROOT_CALLS;
    if (scan->depth == 1 && top->object && top->key_next) {
        scan->root_key = len == 11 && memcmp(text, "methodCalls", 11) == 0  ? ROOT_CALLS
                         : len == 10 && memcmp(text, "createdIds", 10) == 0 ? ROOT_CREATED_IDS
                                                                            : ROOT_OTHER;
        return !escaped;
    }
    if (!escaped)
        return true;
    if (scan->depth == 2 && scan->root_key == ROOT_CREATED_IDS)
        return !top->object || top->key_next;
    if (scan->depth == 3 && in_calls && !top->object && top->index == 0)
        return !scan->plain_methods;
    if (scan->depth == 4 && in_calls && top->object && top->key_next)
        return scan->frames[3].index != 1;
    return true;
}

bool scan_readable(const char *text, size_t len, bool plain_methods)
{
    struct scan scan = {.plain_methods = plain_methods};
    for (size_t i = 0; i < len; i++) {
        struct frame *top = &scan.frames[scan.depth];
        switch (text[i]) {
        case '{':
        case '[':
            if (scan.depth == MAX_DEPTH)
                return false;
            scan.frames[++scan.depth] =
                (struct frame){.object = text[i] == '{', .key_next = text[i] == '{'};
            break;
        case '}':
        case ']':
            if (scan.depth)
                scan.depth--;
            break;
        case ':':
            top->key_next = false;
            break;
        case ',':
            top->key_next = top->object;
            top->index++;
            break;
        case '"': {
            size_t start = ++i;
            while (i < len && text[i] != '"')
                i += text[i] == '\\' ? 2 : 1;
            if (i >= len || !string_allowed(&scan, text + start, i - start))
                return false;
            break;
        }
        default:
            break;
        }
    }
    return true;
}
