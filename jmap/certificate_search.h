#ifndef RENEWGATE_JMAP_CERTIFICATE_SEARCH_H
#define RENEWGATE_JMAP_CERTIFICATE_SEARCH_H

/*
 * The stored certificates of some domains, those with exactly the domain's names. Without I/O: a
 * search says what to call and reads the answers.
 *
 * The server finds certificates by one name, and knows neither OR nor more than 16 calls a request.
 * So a search goes one of two ways, whichever costs fewer requests: it asks for each domain by
 * name, or reads the list of all certificates and picks.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jmap/lookup.h"
#include "jmap/own_request.h"

/* One that is asked for by name, and how far. */
struct certificate_wanted {
    struct lookup_domain *domain;
    unsigned page;
};

struct certificate_search {
    struct certificate_wanted *wanted; /* ascending by names */
    size_t count;
    size_t first, last; /* by name: those of this request are [first, last) */
    bool listing;       /* all certificates are read: pages [page, pages), newest first */
    size_t page, pages;
    json_t *ids; /* array: owns the certificates' ids that domains borrow */
};

/* How many domains a request can ask for by name. */
#define CERTIFICATE_SEARCHES 8

/* Where nobody has asked how many certificates are stored. */
#define CERTIFICATES_UNCOUNTED SIZE_MAX

/* What a certificate's object must show. NULL when memory runs out. */
json_t *certificate_properties(void);

/*
 * Adds one to what is known of the domain, if it has exactly the domain's names. Its id is borrowed
 * from the object. False when memory runs out.
 */
bool certificate_add(struct lookup_domain *domain, const json_t *certificate);

/*
 * Begins for those of the domains that `needed` names, and forgets what is known of their
 * certificates. `stored` is how many the server has. A search that has begun before may begin anew.
 * False when memory runs out.
 */
bool certificate_search_begin(struct certificate_search *search, struct lookup_domain *domains,
                              size_t count, bool (*needed)(const struct lookup_domain *domain),
                              size_t stored);

/* Frees the ids that domains borrow, too. */
void certificate_search_end(struct certificate_search *search);

/* Adds the next request's calls; none once all is read. */
void certificate_search_write(struct certificate_search *search, struct own_request *request);

/* The answer to them. False when memory runs out. */
bool certificate_search_read(struct certificate_search *search, const struct own_request *request);

#endif
