#ifndef RENEWGATE_JMAP_FACTS_CERTIFICATE_SEARCH_H
#define RENEWGATE_JMAP_FACTS_CERTIFICATE_SEARCH_H

/*
 * The stored certificates of some domains, those with exactly the domain's names. Without I/O: a
 * search says what to call and reads the answers.
 *
 * Where the gate has seen a certificate with a domain's names that should be fresh, it is read by
 * its id: if the server has it, and it has these names and is fresh, no other is needed. All other
 * domains are searched for. The server finds certificates by one name, and knows neither OR nor
 * more than 16 calls a request. So a search goes one of two ways, whichever costs fewer requests:
 * it asks for each domain by name, or reads the list of all certificates and picks.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jmap/facts/certificate.h"
#include "jmap/facts/domain_facts.h"
#include "jmap/facts/listing.h"
#include "jmap/facts/memory.h"
#include "jmap/wire/own_request.h"

/* How many domains can be searched for beside other calls, in one request with them. */
#define CERTIFICATES_PREFETCHED 2

/* A domain that was searched for before it was known what it needs. */
struct certificate_prefetched {
    struct lookup_domain *domain;
    json_t *page;  /* array of certificates, once they are read */
    size_t listed; /* how many ids were */
    bool full;     /* there are more */
};

/* One domain whose certificate is wanted, and where to look. */
struct certificate_wanted {
    struct lookup_domain *domain;
    char id[OBJECT_ID_SIZE]; /* what is remembered; or "" */
    size_t position;         /* by name: how many have been read */
};

struct certificate_search {
    struct task_memory *memory;
    bool (*needed)(const struct lookup_domain *domain);
    struct certificate_wanted *wanted; /* ascending by names */
    size_t count;
    size_t stored; /* how many certificates the server has */
    size_t a_call; /* how many objects it takes in one call */
    enum { SEARCH_BY_ID, SEARCH_BY_NAME, SEARCH_LIST } way;
    size_t first, last; /* by id and by name: those of this request are [first, last) */
    struct listing listing;
    struct certificate_prefetched prefetched[CERTIFICATES_PREFETCHED];
    size_t prefetched_count;
    struct certificate *aside; /* of the last answer: those that were not parsed */
    size_t aside_count;
};

/* How many domains a request can ask for by name. */
#define CERTIFICATE_SEARCHES 8

/* Where nobody has asked how many certificates are stored. */
#define CERTIFICATES_UNCOUNTED SIZE_MAX

/* The name by which certificates with these names are found. Borrowed. */
const char *certificate_search_name(const struct san_set *names);

/*
 * Before it begins: adds calls to a request that is about other things, for those of the domains
 * that were due when they were last looked at; up to CERTIFICATES_PREFETCHED of them. Their tasks
 * must have been asked for before. Then reads the answer.
 */
void certificate_search_prefetch(struct certificate_search *search, struct lookup_domain *domains,
                                 size_t count, struct own_request *request);
void certificate_search_read_prefetched(struct certificate_search *search,
                                        const struct own_request *request);

/* What was prefetched is past: something has been read since that must come before. */
void certificate_search_forget_prefetched(struct certificate_search *search);

/*
 * Begins for those of the domains that `needed` names, and forgets what is known of their
 * certificates. `search->memory`, `stored` and `a_call` have been set. A search that has begun
 * before may begin anew. False when memory runs out.
 */
bool certificate_search_begin(struct certificate_search *search, struct lookup_domain *domains,
                              size_t count, bool (*needed)(const struct lookup_domain *domain));

/* Frees the ids that domains borrow, too. */
void certificate_search_end(struct certificate_search *search);

/* So many it takes; before a request is written anew that has had too many. */
void certificate_search_lower(struct certificate_search *search, size_t a_call);

/* Adds the next request's calls; none once all is read. False when memory runs out. */
bool certificate_search_write(struct certificate_search *search, struct own_request *request);

/*
 * An answer to them without the certificates that need no tree, which are set aside: see
 * json_list_pick(). Of a search by name there are none, for it counts to whom each belongs.
 */
char *certificate_search_set_aside(struct certificate_search *search, const char *body, size_t len,
                                   size_t *left_len);

/* The answer to them. False when memory runs out. */
bool certificate_search_read(struct certificate_search *search, const struct own_request *request);

#endif
