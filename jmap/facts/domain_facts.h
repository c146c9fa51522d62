#ifndef RENEWGATE_JMAP_FACTS_DOMAIN_FACTS_H
#define RENEWGATE_JMAP_FACTS_DOMAIN_FACTS_H

/*
 * What is to be found out of one domain, and what was found: by look-ups (jmap/facts/lookup.h),
 * which search for its certificates (jmap/facts/certificate_search.h).
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jmap/facts/memory.h"
#include "policy/due.h"
#include "policy/renewal_task.h"
#include "policy/san_set.h"
#include "policy/wall_time.h"

#define ISSUER_SIZE 128

/* One of the certificates with exactly a domain's names. */
struct lookup_certificate {
    char id[OBJECT_ID_SIZE];
    wall_time begins, ends;
    wall_time renewal_due;
    char issuer[ISSUER_SIZE]; /* as the server tells it, cut where long; or "" */
    bool other_ca;            /* it is not from the provider's CA, as far as that is certain */
};

/* One domain. What comes first is given; the rest is found. */
struct lookup_domain {
    const char *id;      /* canonical; borrowed */
    wall_time asked;     /* the latest due time asked for: fresh means due after it */
    bool scheduled;      /* one that is fresh and has no task gets one: all tasks are to be read */
    bool with_dns_tasks; /* those that end with a renewal are wanted, if one is due */
    int64_t stuck_after_seconds; /* of those one that is due for so long is stuck; 0: none */
    bool every_certificate;      /* beside a fresh one, which is all that a decision needs */

    bool renewable;        /* exists, and its certificates are managed automatically */
    const char *name;      /* NULL where it does not exist; borrowed from the look-up */
    const char *directory; /* its ACME provider's; or NULL; likewise */
    struct san_set names;
    struct renewal_task *tasks; /* live and Failed; strings are the look-up's */
    size_t task_count;
    struct renewal_task follower; /* of such DNS tasks that are live the first to renew; or no id */
    size_t removed_count;  /* of those behind them, that the request itself removes; the hold's */
    wall_time renewal_due; /* of the newest-expiring certificate with the exact set */
    char certificate_id[OBJECT_ID_SIZE]; /* that one's, "" where there is none */
    wall_time newest_begin;              /* that one's life, where there is one */
    wall_time newest_expiry;
    struct lookup_certificate *stored; /* all certificates with that set that were read */
    size_t stored_count;
    wall_time *issued; /* when the CA issued these, then those that are known to have been there */
    size_t issued_count;
    size_t spent_count;       /* behind them, when what the server has thrown away was issued */
    struct setback_hold kept; /* what holds it by tasks that are there no more */
    struct setback_invalid invalid[SETBACK_INVALID]; /* whether their tasks are there or not */
    json_t *noted;   /* object: the ids of these certificates, since lists overlap; or NULL */
    size_t failures; /* since its last certificate, as far as the gate remembers; see held_facts */
    /* Hashes; 0: not renewable. */
    uint64_t order; /* the names and the CA, which a refusal is of */
    uint64_t setup; /* with that, how it and its provider are set: what a failure is of */

    /* The look-up's own. */
    enum challenge_type challenge;
    enum renew_before renew_before;
    json_t *configured;
    const char *provider_id; /* NULL where it has none */
    uint64_t ca, settings;   /* hashes: its provider; and how it and that are set */
    bool taskless;           /* no live task was seen before its certificates were read */
    struct domain_memory known;
};

#endif
