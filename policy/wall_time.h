#ifndef RENEWGATE_POLICY_WALL_TIME_H
#define RENEWGATE_POLICY_WALL_TIME_H

/*
 * Time of the wall clock, in whole seconds since 1970-01-01T00:00:00Z, as a type of its own so
 * that it can be mixed neither with durations nor with the monotonic clock. Nothing here reads a
 * clock: "now" is always a parameter.
 */

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t seconds;
} wall_time;

/* Before and after every time that can occur; both are left alone by wall_time_add(). */
#define WALL_TIME_NEVER ((wall_time){INT64_MIN})
#define WALL_TIME_FOREVER ((wall_time){INT64_MAX})

/*
 * The last moment that the server reads in a request (3000-12-31T23:59:59Z; `UTCDateTime` in its
 * registry takes the years 1970 to 3000). A later one is refused, so none is ever written.
 */
#define WALL_TIME_LAST_WRITABLE ((wall_time){INT64_C(32535215999)})

/* Room for "2026-11-23T21:33:17Z" and its NUL. */
#define WALL_TIME_TEXT_SIZE 21

static inline bool wall_time_before(wall_time a, wall_time b)
{
    return a.seconds < b.seconds;
}

static inline bool wall_time_equal(wall_time a, wall_time b)
{
    return a.seconds == b.seconds;
}

/* One of the two that stand for no time. */
static inline bool wall_time_is_bound(wall_time t)
{
    return wall_time_equal(t, WALL_TIME_NEVER) || wall_time_equal(t, WALL_TIME_FOREVER);
}

static inline wall_time wall_time_later(wall_time a, wall_time b)
{
    return wall_time_before(a, b) ? b : a;
}

static inline wall_time wall_time_earlier(wall_time a, wall_time b)
{
    return wall_time_before(b, a) ? b : a;
}

/* t + seconds, held within WALL_TIME_NEVER and WALL_TIME_FOREVER. */
wall_time wall_time_add(wall_time t, int64_t seconds);

/*
 * Reads an RFC 3339 date-time: "Z" or a numeric offset, any fraction of a second (dropped).
 * False, and *out untouched, where the text is anything else.
 */
bool wall_time_parse(const char *text, wall_time *out);

/*
 * Reads a time as the server reads what a client writes (`UTCDateTime` in its registry, v0.16.5 and
 * v0.16.19): fewer digits than a field has read as more, what follows the last that is understood
 * is passed over, a day need not be in its month, and without an offset it is UTC. False, and *out
 * untouched, where the server refuses the text.
 */
bool wall_time_parse_server(const char *text, wall_time *out);

/*
 * Reads the date of an HTTP header field, "Mon, 23 Nov 2026 21:33:17 GMT" (IMF-fixdate, RFC 9110,
 * section 5.6.7). The older forms, which no server writes any more, are false as anything else is;
 * the day of the week is not compared with the date.
 */
bool wall_time_parse_http(const char *text, wall_time *out);

/*
 * Writes t as the server does, "2026-11-23T21:33:17Z". Years outside 0001 to 9999 and the two
 * bounds are written as the nearest year's end.
 */
void wall_time_format(wall_time t, char text[static WALL_TIME_TEXT_SIZE]);

#endif
