#ifndef RENEWGATE_POLICY_SAN_SET_H
#define RENEWGATE_POLICY_SAN_SET_H

/*
 * A set of subject alternative names: of a stored certificate, or the one that the server would
 * order for a domain. Names are kept in lower case, without a trailing dot, sorted and once each,
 * so that two sets are equal exactly when they name the same hosts.
 *
 * A set owns its names; start with SAN_SET_EMPTY, end with san_set_clear().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct san_set {
    char **names; /* sorted by strcmp() */
    size_t count;
    size_t capacity;
};

#define SAN_SET_EMPTY ((struct san_set){0})

/*
 * Whether a text can be that of a host (RFC 1123, section 2.1, with underscores, a wildcard as its
 * first label and letters beyond ASCII) or of an address. The server lists a certificate's common
 * name among its names, whatever it is.
 */
bool san_name_is_one(const char *name, size_t len);

/*
 * False, and the set unchanged, when memory runs out. What is neither a host's name nor an address
 * is left out: no set of names differs by it.
 */
bool san_set_add(struct san_set *set, const char *name, size_t len);

/*
 * The same for names of which there may be many: they make a set once it is settled, and until then
 * it is only appended to, or cleared.
 */
bool san_set_append(struct san_set *set, const char *name, size_t len);
void san_set_settle(struct san_set *set);

/* Below, at or above 0, as strcmp(): an order among sets, 0 where they are equal. */
int san_set_compare(const struct san_set *a, const struct san_set *b);

bool san_set_equal(const struct san_set *a, const struct san_set *b);

/* Equal sets have equal ones; different sets too, now and then. */
uint64_t san_set_hash(const struct san_set *set);

bool san_set_contains(const struct san_set *set, const char *name);

void san_set_clear(struct san_set *set);

/* AcmeProvider.challengeType. */
enum challenge_type {
    CHALLENGE_HTTP01,
    CHALLENGE_TLS_ALPN01,
    CHALLENGE_DNS01,
    CHALLENGE_DNS_PERSIST01,
};

/* What the server builds a domain's names from. All borrowed. */
struct naming_facts {
    const char *domain;
    enum challenge_type challenge;
    const char *const *configured; /* certificateManagement.subjectAlternativeNames */
    size_t configured_count;
    const char *const *hostnames; /* default hostname, mail exchangers, services */
    size_t hostname_count;
};

/*
 * The set that the server orders for a domain. A configured name with a dot is kept, one without
 * gets the domain behind it; where none is configured the set is the challenge's default. False,
 * and *out empty, when memory runs out.
 */
bool san_set_of_domain(const struct naming_facts *facts, struct san_set *out);

#endif
