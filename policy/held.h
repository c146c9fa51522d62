#ifndef RENEWGATE_POLICY_HELD_H
#define RENEWGATE_POLICY_HELD_H

/*
 * H of the decision table: until when nothing is to be asked of the CA for a domain, and why. Each
 * source gives a time, and the latest counts. What is known of failures comes from the domain's
 * Failed tasks; what is known of the account's orders, policy/account_limit.h makes a time of.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/refusal.h"
#include "policy/renewal_task.h"
#include "policy/setback.h"
#include "policy/wall_time.h"

/* What holds a domain; in this order they come where two name the same time. */
enum held_by {
    HELD_BY_CA,          /* it has refused, or will, by RENEWGATE_ISSUE_LIMIT */
    HELD_BY_FAILURES,    /* the last order failed: RENEWGATE_FAILURE_BACKOFF */
    HELD_BY_VALIDATIONS, /* too many failed validations: RENEWGATE_VALIDATION_LIMIT */
    HELD_BY_ACCOUNT,     /* the account's other orders: RENEWGATE_ACCOUNT_LIMIT */
    HELD_SOURCES,
};

/*
 * How long nothing is asked for after failures: `first`, doubled with each one, `longest` at most.
 */
struct failure_backoff {
    int64_t first_seconds; /* 0: off */
    int64_t longest_seconds;
};

/*
 * Reads "1h/24h" (the units of issue_limit_parse()) or "off". False, and *out untouched, for any
 * other text, for a first wait that is the longer one and for one above 31 days.
 */
bool failure_backoff_parse(const char *text, struct failure_backoff *out);

/* What is held to. */
struct held_limits {
    struct issue_limit issue;
    struct issue_limit validation;
    struct failure_backoff backoff;
    int64_t blind_hold_seconds; /* after a refusal that names no time */
};

/*
 * By what the CA has said to the domain's own tasks (Failed ones count here), which is a part of H.
 * A Retry after a refusal counts with its due, or with what the CA has said since it was `tried`;
 * where the CA named no time, `seen` (failed_at where Failed) + blind_hold_seconds, unless a
 * collapse has written its due already.
 */
wall_time refused_until(const struct renewal_task *tasks, size_t task_count,
                        int64_t blind_hold_seconds, wall_time now);

struct held_facts {
    struct held_limits limits;
    wall_time now;
    bool forced;                      /* ends the wait after failures; the CA's limits hold */
    const struct renewal_task *tasks; /* the domain's, Failed ones too */
    size_t task_count;
    const wall_time *issued; /* of certificates with its names, stored or known to have been */
    size_t issued_count;
    wall_time last_issue; /* of a certificate with its names, whichever CA's; or any time before */
    size_t spent_count;   /* of further ones behind them, which count against the limit alone */
    /* By what is remembered of tasks that are gone; or any time past: */
    wall_time kept_refused; /* until when the CA refuses */
    wall_time kept_failing; /* until when the next order waits after failures */
    size_t failures;        /* known beside those that the tasks show; or 0 */
    /* SETBACK_INVALID failed validations, whether their tasks are there or not; or NULL. */
    const struct setback_invalid *invalid;
    wall_time paced_until; /* when the account has a token; WALL_TIME_NEVER where it has one now */
};

struct held {
    wall_time until; /* WALL_TIME_NEVER where nothing says so; it may have passed */
    enum held_by by;
    wall_time by_source[HELD_SOURCES]; /* what each says; likewise */
    wall_time refused;                 /* by the CA's own words, whatever its limit; likewise */
    wall_time limited;                 /* by its limit of certificates for the set; likewise */
    size_t failures;                   /* since the last certificate */
    const char *reason; /* the latest failure's, borrowed from its task; NULL where there is none */
};

/* H, which nothing else tells: creates and explanations, sweeps and audits go by it. */
struct held held_until(const struct held_facts *facts);

/* One of the sources says a later time than is known so far. */
void held_prolong(struct held *held, enum held_by by, wall_time until);

/* "ca", "failures", "validations", "account": the word of metrics and JSON. */
const char *held_by_name(enum held_by by);

/* Why a create that is held so gets the task that it gets; static. */
const char *held_by_words(enum held_by by);

/*
 * Of the tasks, which have Failed and say nothing that a newer one does not: it failed for the same
 * reason, numbers and links aside, and no limit of the CA's is reckoned by them. One for each task;
 * how many they are. Of more reasons than HELD_REASONS the tasks are left. Linear.
 */
#define HELD_REASONS 16
size_t held_find_spent(const struct held_facts *facts, bool *spent);

#endif
