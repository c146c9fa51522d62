#include "proxy/base/clock.h"

#include <stdio.h>
#include <time.h>

wall_time clock_wall(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (wall_time){now.tv_sec};
}

void clock_stamp(char text[static CLOCK_STAMP_SIZE])
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    char seconds[WALL_TIME_TEXT_SIZE];
    wall_time_format((wall_time){now.tv_sec}, seconds);
    unsigned milliseconds = (unsigned)(now.tv_nsec / NANOSECONDS_PER_MILLISECOND) % 1000;
    snprintf(text, CLOCK_STAMP_SIZE, "%.19s.%03uZ", seconds, milliseconds);
}

monotonic_time clock_monotonic(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (monotonic_time){now.tv_sec * NANOSECONDS_PER_SECOND + now.tv_nsec};
}

int64_t clock_awake_microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

int64_t monotonic_milliseconds_until(monotonic_time from, monotonic_time to)
{
    if (to.nanoseconds == INT64_MAX)
        return -1;
    int64_t left = monotonic_elapsed(from, to);
    if (left <= 0)
        return 0;
    return (left - 1) / NANOSECONDS_PER_MILLISECOND + 1;
}
