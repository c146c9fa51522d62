#include "jmap/facts/certificate.h"

#include <string.h>

#include "jmap/wire/array.h"
#include "jmap/wire/utf8.h"

json_t *certificate_properties(void)
{
    return json_pack("[s, s, s, s]", "notValidBefore", "notValidAfter", "subjectAlternativeNames",
                     "issuer");
}

bool certificate_read_names(const json_t *certificate, struct san_set *names)
{
    const char *name;
    json_t *value;
    bool done = true;

    *names = SAN_SET_EMPTY;
    json_object_foreach(json_object_get(certificate, "subjectAlternativeNames"), name, value)
    {
        done = done && san_set_append(names, name, strlen(name));
    }
    san_set_settle(names);
    return done;
}

static bool read_time(const json_t *certificate, const char *key, wall_time *out)
{
    const char *text = json_string_value(json_object_get(certificate, key));

    return text && wall_time_parse(text, out);
}

bool certificate_read_times(const json_t *certificate, wall_time *begins, wall_time *ends)
{
    return read_time(certificate, "notValidBefore", begins) &&
           read_time(certificate, "notValidAfter", ends);
}

static bool grow_list(struct lookup_domain *domain)
{
    struct lookup_certificate *stored =
        array_grow(domain->stored, domain->stored_count, sizeof *stored);
    if (!stored)
        return false;
    domain->stored = stored;
    return true;
}

/* A list that changes while it is read can show one twice. */
static bool is_noted(const struct lookup_domain *domain, const char *id)
{
    return json_object_get(domain->noted, id) != NULL;
}

static bool note_id(struct lookup_domain *domain, const char *id)
{
    domain->noted = domain->noted ? domain->noted : json_object();
    return json_object_set_new(domain->noted, id, json_true()) == 0;
}

bool certificate_note(struct lookup_domain *domain, const json_t *certificate)
{
    wall_time begins, ends;
    const char *id = json_string_value(json_object_get(certificate, "id"));
    const char *issuer = json_string_value(json_object_get(certificate, "issuer"));

    if (!id || !certificate_read_times(certificate, &begins, &ends) || is_noted(domain, id))
        return true;

    if (!grow_list(domain) || !note_id(domain, id))
        return false;
    struct lookup_certificate *stored = &domain->stored[domain->stored_count++];
    *stored = (struct lookup_certificate){
        .begins = begins,
        .ends = ends,
        .renewal_due =
            wall_time_earlier(due_at(begins, ends, domain->renew_before), WALL_TIME_LAST_WRITABLE)};
    strncpy(stored->id, id, OBJECT_ID_SIZE - 1);
    if (issuer)
        utf8_copy(stored->issuer, ISSUER_SIZE, issuer);

    if (!domain->certificate_id || wall_time_before(domain->newest_expiry, ends)) {
        domain->certificate_id = id;
        domain->newest_begin = begins;
        domain->newest_expiry = ends;
        domain->renewal_due = stored->renewal_due;
    }
    return true;
}

bool certificate_add(struct lookup_domain *domain, const json_t *certificate)
{
    struct san_set names;
    bool done = certificate_read_names(certificate, &names);

    if (done && san_set_compare(&names, &domain->names) == 0)
        done = certificate_note(domain, certificate);
    san_set_clear(&names);
    return done;
}
