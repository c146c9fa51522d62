/* Names, a line each: a set is the same whatever their order. */

#include "policy/san_set.h"
#include "tests/fuzz/fuzz.h"

static void add_lines(struct san_set *set, const char *text, size_t size, bool backwards)
{
    const char *end = text + size;

    while (text < end) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        if (backwards) {
            line = memrchr(text, '\n', (size_t)(end - text));
            const char *start = line ? line + 1 : text;
            MUST(san_set_add(set, start, (size_t)(end - start)));
            end = line ? line : text;
        } else {
            const char *stop = line ? line : end;
            MUST(san_set_add(set, text, (size_t)(stop - text)));
            text = line ? line + 1 : end;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct san_set set = SAN_SET_EMPTY, other = SAN_SET_EMPTY;

    add_lines(&set, (const char *)data, size, false);
    add_lines(&other, (const char *)data, size, true);
    MUST(san_set_equal(&set, &other));
    for (size_t i = 0; i < set.count; i++) {
        const char *name = set.names[i];
        MUST(name[0] != '\0' && (name[strlen(name) - 1] == '.' || san_set_contains(&other, name)));
        MUST(i == 0 || strcmp(set.names[i - 1], set.names[i]) < 0);
    }
    san_set_clear(&set);
    san_set_clear(&other);
    return 0;
}
