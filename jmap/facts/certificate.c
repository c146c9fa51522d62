#include "jmap/facts/certificate.h"

#include <string.h>

#include "jmap/wire/array.h"
#include "jmap/wire/object_text.h"
#include "jmap/wire/utf8.h"

json_t *certificate_properties(void)
{
    return json_pack("[s, s, s, s]", "notValidBefore", "notValidAfter", "subjectAlternativeNames",
                     "issuer");
}

static bool read_time(const json_t *certificate, const char *key, wall_time *out)
{
    const char *text = json_string_value(json_object_get(certificate, key));

    return text && wall_time_parse(text, out);
}

/* False when memory runs out. */
static bool read_names(const json_t *object, struct san_set *names)
{
    const char *name;
    json_t *value;
    bool done = true;

    json_object_foreach(json_object_get(object, "subjectAlternativeNames"), name, value)
    {
        done = done && san_set_append(names, name, strlen(name));
    }
    san_set_settle(names);
    if (!done)
        san_set_clear(names);
    return done;
}

bool certificate_read(const json_t *object, struct certificate *out)
{
    const char *id = json_string_value(json_object_get(object, "id"));
    const char *issuer = json_string_value(json_object_get(object, "issuer"));

    *out = (struct certificate){.names = SAN_SET_EMPTY};
    if (read_time(object, "notValidBefore", &out->begins) &&
        read_time(object, "notValidAfter", &out->ends) && id && strlen(id) < sizeof out->id)
        memcpy(out->id, id, strlen(id) + 1);
    if (issuer)
        utf8_copy(out->issuer, ISSUER_SIZE, issuer);
    return read_names(object, &out->names);
}

/* False where one stands for another text, or memory runs out. */
static bool read_text_names(struct text_slice object, struct san_set *names)
{
    struct text_slice name;
    bool done = object.kind == TEXT_OBJECT;

    while (done && object_text_next_name(&object, &name))
        done = san_set_append(names, name.text, name.len);
    san_set_settle(names);
    if (done && object.len == 0)
        return true;
    san_set_clear(names);
    return false;
}

const char *certificate_read_text(const char *text, const char *end, struct certificate *out)
{
    struct text_slice id = {0}, begins = {0}, ends = {0}, issuer = {0}, names = {0};
    const struct text_member wanted[] = {
        {"id", &id, NULL, 0},
        {"notValidBefore", &begins, NULL, 0},
        {"notValidAfter", &ends, NULL, 0},
        {"issuer", &issuer, NULL, 0},
        {"subjectAlternativeNames", &names, object_text_any, 0},
    };
    const char *behind = object_text_read(text, end, wanted, sizeof wanted / sizeof *wanted);

    *out = (struct certificate){.names = SAN_SET_EMPTY};
    if (!behind || !object_text_copy(&id, out->id, sizeof out->id) ||
        !object_text_time(&begins, &out->begins) || !object_text_time(&ends, &out->ends) ||
        (issuer.text && !object_text_copy(&issuer, out->issuer, sizeof out->issuer)))
        return NULL;
    return read_text_names(names, &out->names) ? behind : NULL;
}

void certificate_clear(struct certificate *certificate)
{
    san_set_clear(&certificate->names);
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

bool certificate_note(struct lookup_domain *domain, const struct certificate *certificate)
{
    if (!certificate->id[0] || is_noted(domain, certificate->id))
        return true;
    if (!grow_list(domain) || !note_id(domain, certificate->id))
        return false;
    struct lookup_certificate *stored = &domain->stored[domain->stored_count++];
    *stored = (struct lookup_certificate){
        .begins = certificate->begins,
        .ends = certificate->ends,
        .renewal_due =
            wall_time_earlier(due_at(certificate->begins, certificate->ends, domain->renew_before),
                              WALL_TIME_LAST_WRITABLE)};
    memcpy(stored->id, certificate->id, sizeof stored->id);
    memcpy(stored->issuer, certificate->issuer, sizeof stored->issuer);

    if (!domain->certificate_id[0] || wall_time_before(domain->newest_expiry, stored->ends)) {
        memcpy(domain->certificate_id, stored->id, sizeof stored->id);
        domain->newest_begin = stored->begins;
        domain->newest_expiry = stored->ends;
        domain->renewal_due = stored->renewal_due;
    }
    return true;
}

bool certificate_add(struct lookup_domain *domain, const struct certificate *certificate)
{
    return !san_set_equal(&certificate->names, &domain->names) ||
           certificate_note(domain, certificate);
}
