#include "policy/san_set.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "policy/hash.h"

/* Lower case without the locale's opinion. */
static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t without_trailing_dot(const char *name, size_t len)
{
    return len > 0 && name[len - 1] == '.' ? len - 1 : len;
}

/* Where the name is, or where it would have to be put. */
static size_t position_of(const struct san_set *set, const char *name, bool *found)
{
    size_t low = 0, high = set->count;

    *found = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(set->names[middle], name);

        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve_one(struct san_set *set)
{
    if (set->count < set->capacity)
        return true;
    if (set->capacity > SIZE_MAX / 2 / sizeof *set->names)
        return false;

    size_t capacity = set->capacity ? set->capacity * 2 : 8;
    char **names = realloc(set->names, capacity * sizeof *names);
    if (!names)
        return false;
    set->names = names;
    set->capacity = capacity;
    return true;
}

/* Takes the folded name, which is freed where the set does not need or cannot hold it. */
static bool add_owned(struct san_set *set, char *name)
{
    bool found;
    size_t position = position_of(set, name, &found);

    if (found || !reserve_one(set)) {
        free(name);
        return found;
    }
    memmove(set->names + position + 1, set->names + position,
            (set->count - position) * sizeof *set->names);
    set->names[position] = name;
    set->count++;
    return true;
}

/* The same behind all others, for those of many that are settled at once. */
static bool append_owned(struct san_set *set, char *name)
{
    if (!reserve_one(set)) {
        free(name);
        return false;
    }
    set->names[set->count++] = name;
    return true;
}

static void fold_into(char *to, const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = fold(name[i]);
}

static bool is_label(const char *label, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)label[i];
        bool fits = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_' || c >= 0x80;
        if (!fits)
            return false;
    }
    return len > 0;
}

static bool is_host(const char *name, size_t len)
{
    const char *end = name + len;

    if (len > 2 && memcmp(name, "*.", 2) == 0)
        name += 2;
    for (const char *dot; (dot = memchr(name, '.', (size_t)(end - name))); name = dot + 1) {
        if (!is_label(name, (size_t)(dot - name)))
            return false;
    }
    return is_label(name, (size_t)(end - name));
}

static bool is_ipv6(const char *name, size_t len)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct in6_addr address;

    if (len >= sizeof text || memchr(name, '\0', len))
        return false;
    memcpy(text, name, len);
    return inet_pton(AF_INET6, text, &address) == 1;
}

bool san_name_is_one(const char *name, size_t len)
{
    len = without_trailing_dot(name, len);
    return is_host(name, len) || is_ipv6(name, len);
}

static bool add_name(struct san_set *set, const char *name, size_t len,
                     bool (*add)(struct san_set *set, char *name))
{
    len = without_trailing_dot(name, len);
    if (!san_name_is_one(name, len))
        return true;

    char *folded = malloc(len + 1);
    if (!folded)
        return false;
    fold_into(folded, name, len);
    folded[len] = '\0';
    return add(set, folded);
}

bool san_set_add(struct san_set *set, const char *name, size_t len)
{
    return add_name(set, name, len, add_owned);
}

bool san_set_append(struct san_set *set, const char *name, size_t len)
{
    return add_name(set, name, len, append_owned);
}

static int name_order(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

void san_set_settle(struct san_set *set)
{
    size_t kept = 0;

    if (set->count > 0)
        qsort(set->names, set->count, sizeof *set->names, name_order);
    for (size_t i = 0; i < set->count; i++) {
        if (kept > 0 && strcmp(set->names[kept - 1], set->names[i]) == 0)
            free(set->names[i]);
        else
            set->names[kept++] = set->names[i];
    }
    set->count = kept;
}

/* Appends "<label>.<domain>". */
static bool add_below(struct san_set *set, const char *label, const char *domain)
{
    size_t label_len = strlen(label);
    size_t domain_len = without_trailing_dot(domain, strlen(domain));
    char *name = malloc(label_len + 1 + domain_len + 1);

    if (!name)
        return false;
    fold_into(name, label, label_len);
    name[label_len] = '.';
    fold_into(name + label_len + 1, domain, domain_len);
    name[label_len + 1 + domain_len] = '\0';
    return append_owned(set, name);
}

int san_set_compare(const struct san_set *a, const struct san_set *b)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        int order = strcmp(a->names[i], b->names[i]);
        if (order != 0)
            return order;
    }
    return (a->count > b->count) - (a->count < b->count);
}

