#include "proxy/http/outgoing.h"

#include <string.h>

#include "proxy/http/forwarding.h"

/* Fields that are between the client and the gate. */
static bool stays_here(const struct request_head *request_head, const struct field *field)
{
    return field_is_hop_by_hop(&request_head->fields, field) || forwarding_is_own(field) ||
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

bool outgoing_relay_fields(const struct request_head *request_head, size_t len, bool expects,
                           struct arena *arena, struct field_list *out)
{
    if (!field_list_create(out, request_head->fields.count + FORWARDING_FIELDS, arena))
        return false;
    for (size_t i = 0; i < request_head->fields.count; i++) {
        const struct field *field = &request_head->fields.fields[i];
        bool dropped = (len == LENGTH_UNKNOWN && field_is(field, "Content-Length")) ||
                       (!expects && field_is(field, "Expect"));
        if (!dropped && !stays_here(request_head, field))
            out->fields[out->count++] = *field;
    }
    return outgoing_set_length(out, len, arena) &&
           forwarding_add(&request_head->from, &request_head->fields, arena, out);
}

static void add_own_name(const struct own_name *own, struct field_list *out)
{
    out->fields[out->count++] = field_of("Authorization", own->authorization);
    if (own->address[0] != '\0')
        out->fields[out->count++] = field_of("X-Forwarded-For", own->address);
}

bool outgoing_lookup_fields(const struct request_head *request_head, const struct own_name *own,
                            struct arena *arena, struct field_list *out)
{
    if (!field_list_create(out, request_head->fields.count + 3 + FORWARDING_FIELDS, arena))
        return false;
    const struct field *host = field_find(&request_head->fields, "Host");
    if (host != NULL)
        out->fields[out->count++] = *host;
    out->fields[out->count++] = field_of("Content-Type", "application/json");
    if (own != NULL) {
        add_own_name(own, out);
        return true;
    }
    for (size_t i = 0; i < request_head->fields.count; i++) {
        if (field_is(&request_head->fields.fields[i], "Authorization"))
            out->fields[out->count++] = request_head->fields.fields[i];
    }
    return forwarding_add(&request_head->from, &request_head->fields, arena, out);
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
