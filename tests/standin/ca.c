#include "tests/standin/ca.h"
#include "tests/standin/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ca_reset(void)
{
    free(store.ca.fail);
    free(store.ca.common_name);
    free(store.ca.invalid);
    free(store.ca.discard);
    store.ca = (struct ca){
        .retry_after = RETRY_AFTER_SECONDS,
        .limited = true,
        .burst = 5,
        .window = 168 * 3600,
        .refuse_seconds = 3600,
        .lifetime_seconds = INT64_C(90) * 86400,
        .count_stored = true,
    };
}

static bool configure_limit(const char *text)
{
    long long burst, hours;
    char unit, rest;
    if (strcmp(text, "off") == 0) {
        store.ca.limited = false;
        return true;
    }
    if (sscanf(text, "%lld/%lld%c%c", &burst, &hours, &unit, &rest) != 3 || burst < 1 || hours < 1)
        return false;
    int64_t scale = unit == 'h' ? 3600 : unit == 'm' ? 60 : unit == 's' ? 1 : 0;
    if (!scale)
        return false;
    store.ca.limited = true;
    store.ca.burst = burst;
    store.ca.window = hours * scale;
    return true;
}

static void configure_text(char **text, const json_t *json)
{
    if (!json)
        return;
    free(*text);
    *text = text_copy(json_string_value(json));
}

bool ca_configure(const json_t *json, const char **error)
{
    struct ca *ca = &store.ca;
    const char *retry_after = json_string_value(json_object_get(json, "retry_after"));
    const char *limit = json_string_value(json_object_get(json, "limit"));
    const json_t *refuse = json_object_get(json, "refuse");
    const json_t *refuse_seconds = json_object_get(json, "refuse_seconds");
    const json_t *days = json_object_get(json, "lifetime_days");
    const json_t *seconds = json_object_get(json, "lifetime_seconds");
    const json_t *backdate = json_object_get(json, "backdate_seconds");
    const json_t *count_stored = json_object_get(json, "count_stored");
    if (retry_after) {
        if (strcmp(retry_after, "seconds") == 0)
            ca->retry_after = RETRY_AFTER_SECONDS;
        else if (strcmp(retry_after, "date") == 0)
            ca->retry_after = RETRY_AFTER_DATE;
        else if (strcmp(retry_after, "absent") == 0 || strcmp(retry_after, "none") == 0)
            ca->retry_after = RETRY_AFTER_ABSENT;
        else {
            *error = "ca.retry_after is none of seconds, date, absent";
            return false;
        }
    }
    if (limit && !configure_limit(limit)) {
        *error = "ca.limit is neither off nor like 5/168h";
        return false;
    }
    if (json_is_boolean(refuse))
        ca->refuse = json_is_true(refuse);
    if (json_is_integer(refuse_seconds))
        ca->refuse_seconds = json_integer_value(refuse_seconds);
    if (json_is_integer(days))
        ca->lifetime_seconds = json_integer_value(days) * 86400;
    if (json_is_integer(seconds))
        ca->lifetime_seconds = json_integer_value(seconds);
    if (json_is_integer(backdate))
        ca->backdate_seconds = json_integer_value(backdate);
    if (json_is_boolean(count_stored))
        ca->count_stored = json_is_true(count_stored);
    configure_text(&ca->fail, json_object_get(json, "fail"));
    configure_text(&ca->invalid, json_object_get(json, "invalid"));
    configure_text(&ca->discard, json_object_get(json, "discard"));
    configure_text(&ca->common_name, json_object_get(json, "common_name"));
    return true;
}

json_t *ca_describe(void)
{
    static const char *const forms[] = {"seconds", "date", "absent"};
    const struct ca *ca = &store.ca;
    char limit[64] = "off";
    if (ca->limited)
        snprintf(limit, sizeof limit, "%lld/%llds", (long long)ca->burst, (long long)ca->window);
    return json_pack("{s:s, s:s, s:b, s:I, s:I, s:I, s:b, s:s?, s:s?, s:s?, s:s?}", "retry_after",
                     forms[ca->retry_after], "limit", limit, "refuse", ca->refuse, "refuse_seconds",
                     (json_int_t)ca->refuse_seconds, "lifetime_seconds",
                     (json_int_t)ca->lifetime_seconds, "backdate_seconds",
                     (json_int_t)ca->backdate_seconds, "count_stored", ca->count_stored, "fail",
                     ca->fail, "invalid", ca->invalid, "discard", ca->discard, "common_name",
                     ca->common_name);
}

