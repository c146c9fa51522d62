#include "proxy/http/outgoing.h"

#include <string.h>

#include "proxy/http/forwarding.h"

/* Fields that are between the client and the gate. */
static bool stays_here(const struct arrival *arrival, const struct field *field)
{
    return field_is_hop_by_hop(&arrival->fields, field) || forwarding_is_own(field) ||
           field_is(field, "Renewgate-Force");
}

void outgoing_drop_length(struct field_list *fields)
{
    size_t kept = 0;
    for (size_t i = 0; i < fields->count; i++) {
        if (!field_is(&fields->fields[i], "Content-Length"))
            fields->fields[kept++] = fields->fields[i];
    }
    fields->count = kept;
}

/* In the shortest form. */
static bool tells_length(const struct field *field, size_t len)
{
    size_t told;
    return field_read_length(field->value, &told) && told == len &&
           (field->value_len == 1 || *field->value != '0');
}

bool outgoing_set_length(struct field_list *fields, size_t len, struct arena *arena)
{
    for (size_t i = 0; i < fields->count; i++) {
        if (!field_is(&fields->fields[i], "Content-Length") ||
            tells_length(&fields->fields[i], len))
            continue;
        const char *text = arena_format(arena, "%zu", len);
        if (text == NULL)
            return false;
        fields->fields[i].value = text;
        fields->fields[i].value_len = strlen(text);
    }
    return true;
}

bool outgoing_relay_fields(const struct arrival *arrival, size_t len, bool expects,
                           struct arena *arena, struct field_list *out)
{
    if (!field_list_create(out, arrival->fields.count + FORWARDING_FIELDS, arena))
        return false;
    for (size_t i = 0; i < arrival->fields.count; i++) {
        const struct field *field = &arrival->fields.fields[i];
        bool dropped = (len == LENGTH_UNKNOWN && field_is(field, "Content-Length")) ||
                       (!expects && field_is(field, "Expect"));
        if (!dropped && !stays_here(arrival, field))
            out->fields[out->count++] = *field;
    }
    return outgoing_set_length(out, len, arena) &&
           forwarding_add(&arrival->from, &arrival->fields, arena, out);
}

static void add_own_name(const struct own_name *own, struct field_list *out)
{
    out->fields[out->count++] = field_of("Authorization", own->authorization);
    if (own->address[0] != '\0')
        out->fields[out->count++] = field_of("X-Forwarded-For", own->address);
}

bool outgoing_lookup_fields(const struct arrival *arrival, const struct own_name *own,
                            struct arena *arena, struct field_list *out)
{
    if (!field_list_create(out, arrival->fields.count + 3 + FORWARDING_FIELDS, arena))
        return false;
    const struct field *host = field_find(&arrival->fields, "Host");
    if (host != NULL)
        out->fields[out->count++] = *host;
    out->fields[out->count++] = field_of("Content-Type", "application/json");
    if (own != NULL) {
        add_own_name(own, out);
        return true;
    }
    for (size_t i = 0; i < arrival->fields.count; i++) {
        if (field_is(&arrival->fields.fields[i], "Authorization"))
            out->fields[out->count++] = arrival->fields.fields[i];
    }
    return forwarding_add(&arrival->from, &arrival->fields, arena, out);
}

bool outgoing_own_fields(const struct own_name *own, struct arena *arena, struct field_list *out)
{
    if (!field_list_create(out, 3, arena))
        return false;
    out->fields[out->count++] = field_of("Content-Type", "application/json");
    add_own_name(own, out);
    return true;
}

bool outgoing_answer_fields(unsigned status, const struct field_list *received, struct arena *arena,
                            struct field_list *out)
{
    if (!field_list_create(out, received->count + 1, arena))
        return false;
    for (size_t i = 0; i < received->count; i++) {
        const struct field *field = &received->fields[i];
        /* Such an answer has no content to tell a length of (RFC 9110, section 8.6). */
        bool dropped = (status < 200 || status == 204) && field_is(field, "Content-Length");
        if (!dropped && !field_is_hop_by_hop(received, field) && !field_is(field, "Via"))
            out->fields[out->count++] = *field;
    }
    return forwarding_add_via("1.1", received, arena, out);
}
