#ifndef RENEWGATE_JMAP_FACTS_CERTIFICATE_INDEX_H
#define RENEWGATE_JMAP_FACTS_CERTIFICATE_INDEX_H

/*
 * Which stored certificate has which set of names, as far as the gate has seen: a hint where to
 * look, and no more. A set is known by its hash alone, so a find may be another set's.
 *
 * Some 50 to 110 bytes a certificate. It grows as far as `limit` says, and then the certificates
 * that end first make room. Not locked; begins zeroed, but for its limit, and ends with
 * certificate_index_clear().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jmap/wire/object_id.h"
#include "policy/wall_time.h"

struct indexed_certificate {
    uint64_t names; /* san_set_hash() */
    wall_time begins, ends;
    char id[OBJECT_ID_SIZE];
};

struct certificate_index {
    struct indexed_certificate *places; /* in buckets; a free one has no id */
    size_t buckets;                     /* a power of two; or 0 */
    size_t count;
    size_t limit; /* of buckets; a power of two */
};

/* How many certificates fit into a bucket. */
#define CERTIFICATE_INDEX_BUCKET 16

/*
 * Of two with the same names the one that ends later stays. Where memory runs out it does not grow.
 */
void certificate_index_note(struct certificate_index *index,
                            const struct indexed_certificate *certificate);

/* False where none is known with such names. */
bool certificate_index_find(const struct certificate_index *index, uint64_t names,
                            struct indexed_certificate *out);

/* That certificate does not have these names, or is not there any more. */
void certificate_index_forget(struct certificate_index *index, uint64_t names, const char *id);

void certificate_index_clear(struct certificate_index *index);

#endif
