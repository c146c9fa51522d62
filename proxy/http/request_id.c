#include "proxy/http/request_id.h"

#include <inttypes.h>

#define LONGEST 128

struct request_ids request_ids_begin(monotonic_time now)
{
    return (struct request_ids){.beginning = (uint32_t)(now.nanoseconds / 64)};
}

static bool is_usable(const struct field *field)
{
    for (size_t i = 0; i < field->value_len; i++) {
        if (field->value[i] <= ' ' || field->value[i] > '~')
            return false;
    }
    return field->value_len > 0 && field->value_len <= LONGEST;
}

const char *request_id_of(struct request_ids *ids, bool is_trusted,
                          const struct field_list *received, struct arena *arena)
{
    const struct field *field = is_trusted ? field_find(received, "X-Request-Id") : NULL;
    if (field != NULL && is_usable(field))
        return field->value;
    return arena_format(arena, "%08" PRIx32 "-%" PRIx64, ids->beginning, ++ids->count);
}