bool san_set_equal(const struct san_set *a, const struct san_set *b)
{
    return san_set_compare(a, b) == 0;
}

static bool same_folded(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (fold(a[i]) != fold(b[i]))
            return false;
    }
    return true;
}

/* Each name's NUL ends it. */
uint64_t san_set_hash(const struct san_set *set)
{
    uint64_t hash = HASH_BEGIN;

    for (size_t i = 0; i < set->count; i++)
        hash = hash_add(hash, set->names[i], strlen(set->names[i]) + 1);
    return hash;
}

/* Asked so seldom, and of so few names, that a walk is cheaper than a folded copy. */
bool san_set_contains(const struct san_set *set, const char *name)
{
    size_t len = without_trailing_dot(name, strlen(name));

    for (size_t i = 0; i < set->count; i++) {
        if (strlen(set->names[i]) == len && same_folded(set->names[i], name, len))
            return true;
    }
    return false;
}

void san_set_clear(struct san_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        free(set->names[i]);
    free(set->names);
    *set = SAN_SET_EMPTY;
}

/* The domain itself, or a host below it. */
static bool in_domain(const char *hostname, const char *domain)
{
    size_t hostname_len = without_trailing_dot(hostname, strlen(hostname));
    size_t domain_len = without_trailing_dot(domain, strlen(domain));

    if (hostname_len < domain_len)
        return false;

    size_t below = hostname_len - domain_len;
    return same_folded(hostname + below, domain, domain_len) &&
           (below == 0 || hostname[below - 1] == '.');
}

static bool add_configured(const struct naming_facts *facts, struct san_set *set)
{
    for (size_t i = 0; i < facts->configured_count; i++) {
        const char *name = facts->configured[i];
        bool whole = strchr(name, '.') != NULL;
        bool added =
            whole ? san_set_append(set, name, strlen(name)) : add_below(set, name, facts->domain);

        if (!added)
            return false;
    }
    return true;
}

static bool add_wildcard(const struct naming_facts *facts, struct san_set *set)
{
    return add_below(set, "*", facts->domain) &&
           san_set_append(set, facts->domain, strlen(facts->domain));
}

static bool add_hosts(const struct naming_facts *facts, struct san_set *set)
{
    static const char *const labels[] = {"mta-sts", "ua-auto-config", "autoconfig", "autodiscover"};

    for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
        if (!add_below(set, labels[i], facts->domain))
            return false;
    }
    for (size_t i = 0; i < facts->hostname_count; i++) {
        const char *hostname = facts->hostnames[i];

        if (in_domain(hostname, facts->domain) && !san_set_append(set, hostname, strlen(hostname)))
            return false;
    }
    return true;
}

static bool add_names(const struct naming_facts *facts, struct san_set *set)
{
    if (facts->configured_count > 0)
        return add_configured(facts, set);

    switch (facts->challenge) {
    case CHALLENGE_DNS01:
    case CHALLENGE_DNS_PERSIST01:
        return add_wildcard(facts, set);
    case CHALLENGE_HTTP01:
    case CHALLENGE_TLS_ALPN01:
        break;
    }
    return add_hosts(facts, set);
}

bool san_set_of_domain(const struct naming_facts *facts, struct san_set *out)
{
    *out = SAN_SET_EMPTY;
    if (!add_names(facts, out)) {
        san_set_clear(out);
        return false;
    }
    san_set_settle(out);
    return true;
}
