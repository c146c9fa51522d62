#include "jmap/facts/certificate_index.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 32 };

static struct indexed_certificate *bucket_of(const struct certificate_index *index, uint64_t names)
{
    /* A power of two: the low bits choose, and one more of them when the index has doubled. */
    return index->places + (names & (index->buckets - 1)) * CERTIFICATE_INDEX_BUCKET;
}

static bool is_free(const struct indexed_certificate *place)
{
    return place->id[0] == '\0';
}

/* The place of such names; else a free one; else that of the certificate which ends first. */
static struct indexed_certificate *place_for(const struct certificate_index *index, uint64_t names)
{
    struct indexed_certificate *bucket = bucket_of(index, names), *best = bucket;

    for (size_t i = 0; i < CERTIFICATE_INDEX_BUCKET; i++) {
        struct indexed_certificate *place = &bucket[i];
        if (!is_free(place) && place->names == names)
            return place;
        if (!is_free(best) && (is_free(place) || wall_time_before(place->ends, best->ends)))
            best = place;
    }
    return best;
}

static void certificate_index_put(struct certificate_index *index,
                                  const struct indexed_certificate *certificate)
{
    struct indexed_certificate *place = place_for(index, certificate->names);
    bool free = is_free(place);

    if (free || strcmp(place->id, certificate->id) == 0 ||
        wall_time_before(place->ends, certificate->ends))
        *place = *certificate;
    index->count += free;
}

static void grow(struct certificate_index *index)
{
    size_t old_places = index->buckets * CERTIFICATE_INDEX_BUCKET;
    struct certificate_index grown = {
        .buckets = index->buckets ? index->buckets * 2 : FIRST_BUCKETS, .limit = index->limit};

    if (grown.buckets > index->limit)
        grown.buckets = index->limit;
    if (grown.buckets == index->buckets)
        return;
    grown.places = calloc(grown.buckets * CERTIFICATE_INDEX_BUCKET, sizeof *grown.places);
    if (!grown.places)
        return;
    for (size_t i = 0; i < old_places; i++) {
        if (!is_free(&index->places[i]))
            certificate_index_put(&grown, &index->places[i]);
    }
    free(index->places);
    *index = grown;
}

void certificate_index_note(struct certificate_index *index,
                            const struct indexed_certificate *certificate)
{
    /* Half full: few buckets are full before. */
    if (index->count >= index->buckets * CERTIFICATE_INDEX_BUCKET / 2)
        grow(index);
    if (index->buckets > 0)
        certificate_index_put(index, certificate);
}

bool certificate_index_find(const struct certificate_index *index, uint64_t names,
                            struct indexed_certificate *out)
{
    if (index->buckets == 0)
        return false;

    const struct indexed_certificate *place = place_for(index, names);
    if (is_free(place) || place->names != names)
        return false;
    *out = *place;
    return true;
}

void certificate_index_forget(struct certificate_index *index, uint64_t names, const char *id)
{
    if (index->buckets == 0)
        return;

    struct indexed_certificate *place = place_for(index, names);
    if (is_free(place) || place->names != names || strcmp(place->id, id) != 0)
        return;
    *place = (struct indexed_certificate){0};
    index->count--;
}

void certificate_index_clear(struct certificate_index *index)
{
    free(index->places);
    *index = (struct certificate_index){.limit = index->limit};
}
