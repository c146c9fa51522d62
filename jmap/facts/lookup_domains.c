#include "jmap/facts/lookup_parts.h"

#include "jmap/wire/json_text.h"

#include <stdlib.h>
#include <string.h>

json_t *lookup_index(const json_t *list)
{
    json_t *index = json_object(), *object;
    size_t i;

    json_array_foreach(list, i, object)
    {
        const char *id = own_request_string(object, "id");
        if (index && id && !json_object_get(index, id) && json_object_set(index, id, object) != 0) {
            json_decref(index);
            index = NULL;
        }
    }
    return index;
}

static enum challenge_type challenge_of(const json_t *provider)
{
    static const char *const names[] = {
        [CHALLENGE_HTTP01] = "Http01",
        [CHALLENGE_TLS_ALPN01] = "TlsAlpn01",
        [CHALLENGE_DNS01] = "Dns01",
        [CHALLENGE_DNS_PERSIST01] = "DnsPersist01",
    };
    const char *type = own_request_string(provider, "challengeType");

    for (size_t i = 0; type && i < sizeof names / sizeof *names; i++) {
        if (strcmp(type, names[i]) == 0)
            return (enum challenge_type)i;
    }
    return CHALLENGE_HTTP01;
}

static void read_attempts(struct lookup_domain *domain, const json_t *provider)
{
    const json_t *max_retries = json_object_get(provider, "maxRetries");

    for (size_t i = 0; json_is_integer(max_retries) && i < domain->task_count; i++)
        domain->tasks[i].tried =
            renewal_task_tried(&domain->tasks[i], json_integer_value(max_retries));
}

/* Most domains have the same one. */
static uint64_t hash_of_provider(struct lookup *lookup, const json_t *provider)
{
    if (lookup->hashed_provider != provider)
        lookup->provider_hash = json_text_hash(provider);
    lookup->hashed_provider = provider;
    return lookup->provider_hash;
}

void lookup_read_domain(struct lookup *lookup, struct lookup_domain *domain, const json_t *object,
                        const json_t *providers)
{
    const json_t *management = json_object_get(object, "certificateManagement");
    const char *type = own_request_string(management, "@type");
    const char *provider_id = own_request_string(management, "acmeProviderId");
    const json_t *provider = provider_id ? json_object_get(providers, provider_id) : NULL;
    const char *part = own_request_string(provider, "renewBefore");

    domain->name = own_request_string(object, "name");
    domain->renewable = domain->name && type && strcmp(type, "Automatic") == 0 && provider != NULL;
    domain->challenge = challenge_of(provider);
    read_attempts(domain, provider);
    domain->renew_before = RENEW_BEFORE_R23;
    if (part)
        renew_before_parse(part, &domain->renew_before);
    domain->provider_id = own_request_string(provider, "id");
    domain->directory = own_request_string(provider, "directory");
    domain->ca = json_text_hash(json_object_get(provider, "id")) ^
                 json_text_hash(json_object_get(provider, "directory")) * 3;
    domain->settings = json_text_hash(object) ^ hash_of_provider(lookup, provider) * 3;
    domain->configured = json_object_get(management, "subjectAlternativeNames");
    if (domain->renewable && json_object_size(domain->configured) == 0 &&
        (domain->challenge == CHALLENGE_HTTP01 || domain->challenge == CHALLENGE_TLS_ALPN01))
        lookup->needs_hostname |= json_array_size(lookup->hostnames) == 0;
}

bool lookup_add_hostname(struct lookup *lookup, const char *hostname)
{
    return !hostname || !*hostname ||
           json_array_append_new(lookup->hostnames, json_string(hostname)) == 0;
}

/* The names that the server knows itself by; the default one comes first. */
bool lookup_read_settings(struct lookup *lookup, const json_t *settings)
{
    const char *default_hostname = own_request_string(settings, "defaultHostname");
    char own[HOSTNAME_SIZE];

    json_array_clear(lookup->hostnames);
    memory_recall_hostname(lookup->memory, own);
    return lookup_add_hostname(lookup,
                               default_hostname && *default_hostname ? default_hostname : own);
}

bool lookup_read_other_hostnames(struct lookup *lookup, const json_t *settings)
{
    static const char *const kinds[] = {"mailExchangers", "services"};
    const char *key;
    json_t *value;

    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        json_object_foreach(json_object_get(settings, kinds[k]), key, value)
        {
            if (!lookup_add_hostname(lookup, own_request_string(value, "hostname")))
                return false;
        }
    }
    return true;
}

static bool names_of(struct lookup *lookup, struct lookup_domain *domain)
{
    size_t configured = json_object_size(domain->configured), i = 0;
    size_t hostnames = json_array_size(lookup->hostnames);
    const char **texts = calloc(configured + hostnames + 1, sizeof *texts), *key;
    json_t *value;

    if (!texts)
        return false;
    json_object_foreach(domain->configured, key, value)
    {
        texts[i++] = key;
    }
    for (size_t h = 0; h < hostnames; h++)
        texts[i++] = json_string_value(json_array_get(lookup->hostnames, h));

    san_set_clear(&domain->names);
    bool done = san_set_of_domain(&(struct naming_facts){.domain = domain->name,
                                                         .challenge = domain->challenge,
                                                         .configured = texts,
                                                         .configured_count = configured,
                                                         .hostnames = texts + configured,
                                                         .hostname_count = hostnames},
                                  &domain->names);
    free(texts);
    return done;
}

bool lookup_name_domains(struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (lookup->domains[i].renewable && !names_of(lookup, &lookup->domains[i]))
            return false;
    }
    return true;
}
