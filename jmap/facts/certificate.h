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

/* What is read of it. */
struct certificate {
    char id[OBJECT_ID_SIZE]; /* "" where it says no id, or not when its life begins and ends */
    wall_time begins, ends;
    char issuer[ISSUER_SIZE]; /* as the server tells it, cut where long; or "" */
    struct san_set names;     /* its own */
};

/* Reads one, which then is to be cleared. False, with nothing to be cleared, without memory. */
bool certificate_read(const json_t *object, struct certificate *out);

/*
 * The same from the text of its object (jmap/wire/object_text.h): what is behind it, or NULL where
 * it is to be parsed; then there is nothing to be cleared.
 */
const char *certificate_read_text(const char *text, const char *end, struct certificate *out);

void certificate_clear(struct certificate *certificate);

/*
 * Adds one that has the domain's names to what is known of the domain. False when memory runs out.
 */
bool certificate_note(struct lookup_domain *domain, const struct certificate *certificate);

/* The same, if it has exactly the domain's names. */
bool certificate_add(struct lookup_domain *domain, const struct certificate *certificate);

#endif
