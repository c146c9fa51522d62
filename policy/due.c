#include "policy/due.h"

#include <stddef.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned numerator;
    unsigned denominator;
} parts[] = {
    [RENEW_BEFORE_R12] = {"R12", 1, 2},
    [RENEW_BEFORE_R23] = {"R23", 2, 3},
    [RENEW_BEFORE_R34] = {"R34", 3, 4},
    [RENEW_BEFORE_R45] = {"R45", 4, 5},
};

bool renew_before_parse(const char *text, enum renew_before *out)
{
    if (!text)
        return false;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strcmp(text, parts[i].name) == 0) {
            *out = (enum renew_before)i;
            return true;
        }
    }
    return false;
}

/*
 * Every step stays in range for any two times: the life is taken as unsigned, it is divided before
 * it is multiplied, and the part, more than INT64_MAX at worst, is added in two halves.
 */
wall_time due_at(wall_time not_before, wall_time not_after, enum renew_before part)
{
    if (wall_time_before(not_after, not_before))
        return not_before;

    uint64_t life = (uint64_t)not_after.seconds - (uint64_t)not_before.seconds;
    uint64_t numerator = parts[part].numerator;
    uint64_t denominator = parts[part].denominator;
    uint64_t age = life / denominator * numerator + life % denominator * numerator / denominator;
    uint64_t half = age / 2;

    return (wall_time){not_before.seconds + (int64_t)half + (int64_t)(age - half)};
}
