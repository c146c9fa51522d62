#include "proxy/http/forwarding.h"

#include <string.h>
#include <strings.h>

/* More proxies than anyone has in a row. */
#define HOPS_LIMIT 32

/* A piece of a field's value. */
struct span {
    const char *text;
    size_t len;
};

bool forwarding_is_own(const struct field *field)
{
    return field_is(field, "X-Forwarded-For") || field_is(field, "X-Forwarded-Proto") ||
           field_is(field, "X-Forwarded-Host") || field_is(field, "Forwarded") ||
           field_is(field, "Via");
}

static char *forwarding_put(char *at, const char *text, size_t len)
{
    memcpy(at, text, len);
    return at + len;
}

static char *put_text(char *at, const char *text)
{
    return forwarding_put(at, text, strlen(text));
}

static bool is_of_list(const struct field *field, const char *name)
{
    return field_is(field, name) && field->value_len > 0;
}

/* All values of a name as one list; `list` stays NULL where there is none. False without memory. */
static bool join(const struct field_list *received, const char *name, struct arena *arena,
                 const char **list)
{
    size_t count = 0, size = 0;
    *list = NULL;
    for (size_t i = 0; i < received->count; i++) {
        const struct field *field = &received->fields[i];
        if (!is_of_list(field, name))
            continue;
        count++;
        size += field->value_len + strlen(", ");
        *list = field->value;
    }
    if (count <= 1)
        return true;
    char *all = arena_alloc(arena, size);
    char *at = all;
    for (size_t i = 0; all != NULL && i < received->count; i++) {
        const struct field *field = &received->fields[i];
        if (is_of_list(field, name))
            at =
                forwarding_put(put_text(at, at == all ? "" : ", "), field->value, field->value_len);
    }
    if (all != NULL)
        *at = '\0';
    *list = all;
    return all != NULL;
}

static struct span trim(struct span span)
{
    while (span.len > 0 && (*span.text == ' ' || *span.text == '\t')) {
        span.text++;
        span.len--;
    }
    while (span.len > 0 && (span.text[span.len - 1] == ' ' || span.text[span.len - 1] == '\t'))
        span.len--;
    return span;
}

/* True for a quote that begins or ends a quoted string, not one that is escaped within. */
static bool is_quote(struct span span, size_t at)
{
    size_t backslashes = 0;
    if (span.text[at] != '"')
        return false;
    while (backslashes < at && span.text[at - 1 - backslashes] == '\\')
        backslashes++;
    return backslashes % 2 == 0;
}

/*
 * Takes the last element off a list whose commas are not `quoted`. From the right, since only that
 * end is a proxy's: a quote that a client left open at the other must not swallow it.
 */
static struct span take_last(struct span *list, bool quoted)
{
    size_t at = list->len;
    bool inside = false;
    while (at > 0 && (inside || list->text[at - 1] != ',')) {
        at--;
        inside ^= quoted && is_quote(*list, at);
    }
    struct span last = {list->text + at, list->len - at};
    list->len = at > 0 ? at - 1 : 0;
    return trim(last);
}

static bool is_named(struct span pair, const char *name)
{
    size_t len = strlen(name);
    return pair.len > len && pair.text[len] == '=' && strncasecmp(pair.text, name, len) == 0;
}

static struct span unquote(struct span value)
{
    if (value.len >= 2 && value.text[0] == '"' && value.text[value.len - 1] == '"')
        return (struct span){value.text + 1, value.len - 2};
    return value;
}

/* The value of a parameter of an element of Forwarded; empty where there is none. */
static struct span parameter(struct span element, const char *name)
{
    bool inside = false;
    size_t begin = 0;
    for (size_t at = 0; at <= element.len; at++) {
        if (at < element.len && (inside || element.text[at] != ';')) {
            inside ^= is_quote(element, at);
            continue;
        }
        struct span pair = trim((struct span){element.text + begin, at - begin});
        size_t skipped = strlen(name) + 1;
        if (is_named(pair, name))
            return unquote((struct span){pair.text + skipped, pair.len - skipped});
        begin = at + 1;
    }
    return (struct span){"", 0};
}

/* An address as proxies write it: also with a port, an IPv6 one then in brackets. */
static bool read_node(struct span node, struct network_address *out)
{
    const char *colon = memchr(node.text, ':', node.len);
    const char *end = node.text + node.len;
    if (node.len > 0 && *node.text == '[') {
        const char *bracket = memchr(node.text, ']', node.len);
        return bracket != NULL &&
               network_address_read(node.text + 1, (size_t)(bracket - node.text - 1), out);
    }
    if (colon != NULL && memchr(colon + 1, ':', (size_t)(end - colon - 1)) == NULL)
        node.len = (size_t)(colon - node.text);
    return network_address_read(node.text, node.len, out);
}

static const char *write_address(const struct network_address *address, struct arena *arena)
{
    char text[NETWORK_ADDRESS_TEXT_SIZE];
    network_address_write(address, text);
    return arena_copy(arena, text, strlen(text));
}

/*
 * Walks a list from its right end while the addresses are trusted proxies', with those it meets
 * put before the hops. `element` becomes the one that names the client. False when memory runs out.
 */
static bool walk(struct span list, bool is_forwarded, const struct network_list *trusted,
                 struct arena *arena, struct forwarding *out, struct span *element)
{
    struct network_address address;
    for (int i = 0; i < HOPS_LIMIT && list.len > 0; i++) {
        struct span last = take_last(&list, is_forwarded);
        if (!read_node(is_forwarded ? parameter(last, "for") : last, &address))
            return true;
        *element = last;
        out->client = write_address(&address, arena);
        if (out->client == NULL)
            return false;
        out->hops = arena_format(arena, "%s, %s", out->client, out->hops);
        if (out->hops == NULL)
            return false;
        if (!network_list_has(trusted, &address))
            return true;
    }
    return true;
}

