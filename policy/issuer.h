#ifndef RENEWGATE_POLICY_ISSUER_H
#define RENEWGATE_POLICY_ISSUER_H

/*
 * Whether a certificate comes from the CA that its domain's ACME provider names. A directory and an
 * issuer have no name in common that could be compared, so this rests on what well-known CAs are
 * known to use: the host of the directory, and the organisation that their certificates name. Of
 * any other directory nothing is said.
 */

#include <stdbool.h>
#include <stdint.h>

enum issuer_standing {
    ISSUER_UNJUDGED, /* the directory is not well known, or no issuer is */
    ISSUER_EXPECTED,
    ISSUER_OTHER,   /* another CA than the directory's */
    ISSUER_STAGING, /* one for tests, which no client trusts */
};

/* `issuer` as the server tells it, a distinguished name in either order; both may be NULL. */
enum issuer_standing issuer_judge(const char *issuer, const char *directory);

/*
 * Whether another CA has issued it for certain: the directory is well known and not for tests, and
 * the issuer is for tests or names another organisation.
 */
bool issuer_is_other(const char *issuer, const char *directory);

/*
 * Stands for the CA that a directory is of, whatever the account: a hash of its host and port; not
 * 0.
 */
uint64_t issuer_authority(const char *directory);

/* The well-known CA that a directory is of; NULL for any other. Static. */
const char *issuer_of_directory(const char *directory);

/* "unjudged", "expected", "other", "staging": the JSON's word. */
const char *issuer_standing_name(enum issuer_standing standing);

#endif
