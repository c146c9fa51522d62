#ifndef RENEWGATE_PROXY_BASE_CLOCK_H
#define RENEWGATE_PROXY_BASE_CLOCK_H

/*
 * The one place where time is read. Wall-clock time is policy/wall_time.h's; everything that is
 * waited for or measured uses the monotonic clock, in nanoseconds, as a type of its own. It goes on
 * while the machine is suspended: what lies elsewhere, a lock for one, runs out meanwhile.
 */

#include <stdbool.h>
#include <stdint.h>

#include "policy/wall_time.h"

typedef struct {
    int64_t nanoseconds;
} monotonic_time;

#define NANOSECONDS_PER_MILLISECOND INT64_C(1000000)
#define NANOSECONDS_PER_SECOND INT64_C(1000000000)

/* After every time that can occur. */
#define MONOTONIC_NEVER ((monotonic_time){INT64_MAX})

wall_time clock_wall(void);

/* The wall clock as "2026-11-23T21:33:17.123Z". */
#define CLOCK_STAMP_SIZE 25
void clock_stamp(char text[static CLOCK_STAMP_SIZE]);

monotonic_time clock_monotonic(void);

/* The clock that stands still while the machine sleeps: for the service manager, which uses it. */
int64_t clock_awake_microseconds(void);

/* to - from, in nanoseconds. */
static inline int64_t monotonic_elapsed(monotonic_time from, monotonic_time to)
{
    return to.nanoseconds - from.nanoseconds;
}

/* t plus a duration that is not negative; never past MONOTONIC_NEVER. */
static inline monotonic_time monotonic_after(monotonic_time t, int64_t milliseconds)
{
    int64_t room = (INT64_MAX - t.nanoseconds) / NANOSECONDS_PER_MILLISECOND;
    if (milliseconds >= room)
        return MONOTONIC_NEVER;
    return (monotonic_time){t.nanoseconds + milliseconds * NANOSECONDS_PER_MILLISECOND};
}

static inline monotonic_time monotonic_earlier(monotonic_time a, monotonic_time b)
{
    return a.nanoseconds < b.nanoseconds ? a : b;
}

/* Whether t has come. */
static inline bool monotonic_reached(monotonic_time t, monotonic_time now)
{
    return t.nanoseconds <= now.nanoseconds;
}

/* Milliseconds from `from` until `to`, rounded up, at least 0; -1 for MONOTONIC_NEVER. */
int64_t monotonic_milliseconds_until(monotonic_time from, monotonic_time to);

#endif
