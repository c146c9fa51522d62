#include "policy/standing.h"

enum standing standing_of(const struct standing_facts *facts, wall_time now)
{
    bool stored = !wall_time_equal(facts->not_after, WALL_TIME_NEVER);

    if (stored && !wall_time_before(now, facts->not_after))
        return STANDING_EXPIRED;
    if (!stored)
        return STANDING_MISSING;
    if (wall_time_before(now, facts->refused_until))
        return STANDING_HELD;
    return wall_time_before(now, facts->renewal_due) ? STANDING_FRESH : STANDING_DUE;
}

const char *standing_name(enum standing standing)
{
    static const char *const names[STANDINGS] = {
        [STANDING_EXPIRED] = "expired", [STANDING_MISSING] = "missing", [STANDING_HELD] = "held",
        [STANDING_DUE] = "due",         [STANDING_FRESH] = "fresh",
    };
    return names[standing];
}
