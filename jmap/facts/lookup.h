#ifndef RENEWGATE_JMAP_FACTS_LOOKUP_H
#define RENEWGATE_JMAP_FACTS_LOOKUP_H

/*
 * What a decision needs to know of its domains, read from the server: each domain's names, its
 * tasks, its certificates. Without I/O: a look-up says what to send next and is fed the answer.
 *
 * Tasks are read before certificates. A finished renewal stores its certificate before its task
 * vanishes, so that order never sees neither.
 *
 * A look-up as a whole ends after 300 requests and one for each four domains, for a server may list
 * as few at a time as it likes; its driver limits the time.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/domain_facts.h"
#include "policy/held.h"

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

/*
 * What holds the order that was found, whatever becomes of the tasks that say so; of `hold` the
 * times are given, and the failures.
 */
void lookup_keep_hold(struct task_memory *memory, const struct lookup_domain *found,
                      struct setback_hold hold);

/* The next look at a domain that was found reads all of its certificates again. */
void lookup_forget_certificate(struct task_memory *memory, const struct lookup_domain *found);

/* Why it failed, in words; static. */
const char *lookup_error(const struct lookup *lookup);

#endif