/* The bucket as one number: the time at which it would be full again. */
static void use_token(struct san_set *set, int64_t when)
{
    int64_t interval = store.ca.window / store.ca.burst;
    if (set->next_free < when)
        set->next_free = when;
    set->next_free += interval;
}

static int compare_times(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void open_book(const char *key, void *value, void *with)
{
    (void)key;
    struct san_set *set = value;
    const json_t *orders = json_object_get(with, set->key);
    size_t room = set->cert_count + json_array_size(orders);
    int64_t *times = malloc((room + 1) * sizeof *times);
    if (!times)
        abort();
    size_t count = 0;
    for (size_t i = 0; store.ca.count_stored && i < set->cert_count; i++)
        times[count++] = set->certs[i]->not_before;
    size_t i;
    json_t *text;
    json_array_foreach(orders, i, text)
    {
        if (json_is_string(text) && clock_parse(json_string_value(text), &times[count]))
            count++;
    }
    qsort(times, count, sizeof *times, compare_times);
    for (size_t j = 0; j < count; j++)
        use_token(set, times[j]);
    free(times);
}

void ca_open_books(const json_t *orders)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)orders, key, value)
    {
        char *copy = text_copy(key);
        const char *names[CA_MAX_NAMES] = {NULL};
        size_t count = 0;
        char *rest = copy, *name;
        while (count < CA_MAX_NAMES && (name = strsep(&rest, ",")))
            names[count++] = name;
        (void)store_set(names, count);
        free(copy);
    }
    map_each(&store.sets, open_book, (void *)orders);
}

static size_t add_name(char *names[CA_MAX_NAMES], size_t count, char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            free(name);
            return count;
        }
    }
    if (count == CA_MAX_NAMES) {
        free(name);
        return count;
    }
    names[count] = name;
    return count + 1;
}

static char *join(const char *host, const char *domain)
{
    char *name = NULL;
    if (asprintf(&name, "%s.%s", host, domain) < 0)
        abort();
    return name;
}

/* Is the name the domain itself or inside it? */
static bool inside(const char *name, const char *domain)
{
    size_t len = name ? strlen(name) : 0, tail = strlen(domain);
    return len >= tail && strcmp(name + len - tail, domain) == 0 &&
           (len == tail || name[len - tail - 1] == '.');
}

size_t ca_names(const struct domain *domain, char *names[CA_MAX_NAMES])
{
    size_t count = 0;
    const char *key;
    json_t *value;
    if (json_object_size(domain->names)) {
        json_object_foreach(domain->names, key, value)
        {
            count =
                add_name(names, count, strchr(key, '.') ? text_copy(key) : join(key, domain->name));
        }
        return count;
    }
    const struct provider *provider = store_provider(domain->provider_id);
    if (provider && strncmp(provider->challenge, "Dns", 3) == 0) {
        count = add_name(names, count, join("*", domain->name));
        return add_name(names, count, text_copy(domain->name));
    }
    static const char *const technical[] = {"mta-sts", "ua-auto-config", "autoconfig",
                                            "autodiscover"};
    for (size_t i = 0; i < sizeof technical / sizeof *technical; i++)
        count = add_name(names, count, join(technical[i], domain->name));
    const char *host = json_string_value(json_object_get(store.settings, "defaultHostname"));
    if (!host || !*host)
        host = store.hostname;
    if (inside(host, domain->name))
        count = add_name(names, count, text_copy(host));
    static const char *const lists[] = {"mailExchangers", "services"};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        json_object_foreach(json_object_get(store.settings, lists[i]), key, value)
        {
            host = json_string_value(json_object_get(value, "hostname"));
            if (inside(host, domain->name))
                count = add_name(names, count, text_copy(host));
        }
    }
    return count;
}

int64_t ca_order(struct san_set *set, int64_t now)
{
    store.counters.orders++;
    set->orders++;
    if (store.ca.refuse)
        return store.ca.refuse_seconds;
    if (!store.ca.limited)
        return 0;
    int64_t interval = store.ca.window / store.ca.burst;
    int64_t full = set->next_free > now ? set->next_free : now;
    int64_t wait = full + interval - store.ca.burst * interval - now;
    if (wait > 0)
        return wait;
    use_token(set, now);
    return 0;
}
