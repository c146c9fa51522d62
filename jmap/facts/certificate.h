#ifndef RENEWGATE_JMAP_FACTS_CERTIFICATE_H
#define RENEWGATE_JMAP_FACTS_CERTIFICATE_H

/*
 * A stored certificate as the server shows it, and what it tells of a domain.
 */

#include <jansson.h>
#include <stdbool.h>

#include "jmap/facts/domain_facts.h"

/* What a certificate's object must show. NULL when memory runs out. */
json_t *certificate_properties(void);

/* The names that it is for. False when memory runs out; they are to be cleared even so. */
bool certificate_read_names(const json_t *certificate, struct san_set *names);

/* False where it does not say both. */
bool certificate_read_times(const json_t *certificate, wall_time *begins, wall_time *ends);

/*
 * Adds one that has the domain's names to what is known of the domain. Its id is borrowed from the
 * object. False when memory runs out.
 */
bool certificate_note(struct lookup_domain *domain, const json_t *certificate);

/* The same, if it has exactly the domain's names. */
bool certificate_add(struct lookup_domain *domain, const json_t *certificate);

#endif
