#ifndef RENEWGATE_JMAP_FACTS_LOOKUP_H
#define RENEWGATE_JMAP_FACTS_LOOKUP_H

/*
 * What a decision needs to know of its domains, read from the server: each domain's names, its
 * tasks, its certificates. Without I/O: a look-up says what to send next and is fed the answer.
 *
 * Tasks are read before certificates. A finished renewal stores its certificate before its task
 * vanishes, so that order never sees neither.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/memory.h"
#include "policy/decide.h"
#include "policy/due.h"
#include "policy/held.h"
#include "policy/san_set.h"

/* One of the certificates with exactly a domain's names. */
struct lookup_certificate {
    char id[OBJECT_ID_SIZE];
    wall_time begins, ends;
    wall_time renewal_due;
};

/* One domain. What comes first is given; the rest is found. */
struct lookup_domain {
    const char *id;      /* canonical; borrowed */
    wall_time asked;     /* the latest due time asked for: fresh means due after it */
    bool scheduled;      /* one that is fresh and has no task gets one: all tasks are to be read */
    bool with_dns_tasks; /* those that end with a renewal are wanted, too */
    bool every_certificate; /* beside a fresh one, which is all that a decision needs */

    bool renewable;   /* exists, and its certificates are managed automatically */
    const char *name; /* NULL where it does not exist; borrowed from the look-up */
    struct san_set names;
    struct renewal_task *tasks; /* live and Failed; strings are the look-up's */
    size_t task_count;
    size_t task_room;
    struct renewal_task follower; /* of such DNS tasks that are live the one due last; or no id */
    size_t removed_count;  /* of those behind them, that the request itself removes; the hold's */
    wall_time renewal_due; /* of the newest-expiring certificate with the exact set */
    const char *certificate_id; /* that one's, NULL where there is none */
    wall_time newest_begin;     /* that one's life, where there is one */
    wall_time newest_expiry;
    wall_time *issued; /* issue times of all certificates with that set that were read */
    struct lookup_certificate *stored; /* the same certificates */
    size_t issued_count;               /* of both */
    size_t issued_room;
    json_t *noted;   /* object: the ids of these certificates, since lists overlap; or NULL */
    size_t failures; /* since its last certificate, as far as the gate remembers; see held_facts */
    uint64_t order;  /* the names and the CA, which a refusal is of, as a hash; 0: not renewable */

    /* The look-up's own. */
    enum challenge_type challenge;
    enum renew_before renew_before;
    json_t *configured;
    const char *provider_id; /* NULL where it has none */
    uint64_t ca, setup;      /* hashes: its provider; and how it and that are set */
    bool taskless;           /* no live task was seen before its certificates were read */
    struct domain_memory known;
};

enum lookup_state {
    LOOKUP_SEND_API,     /* POST lookup_body() to the API endpoint */
    LOOKUP_SEND_SESSION, /* GET the session */
    LOOKUP_DONE,
    LOOKUP_FORBIDDEN, /* the credential may not read */
    LOOKUP_NO_MEMORY,
    LOOKUP_FAILED, /* lookup_error() says why */
};

struct lookup;

/* Where all domains are looked up, so many at a time: some megabytes, and few enough requests. */
#define LOOKUP_AT_A_TIME 2000

/*
 * The domains, ascending by id and each once, stay the caller's and must outlive the look-up. NULL
 * when memory runs out.
 */
struct lookup *lookup_create(struct lookup_domain *domains, size_t count,
                             struct task_memory *memory, wall_time now);

/*
 * The caller has just read the list of tasks itself, so that no more than its beginning needs to be
 * read here. Before the first feed.
 */
void lookup_spare_tasks(struct lookup *lookup);

/* What time it is by now; the domains' `asked` may be changed along with it. */
void lookup_set_now(struct lookup *lookup, wall_time now);

/* Frees what was found as well: no string of a domain is valid after it. NULL is allowed. */
void lookup_destroy(struct lookup *lookup);

enum lookup_state lookup_state(const struct lookup *lookup);

/* LOOKUP_SEND_API only; valid until the next feed. */
const char *lookup_body(const struct lookup *lookup, size_t *len);

/* A response, whole. */
enum lookup_state lookup_feed(struct lookup *lookup, unsigned status, const char *body, size_t len);

/*
 * What was found of a domain that holds it; borrowed from it. Once it is looked up. The account's
 * other orders are not among it.
 */
struct held_facts lookup_held_facts(const struct lookup_domain *found, struct held_limits limits,
                                    wall_time now);

/* The next look at a domain that was found reads all of its certificates again. */
void lookup_forget_certificate(struct task_memory *memory, const struct lookup_domain *found);

/* Why it failed, in words; static. */
const char *lookup_error(const struct lookup *lookup);

#endif
