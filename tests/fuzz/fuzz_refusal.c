/* A task's failureReason, and the limit on issues replayed over times of any kind. */

#include "policy/refusal.h"
#include "tests/fuzz/fuzz.h"

static void replay(const char *text, const uint8_t *data, size_t size)
{
    struct issue_limit limit;
    wall_time issued[64];
    size_t count = 0;

    if (!issue_limit_parse(text, &limit))
        return;
    for (; size >= 8 && count < 64; data += 8, size -= 8)
        memcpy(&issued[count++].seconds, data, 8);
    wall_time now = count > 0 ? issued[0] : (wall_time){0};
    wall_time next = issue_limit_next(limit, issued, count, now);
    MUST(wall_time_equal(next, WALL_TIME_NEVER) || !wall_time_before(next, now));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = text_of(data, size);
    struct refusal refusal = refusal_parse(text);

    MUST(refusal.seconds >= 0);
    MUST(refusal.kind == REFUSAL_NONE || !refusal_is_not_due(text));
    const char *rest = cut_line(text);
    replay(text, data + (rest ? (size_t)(rest - text) : size),
           rest ? size - (size_t)(rest - text) : 0);
    free(text);
    return 0;
}
