#include "proxy/forwarding.h"

#include <string.h>

static const char *const own_names[FORWARDING_FIELDS] = {
    "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "Via",
};

bool forwarding_is_own(const struct field *field)
{
    for (size_t i = 0; i < FORWARDING_FIELDS; i++) {
        if (field_is(field, own_names[i]))
            return true;
    }
    return false;
}

/* All values of a name as one list, with `last` at its end. NULL when memory runs out. */
static const char *continue_list(const struct field_list *received, const char *name,
                                 const char *last, struct arena *arena)
{
    const char *list = NULL;
    for (size_t i = 0; i < received->count; i++) {
        const struct field *field = &received->fields[i];
        if (!field_is(field, name) || field->value_len == 0)
            continue;
        list = list == NULL ? field->value : arena_format(arena, "%s, %s", list, field->value);
        if (list == NULL)
            return NULL;
    }
    return list == NULL ? last : arena_format(arena, "%s, %s", list, last);
}

/* A host that can stand in quotes as it is. */
static bool host_plain(const char *host)
{
    return host != NULL && *host != '\0' &&
           host[strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                             ".:-_[]")] == '\0';
}

/* for=192.0.2.1;host="example.org";proto=http */
static const char *forwarded_element(const struct forwarding *forwarding, struct arena *arena)
{
    bool six = strchr(forwarding->peer, ':') != NULL;
    const char *open = six ? "\"[" : "";
    const char *close = six ? "]\"" : "";
    if (host_plain(forwarding->host))
        return arena_format(arena, "for=%s%s%s;host=\"%s\";proto=%s", open, forwarding->peer, close,
                            forwarding->host, forwarding->scheme);
    return arena_format(arena, "for=%s%s%s;proto=%s", open, forwarding->peer, close,
                        forwarding->scheme);
}

static bool add(struct field_list *out, const char *name, const char *value)
{
    if (value == NULL)
        return false;
    out->fields[out->count++] = field_of(name, value);
    return true;
}

/* Single values: the first proxy's word stands where it is believed. */
static bool add_single(const struct forwarding *forwarding, const struct field_list *received,
                       const char *name, const char *own, struct field_list *out)
{
    const struct field *field = forwarding->believed ? field_find(received, name) : NULL;
    if (field != NULL && field->value_len > 0)
        return add(out, name, field->value);
    return own == NULL || *own == '\0' || add(out, name, own);
}

bool forwarding_add(const struct forwarding *forwarding, const struct field_list *received,
                    struct arena *arena, struct field_list *out)
{
    static const struct field_list nothing = {0};
    const struct field_list *believed = forwarding->believed ? received : &nothing;
    const char *element = forwarded_element(forwarding, arena);
    return element != NULL &&
           add(out, "X-Forwarded-For",
               continue_list(believed, "X-Forwarded-For", forwarding->peer, arena)) &&
           add_single(forwarding, received, "X-Forwarded-Proto", forwarding->scheme, out) &&
           add_single(forwarding, received, "X-Forwarded-Host", forwarding->host, out) &&
           add(out, "Forwarded", continue_list(believed, "Forwarded", element, arena)) &&
           add(out, "Via", continue_list(received, "Via", "1.1 renewgate", arena));
}