/* A host that can stand in a URL and in quotes as it is. */
static bool host_plain(struct span host)
{
    for (size_t i = 0; i < host.len; i++) {
        char c = host.text[i];
        if (!field_alphanumeric(c) && (c == '\0' || strchr(".:-_[]", c) == NULL))
            return false;
    }
    return host.len > 0;
}

/* The first of a field's values: where proxies append to it, that of the one next to the client. */
static struct span first_value(const struct field_list *received, const char *name)
{
    const struct field *field = field_find(received, name);
    if (field == NULL)
        return (struct span){"", 0};
    return trim((struct span){field->value, strcspn(field->value, ",")});
}

static bool set_host(struct span host, struct arena *arena, struct forwarding *out)
{
    if (!host_plain(host))
        return true;
    out->host = arena_copy(arena, host.text, host.len);
    return out->host != NULL;
}

static void set_scheme(struct span scheme, struct forwarding *out)
{
    if (scheme.len == 4 && strncasecmp(scheme.text, "http", 4) == 0)
        out->scheme = "http";
    else if (scheme.len == 5 && strncasecmp(scheme.text, "https", 5) == 0)
        out->scheme = "https";
}

/* What a trusted proxy says. */
static bool read_believed(const struct forwarding_source *source, const struct field_list *received,
                          struct arena *arena, struct forwarding *out)
{
    const char *list;
    if (!join(received, "X-Forwarded-For", arena, &list))
        return false;
    bool is_forwarded = list == NULL;
    if (is_forwarded && !join(received, "Forwarded", arena, &list))
        return false;
    struct span element = {"", 0};
    struct span whole = {list, list == NULL ? 0 : strlen(list)};
    if (!walk(whole, is_forwarded, source->trusted, arena, out, &element))
        return false;
    if (is_forwarded)
        set_scheme(parameter(element, "proto"), out);
    set_scheme(first_value(received, "X-Forwarded-Proto"), out);
    return (!is_forwarded || set_host(parameter(element, "host"), arena, out)) &&
           set_host(first_value(received, "X-Forwarded-Host"), arena, out);
}

bool forwarding_trusts(const char *peer, const struct network_list *trusted)
{
    struct network_address address;
    return network_address_read(peer, strlen(peer), &address) &&
           network_list_has(trusted, &address);
}

bool forwarding_read(const struct forwarding_source *source, const struct field_list *received,
                     struct arena *arena, struct forwarding *out)
{
    *out = (struct forwarding){.client = source->peer,
                               .hops = source->peer,
                               .scheme = source->scheme,
                               .version = source->version};
    if (!set_host(first_value(received, "Host"), arena, out))
        return false;
    if (!source->is_trusted)
        return true;
    return read_believed(source, received, arena, out);
}

/* One element of Forwarded for each hop; the first tells what the client asked for as well. */
static const char *forwarded_list(const struct forwarding *forwarding, struct arena *arena)
{
    /* Around a hop there are at most ', for="[]"' and around the rest ';host="";proto='. */
    static const size_t around_hop = 11, around_rest = 16;
    size_t size = strlen(forwarding->hops) + strlen(forwarding->scheme) + around_rest + 1;
    size += forwarding->host == NULL ? 0 : strlen(forwarding->host);
    for (const char *hop = forwarding->hops; hop != NULL; hop = strchr(hop + 1, ','))
        size += around_hop;
    char *list = arena_alloc(arena, size);
    char *at = list;
    for (const char *hop = list == NULL ? NULL : forwarding->hops; hop != NULL;) {
        size_t len = strcspn(hop, ",");
        bool six = memchr(hop, ':', len) != NULL;
        at = put_text(at, hop == forwarding->hops ? "for=" : ", for=");
        at = put_text(at, six ? "\"[" : "");
        at = forwarding_put(at, hop, len);
        at = put_text(at, six ? "]\"" : "");
        if (hop == forwarding->hops && forwarding->host != NULL)
            at = put_text(put_text(put_text(at, ";host=\""), forwarding->host), "\"");
        if (hop == forwarding->hops)
            at = put_text(put_text(at, ";proto="), forwarding->scheme);
        hop = hop[len] == '\0' ? NULL : hop + len + 2;
    }
    if (list != NULL)
        *at = '\0';
    return list;
}

static bool add(struct field_list *out, const char *name, const char *value)
{
    if (value == NULL)
        return false;
    out->fields[out->count++] = field_of(name, value);
    return true;
}

bool forwarding_add_via(const char *version, const struct field_list *received, struct arena *arena,
                        struct field_list *out)
{
    const char *earlier;
    if (!join(received, "Via", arena, &earlier))
        return false;
    if (earlier == NULL)
        return add(out, "Via", strcmp(version, "1.0") == 0 ? "1.0 renewgate" : "1.1 renewgate");
    return add(out, "Via", arena_format(arena, "%s, %s renewgate", earlier, version));
}

bool forwarding_add(const struct forwarding *forwarding, const struct field_list *received,
                    struct arena *arena, struct field_list *out)
{
    return add(out, "X-Forwarded-For", forwarding->hops) &&
           add(out, "X-Forwarded-Proto", forwarding->scheme) &&
           (forwarding->host == NULL || add(out, "X-Forwarded-Host", forwarding->host)) &&
           add(out, "Forwarded", forwarded_list(forwarding, arena)) &&
           forwarding_add_via(forwarding->version, received, arena, out);
}
