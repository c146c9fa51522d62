#include "proxy/http/request_id.h"

#define LONGEST 128
#define BEGINNING_DIGITS 8
#define COUNT_DIGITS_MAX 16

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

static char *put_digits(char *at, uint64_t number, unsigned digits)
{
    while (digits-- > 0)
        *at++ = "0123456789abcdef"[number >> (4 * digits) & 15];
    return at;
}

/* Every request has one, so it is worth doing without printf(). */
static const char *make_id(struct request_ids *ids, struct arena *arena)
{
    char *id = arena_alloc(arena, BEGINNING_DIGITS + 1 + COUNT_DIGITS_MAX + 1);
    if (id == NULL)
        return NULL;
    unsigned digits = 1;
    for (uint64_t left = ++ids->count >> 4; left > 0; left >>= 4)
        digits++;
    char *at = put_digits(id, ids->beginning, BEGINNING_DIGITS);
    *at++ = '-';
    *put_digits(at, ids->count, digits) = '\0';
    return id;
}

const char *request_id_of(struct request_ids *ids, bool is_trusted,
                          const struct field_list *received, struct arena *arena)
{
    const struct field *field = is_trusted ? field_find(received, "X-Request-Id") : NULL;
    if (field != NULL && is_usable(field))
        return field->value;
    return make_id(ids, arena);
}
