#ifndef RENEWGATE_POLICY_REFUSAL_H
#define RENEWGATE_POLICY_REFUSAL_H

/*
 * What refusals say about the future: the time before which the CA will refuse again, H in the
 * decision table; and for how long a server does not want to be asked.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/wall_time.h"

enum refusal_kind {
    REFUSAL_NONE,      /* the text tells of something else */
    REFUSAL_SECONDS,   /* "Rate limited. Retry after N seconds" */
    REFUSAL_SOME_TIME, /* "Rate limited. Retry after some time": the CA named no time, or a date */
};

/*
 * A refusal holds for so long at most, 31 days: no CA means more, and a Retry-After of centuries
 * becomes a due time that the server itself cannot read.
 */
#define REFUSAL_LONGEST_SECONDS (INT64_C(31) * 86400)

struct refusal {
    enum refusal_kind kind;
    int64_t seconds; /* N, with REFUSAL_SECONDS */
};

/*
 * Reads a task's failureReason; NULL is REFUSAL_NONE. Whatever else begins with "Rate limited" is
 * REFUSAL_SOME_TIME, so that a server which words it anew is still held back.
 */
struct refusal refusal_parse(const char *failure_reason);

/*
 * Whether a failureReason is the server's own "Certificate for domain example.org is still valid;
 * renewal is not due until 2026-11-23T21:33:17Z" (v0.16.18): nothing has gone wrong.
 */
bool refusal_is_not_due(const char *failure_reason);

/* What is written in the reason of a task that is taken out of the queue; the id of the one that
 * stays follows. */
#define REFUSAL_SUPERSEDED "superseded by "

/* Whether it tells that an order failed, and not that one was refused, needless or superseded. */
bool refusal_is_failure(const char *failure_reason);

/*
 * Whether the CA has issued, and the server thrown away, a certificate (`acme_renew`): what it
 * could not read ("Cryptographic error: Failed to parse …"), what was too short ("Invalid request:
 * Certificate expires in N seconds, expected at least 3600 seconds"), or what it could not store
 * ("Registry error: …").
 */
bool refusal_is_thrown_away(const char *failure_reason);

/*
 * Whether it is the server's "Authentication failed: …" (AcmeError::AuthInvalid): the CA could not
 * validate one of the names.
 */
bool refusal_is_invalid(const char *failure_reason);

/*
 * Whether two say the same. Words with a digit in them are alike: the server writes waits, dates,
 * links and tokens among the others.
 */
bool refusal_same(const char *a, const char *b);

/*
 * Reads a Retry-After of HTTP (RFC 9110, section 10.2.3): a number of seconds, or a date. Of a date
 * those that pass until it has surely come, at `now` by the clock that it was written by; `now` may
 * be a second fast. False, and *seconds untouched, for any other text.
 */
bool retry_after_parse(const char *text, wall_time now, int64_t *seconds);

/*
 * Reads "7d": a number and a unit, s, m, h or d; what follows it, or NULL where that is none, is 0
 * or is above `most` seconds.
 */
const char *duration_read(const char *text, int64_t most, int64_t *seconds);

/*
 * The CA's own token bucket for one exact set of names: `burst` certificates at once, one more
 * every window/burst seconds. burst 0 switches it off.
 */
struct issue_limit {
    unsigned burst;
    int64_t window_seconds;
};

/*
 * Reads "5/168h" (also d, m, s as the unit) or "off". False, and *out untouched, for any other
 * text, for a burst above 1000 and for a window below a second or above 366 days.
 */
bool issue_limit_parse(const char *text, struct issue_limit *out);

/* Some times; WALL_TIME_NEVER for one that does not count. */
struct issue_times {
    wall_time (*at)(const void *user, size_t i);
    const void *user;
    size_t count;
    unsigned tokens; /* so many are wanted, the burst at most; 0: one */
};

/* As issue_limit_next(), with the times in any form. */
wall_time issue_limit_next_of(struct issue_limit limit, const struct issue_times *issued,
                              wall_time now);

/*
 * The bucket replayed over the issue times (any order; those after `now` count as now): the time
 * of the next token when there is none at `now`, else WALL_TIME_NEVER.
 */
wall_time issue_limit_next(struct issue_limit limit, const wall_time *issued, size_t count,
                           wall_time now);

#endif
