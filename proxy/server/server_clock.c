#include "proxy/server/server_clock.h"

#include "proxy/base/clock.h"

void server_clock_note(struct server_clock *clock, const struct field_list *fields)
{
    const struct field *date = field_find(fields, "Date");
    wall_time there;

    if (date == NULL || !wall_time_parse_http(date->value, &there))
        return;

    int64_t known = atomic_load_explicit(&clock->ahead, memory_order_relaxed);
    int64_t ahead = there.seconds - clock_wall().seconds;
    /* Of two clocks with whole seconds one is a second ahead or not, from answer to answer; the
     * later of the two is kept. */
    if (ahead != known - 1)
        atomic_store_explicit(&clock->ahead, ahead, memory_order_relaxed);
}

wall_time server_clock_now(const struct server_clock *clock)
{
    return wall_time_add(clock_wall(), atomic_load_explicit(&clock->ahead, memory_order_relaxed));
}
