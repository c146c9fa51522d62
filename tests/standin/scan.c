#include "tests/standin/scan.h"

#include <stdio.h>
#include <stdlib.h>
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

/* What is told of a walk over a text. */
struct visitor {
    void (*enters)(void *user); /* an object or array begins; may be NULL */
    /* A string, without its quotes; false ends the walk. */
    bool (*reads)(void *user, const char *string, size_t len);
    void *user;
};

/* False where it came to no end: by the visitor, or nested too deep, or within a string. */
static bool walk(struct scan *scan, const char *text, size_t len, const struct visitor *visitor)
{
    for (size_t i = 0; i < len; i++) {
        struct frame *top = &scan->frames[scan->depth];
        switch (text[i]) {
        case '{':
        case '[':
            if (scan->depth == MAX_DEPTH)
                return false;
            scan->frames[++scan->depth] =
                (struct frame){.object = text[i] == '{', .key_next = text[i] == '{'};
            if (visitor->enters)
                visitor->enters(visitor->user);
            break;
        case '}':
        case ']':
            if (scan->depth)
                scan->depth--;
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
            if (i >= len || !visitor->reads(visitor->user, text + start, i - start))
                return false;
            break;
        }
        default:
            break;
        }
    }
    return true;
}

static bool string_allowed(void *user, const char *text, size_t len)
{
    struct scan *scan = user;
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
    return walk(&scan, text, len, &(struct visitor){.reads = string_allowed, .user = &scan});
}

/* The names that objects have had so far; a create is at depth 5, its members from 6 on. */
struct repeats {
    struct scan scan;
    bool in_create;
    json_t *creates;              /* names in the create that is being read */
    bool has_type[MAX_DEPTH + 2]; /* an object at that depth */
    unsigned count;
    const char *text;
    size_t copied; /* of it, to `out` */
    FILE *out;
};

/* Whether the name at the scan's place is one that its object has had already. */
static bool is_repeated(struct repeats *repeats, const char *name, size_t len)
{
    struct scan *scan = &repeats->scan;
    if (scan->depth == 1)
        scan->root_key =
            len == 11 && memcmp(name, "methodCalls", 11) == 0 ? ROOT_CALLS : ROOT_OTHER;
    if (scan->root_key != ROOT_CALLS)
        return false;
    if (scan->depth == 4)
        repeats->in_create = len == 6 && memcmp(name, "create", 6) == 0;
    if (scan->depth < 5 || !repeats->in_create)
        return false;
    if (scan->depth == 5) {
        json_t *key = json_stringn_nocheck(name, len);
        bool had = json_object_get(repeats->creates, json_string_value(key)) != NULL;
        json_object_set_new_nocheck(repeats->creates, json_string_value(key), json_true());
        json_decref(key);
        return had;
    }
    bool is_type = len == 5 && memcmp(name, "@type", 5) == 0;
    bool had = is_type && repeats->has_type[scan->depth];
    repeats->has_type[scan->depth] = repeats->has_type[scan->depth] || is_type;
    return had;
}

static void enter(void *user)
{
    struct repeats *repeats = user;
    repeats->has_type[repeats->scan.depth] = false;
    if (repeats->scan.depth == 5)
        json_object_clear(repeats->creates);
}

static bool mark(void *user, const char *string, size_t len)
{
    struct repeats *repeats = user;
    if (repeats->scan.frames[repeats->scan.depth].key_next && is_repeated(repeats, string, len)) {
        size_t end = (size_t)(string + len - repeats->text);
        fwrite(repeats->text + repeats->copied, 1, end - repeats->copied, repeats->out);
        fprintf(repeats->out, "\\u%04x%u", SCAN_MARK, repeats->count++);
        repeats->copied = end;
    }
    return true;
}

char *scan_mark_repeated(const char *text, size_t len, size_t *marked_len)
{
    char *marked = NULL;
    struct repeats repeats = {
        .creates = json_object(), .text = text, .out = open_memstream(&marked, marked_len)};
    if (repeats.out) {
        walk(&repeats.scan, text, len,
             &(struct visitor){.enters = enter, .reads = mark, .user = &repeats});
        fwrite(text + repeats.copied, 1, len - repeats.copied, repeats.out);
        fclose(repeats.out);
    }
    json_decref(repeats.creates);
    if (repeats.count > 0)
        return marked;
    free(marked);
    return NULL;
}

void scan_drop_marked(json_t *create)
{
    const char *key;
    json_t *member;
    void *next;
    size_t i;
    json_array_foreach(create, i, member)
    {
        scan_drop_marked(member);
    }
    json_object_foreach_safe(create, next, key, member)
    {
        if (strchr(key, SCAN_MARK))
            json_object_del(create, key);
        else
            scan_drop_marked(member);
    }
}

void scan_unmark(json_t *object)
{
    const char *key;
    json_t *member;
    void *next;
    json_object_foreach_safe(object, next, key, member)
    {
        const char *mark = strchr(key, SCAN_MARK);
        if (!mark)
            continue;
        char *name = strndup(key, (size_t)(mark - key));
        if (!name)
            abort();
        json_object_set(object, name, member);
        free(name);
        json_object_del(object, key);
    }
}
