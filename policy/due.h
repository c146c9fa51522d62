#ifndef RENEWGATE_POLICY_DUE_H
#define RENEWGATE_POLICY_DUE_H

/* When a certificate becomes due for renewal. */

#include <stdbool.h>

#include "policy/wall_time.h"

/* AcmeProvider.renewBefore: the part of its life after which a certificate is renewed. */
enum renew_before {
    RENEW_BEFORE_R12, /* 1/2 */
    RENEW_BEFORE_R23, /* 2/3, the server's default */
    RENEW_BEFORE_R34, /* 3/4 */
    RENEW_BEFORE_R45, /* 4/5 */
};

/* "R12" and so on. False, and *out untouched, for any other text. */
bool renew_before_parse(const char *text, enum renew_before *out);

/*
 * not_before + (not_after - not_before) * part, rounded down to the second. A certificate that
 * ends before it begins is due at not_before.
 */
wall_time due_at(wall_time not_before, wall_time not_after, enum renew_before part);

#endif
