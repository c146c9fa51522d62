#ifndef RENEWGATE_TESTS_UNIT_IDLE_HOLD_H
#define RENEWGATE_TESTS_UNIT_IDLE_HOLD_H

/* What a hold calls of a world in which nobody waits and nothing is told. */

#include "jmap/create/hold.h"

static inline void no_wake(void *user)
{
    (void)user;
}

static inline void no_report(void *user, const struct hold_report *report)
{
    (void)user;
    (void)report;
}

#endif
