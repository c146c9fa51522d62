#ifndef RENEWGATE_POLICY_UPKEEP_H
#define RENEWGATE_POLICY_UPKEEP_H

/*
 * What a sweep does for a domain, so that it has exactly one live renewal task, due at the right
 * time: facts in, plan out, by the rules of docs/decisions.md. The sweep itself, its dry run and
 * the audit all take it from here.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/collapse.h"

struct upkeep_facts {
    wall_time now;
    bool renewable; /* the domain and its ACME provider exist, and it is not managed by hand */
    wall_time renewal_due;   /* R; WALL_TIME_NEVER where no certificate has the exact set */
    wall_time expires;       /* that certificate */
    wall_time refused_until; /* H; WALL_TIME_NEVER where nothing says so */
    wall_time not_before;    /* the account's pace: when it has an order for it; NEVER: at once */
    const struct renewal_task *tasks; /* of the domain; Failed ones are left */
    size_t task_count;
    const struct renewal_task *follower; /* a live DNS task that will end with a renewal, or NULL */
    int64_t stuck_after_seconds;         /* 0: none is */
};

struct upkeep_plan {
    size_t changes; /* 0: all is as it should be */
    size_t removed; /* tasks that wait or are due beside another, or are stuck */
    size_t stuck;   /* of those */
    bool followed;  /* see struct collapse_facts */
    bool moves;     /* the one that stays is written anew */
    bool makes;     /* one is made */
    wall_time due;  /* with either: for when */
    const struct renewal_task
        *stays; /* that one, or the due one that others make way for; or NULL */
};

/* Writes one fate for each task. */
struct upkeep_plan upkeep_plan(const struct upkeep_facts *facts, enum collapse_fate *fates);

#endif
