#ifndef RENEWGATE_TESTS_UNIT_FIXED_TIME_H
#define RENEWGATE_TESTS_UNIT_FIXED_TIME_H

/* A clock that stands. Included after cmocka.h. */

#include "policy/wall_time.h"

static inline wall_time fixed_now(void *user)
{
    wall_time now;

    (void)user;
    assert_true(wall_time_parse("2026-11-23T12:00:00Z", &now));
    return now;
}

#endif
