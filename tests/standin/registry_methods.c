/* The registry's objects other than tasks. */
#include "tests/standin/api.h"
#include "tests/standin/ca.h"
#include "tests/standin/clock.h"
#include "tests/standin/ids.h"
#include "tests/standin/patch.h"
#include "tests/standin/render.h"
#include "tests/standin/runner.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *find_domain(uint64_t id, bool with_everything)
{
    (void)with_everything;
    const struct domain *domain = store_domain(id);
    return domain ? render_domain(domain) : NULL;
}

json_t *domain_get(struct api_call *call)
{
    return api_get(call, find_domain, &store.domains_by_id);
}

static json_t *find_provider(uint64_t id, bool with_everything)
{
    (void)with_everything;
    const struct provider *provider = store_provider(id);
    return provider ? render_provider(provider) : NULL;
}

json_t *provider_get(struct api_call *call)
{
    return api_get(call, find_provider, &store.providers_by_id);
}

static json_t *find_cert(uint64_t id, bool with_everything)
{
    const struct cert *cert = store_cert(id);
    return cert ? render_cert(cert, with_everything) : NULL;
}

json_t *certificate_get(struct api_call *call)
{
    return api_get(call, find_cert, &store.certs_by_id);
}

/* Who names no ids gets none of these. */
static json_t *copy_singleton(uint64_t id, const json_t *object)
{
    if (id != ID_SINGLETON)
        return NULL;
    json_t *copy = json_deep_copy(object);
    json_object_set_new(copy, "id", json_string("singleton"));
    return copy;
}

static json_t *find_settings(uint64_t id, bool with_everything)
{
    (void)with_everything;
    return copy_singleton(id, store.settings);
}

json_t *settings_get(struct api_call *call)
{
    return api_get(call, find_settings, NULL);
}

static json_t *find_http(uint64_t id, bool with_everything)
{
    (void)with_everything;
    return copy_singleton(id, store.http);
}

json_t *http_get(struct api_call *call)
{
    return api_get(call, find_http, NULL);
}

/* One node, which renewed its lease just now. */
static json_t *find_node(uint64_t id, bool with_everything)
{
    (void)with_everything;
    if (id != 0)
        return NULL;
    return json_pack("{s:i, s:s, s:o, s:s, s:o}", "nodeId", 0, "hostname", store.hostname,
                     "lastRenewal", render_time(clock_now()), "status", "active", "id",
                     render_id(id));
}

json_t *node_get(struct api_call *call)
{
    if (!json_array_size(json_object_get(call->args, "ids")))
        json_object_set_new(call->args, "ids", json_pack("[o]", render_id(0)));
    return api_get(call, find_node, NULL);
}

/* Queries */

struct matches {
    const char *text; /* of subjectAlternativeNames, or of name and description */
    const char *name;
};

/* After an anchor that is among what is found; nothing comes after another. */
static size_t after_anchor(const uint64_t *ids, size_t count, uint64_t anchor)
{
    for (size_t i = 0; i < count; i++)
        if (ids[i] == anchor)
            return i + 1;
    return count;
}

/* What is found, ids ascending, cut the way the registry cuts it: before it is turned round. */
static json_t *answer_query(struct api_call *call, const uint64_t *ids, size_t count)
{
    struct paging paging;
    struct paged paged;
    bool ascending;
    const char *sort = api_sort(call, &ascending);
    if (json_array_size(json_object_get(call->args, "sort")) && strcmp(sort, "id") != 0 &&
        strcmp(sort, "name") != 0) {
        char text[192];
        snprintf(text, sizeof text, "Property %.100s is not supported for sorting", sort);
        return api_fail(call, "unsupportedSort", text);
    }
    paging_read(call->args, &paging);
    size_t start = 0, end = count;
    if (!paging.calculate_total && paging.offset == 0 &&
        (!paging.has_position || paging.position > 0)) {
        size_t limit = paging.has_limit && paging.limit < store.query_max ? (size_t)paging.limit
                                                                          : store.query_max;
        if (paging.has_anchor)
            start = after_anchor(ids, count, paging.anchor);
        else
            start = (size_t)paging.position < count ? (size_t)paging.position : count;
        /* A limit of nothing is noticed only after the first. */
        if (end - start > (limit ? limit : 1))
            end = start + (limit ? limit : 1);
        paging = (struct paging){0};
    }
    paged_start(&paged, call, &paging, (json_int_t)(end - start));
    for (size_t i = 0; i < end - start; i++)
        if (!paged_add(&paged, ascending ? ids[start + i] : ids[end - 1 - i]))
            break;
    return paged_finish(&paged, call);
}

static json_t *answer_all(struct api_call *call, const struct ordered *all,
                          bool (*fits)(const void *object, const void *with), const void *with)
{
    uint64_t *ids = malloc((all->count + 1) * sizeof *ids);
    size_t count = 0;
    if (!ids)
        abort();
    for (struct ordered_node *node = all->head[0]; node; node = node->next[0])
        if (!fits || fits(node->value, with))
            ids[count++] = node->id;
    json_t *response = answer_query(call, ids, count);
    free(ids);
    return response;
}

static bool narrow_certs(const char *property, const char *op, const json_t *value, void *with)
{
    struct matches *matches = with;
    (void)op;
    if (strcmp(property, "subjectAlternativeNames") != 0 || !json_is_string(value))
        return false;
    matches->text = json_string_value(value);
    return true;
}

json_t *certificate_query(struct api_call *call)
{
    struct matches matches = {0};
    if (!api_filter(call, narrow_certs, &matches))
        return NULL;
    if (!matches.text)
        return answer_all(call, &store.certs_by_id, NULL, NULL);
    size_t count;
    uint64_t *ids = store_cert_search(matches.text, &count);
    json_t *response = answer_query(call, ids, count);
    free(ids);
    return response;
}

static bool narrow_domains(const char *property, const char *op, const json_t *value, void *with)
{
    struct matches *matches = with;
    if (!json_is_string(value) || *op)
        return false;
    if (strcmp(property, "name") == 0)
        matches->name = json_string_value(value);
    else if (strcmp(property, "text") == 0)
        matches->text = json_string_value(value);
    else
        return false;
    return true;
}

static bool domain_has_text(const void *object, const void *with)
{
    const struct domain *domain = object;
    return strstr(domain->name, with) != NULL;
}

json_t *domain_query(struct api_call *call)
{
    struct matches matches = {0};
    if (!api_filter(call, narrow_domains, &matches))
        return NULL;
    if (matches.name) {
        const struct domain *domain = store_domain_by_name(matches.name);
        uint64_t id = domain ? domain->id : 0;
        return answer_query(call, &id, domain ? 1 : 0);
    }
    return answer_all(call, &store.domains_by_id, matches.text ? domain_has_text : NULL,
                      matches.text);
}

static bool narrow_nothing(const char *property, const char *op, const json_t *value, void *with)
{
    (void)op;
    (void)with;
    return strcmp(property, "text") == 0 && json_is_string(value);
}

json_t *provider_query(struct api_call *call)
{
    if (!api_filter(call, narrow_nothing, NULL))
        return NULL;
    return answer_all(call, &store.providers_by_id, NULL, NULL);
}

/* Domain/set */

/* A domain while it is being written: nothing of the stored one is shared. */
static struct domain draft_of(const struct domain *domain)
{
    if (!domain)
        return (struct domain){
            .created_at = clock_now(), .names = json_object(), .others = json_object()};
    struct domain draft = *domain;
    draft.name = text_copy(domain->name);
    draft.names = json_deep_copy(domain->names);
    draft.others = json_deep_copy(domain->others);
    return draft;
}

static void draft_clear(struct domain *draft)
{
    free(draft->name);
    json_decref(draft->names);
    json_decref(draft->others);
}

static bool patch_management_member(struct domain *draft, const char *member, const json_t *value,
                                    const char *path, struct patch_error *error)
{
    static const char set[] = "subjectAlternativeNames";
    if (strcmp(member, "@type") == 0)
        return true;
    if (!draft->automatic)
        return patch_failed(error, path, "Invalid property");
    if (strcmp(member, "acmeProviderId") == 0)
        return patch_id(&draft->provider_id, value, path, error);
    if (strcmp(member, set) == 0)
        return patch_names(&draft->names, value, path, error);
    if (strncmp(member, set, sizeof set - 1) == 0 && member[sizeof set - 1] == '/') {
        if (json_is_true(value))
            json_object_set_new(draft->names, member + sizeof set, json_true());
        else
            json_object_del(draft->names, member + sizeof set);
        return true;
    }
    return patch_failed(error, path, "Invalid property");
}

static bool patch_management(struct domain *draft, const json_t *value, const char *path,
                             struct patch_error *error)
{
    const char *type = json_string_value(json_object_get(value, "@type"));
    const char *key;
    json_t *member;
    if (!type || (strcmp(type, "Automatic") != 0 && strcmp(type, "Manual") != 0))
        return patch_failed(error, path, "Missing or invalid '@type' property in object");
    draft->automatic = strcmp(type, "Automatic") == 0;
    draft->provider_id = ID_NONE;
    json_object_clear(draft->names);
    json_object_foreach((json_t *)value, key, member)
    {
        char inner[256];
        snprintf(inner, sizeof inner, "%s/%s", path, key);
        if (!patch_management_member(draft, key, member, inner, error))
            return false;
    }
    return true;
}

static bool patch_domain(struct domain *draft, const char *key, const json_t *value, bool is_new,
                         struct patch_error *error)
{
    static const char management[] = "certificateManagement";
    if (strcmp(key, "@type") == 0)
        return true;
    if (strcmp(key, "name") == 0) {
        if (!json_is_string(value) || !json_string_length(value))
            return patch_failed(error, key, "Invalid value for property.");
        free(draft->name);
        draft->name = text_copy(json_string_value(value));
        for (char *p = draft->name; *p; p++)
            *p = (char)tolower((unsigned char)*p);
        return true;
    }
    if (strcmp(key, "createdAt") == 0 || strcmp(key, "dnsZoneFile") == 0)
        return patch_failed(error, key, "Cannot modify server set property");
    if (strcmp(key, management) == 0)
        return patch_management(draft, value, key, error);
    if (strncmp(key, management, sizeof management - 1) == 0 && key[sizeof management - 1] == '/')
        return patch_management_member(draft, key + sizeof management, value, key, error);
    if (!is_property(key) || strcmp(key, "id") == 0)
        return patch_failed(error, is_new && !is_property(key) ? "" : key,
                            is_new && !is_property(key) ? "Invalid key for object"
                                                        : "Invalid property");
    json_object_set(draft->others, key, (json_t *)value);
    return true;
}

static const char *management_type(const json_t *others, const char *key, const char *otherwise)
{
    const char *type = json_string_value(json_object_get(json_object_get(others, key), "@type"));
    return type ? type : otherwise;
}

static json_t *object_error(const char *type, const char *object, uint64_t id)
{
    json_t *error = api_error(type, NULL);
    json_object_set_new(error, "objectId",
                        json_pack("{s:s, s:o}", "object", object, "id", render_id(id)));
    return error;
}

static json_t *validate_domain(const struct domain *draft, const struct domain *old)
{
    const struct domain *namesake = draft->name ? store_domain_by_name(draft->name) : NULL;
    if (!draft->name) {
        json_t *error = api_error("validationFailed", NULL);
        json_object_set_new(error, "validationErrors",
                            json_pack("[{s:s, s:s}]", "type", "Required", "property", "name"));
        return error;
    }
    if (namesake && namesake != old) {
        json_t *error = object_error("primaryKeyViolation", "Domain", namesake->id);
        json_object_set_new(error, "properties", json_pack("[s]", "name"));
        return error;
    }
    const struct provider *provider = store_provider(draft->provider_id);
    if (!draft->automatic || (old && old->automatic && provider))
        return NULL;
    if (!provider)
        return old && old->automatic
                   ? object_error("invalidForeignKey", "AcmeProvider", draft->provider_id)
                   : set_error("invalidProperties", "ACME provider not found", "acmeProviderId");
    if (strcmp(provider->challenge, "Dns01") == 0 &&
        strcmp(management_type(draft->others, "dnsManagement", "Manual"), "Automatic") != 0)
        return set_error("invalidProperties", "ACME provider requires automatic DNS management",
                         "acmeProviderId");
    return NULL;
}

/* What a change of a domain puts into the queue. */
static void schedule(const struct domain *domain, bool was_automatic, bool had_dns, bool had_dkim,
                     bool is_new)
{
    int64_t now = clock_now();
    bool dns = strcmp(management_type(domain->others, "dnsManagement", "Manual"), "Automatic") == 0;
    bool dkim =
        strcmp(management_type(domain->others, "dkimManagement", "Automatic"), "Automatic") == 0;
    bool after_dns = false;
    if (dns && !had_dns) {
        after_dns = is_new && domain->automatic;
        struct task *task = store_task_schedule(TASK_DNS_MANAGEMENT, domain->id, now);
        task->renew_on_success = after_dns;
        task->update_records = json_object();
    }
    if (dkim && !had_dkim)
        store_task_schedule(TASK_DKIM_MANAGEMENT, domain->id, now);
    if (!after_dns && domain->automatic && !was_automatic)
        store_task_schedule(TASK_ACME_RENEWAL, domain->id, now);
}

static json_t *write_domain(struct domain *old, const json_t *value, uint64_t *id)
{
    struct domain draft = draft_of(old);
    struct patch_error wrong;
    const char *key;
    json_t *member, *error = NULL;
    if (!old && !json_is_object(value))
        error = set_error("invalidPatch", "Invalid value type for object", "");
    json_object_foreach((json_t *)value, key, member)
    {
        if (!error && !patch_domain(&draft, key, member, !old, &wrong))
            error = set_error("invalidPatch", wrong.message, wrong.path);
    }
    if (!error)
        error = validate_domain(&draft, old);
    if (error) {
        draft_clear(&draft);
        return error;
    }
    bool was_automatic = old && old->automatic;
    bool had_dns =
        old && strcmp(management_type(old->others, "dnsManagement", "Manual"), "Automatic") == 0;
    bool had_dkim = old && strcmp(management_type(old->others, "dkimManagement", "Automatic"),
                                  "Automatic") == 0;
    bool is_new = !old;
    if (old)
        store_domain_remove(old);
    struct domain *domain = store_domain_add(&draft);
    *id = domain->id;
    schedule(domain, was_automatic, had_dns, had_dkim, is_new);
    return NULL;
}

json_t *domain_set(struct api_call *call)
{
    json_t *created = json_object(), *updated = json_object(), *destroyed = json_array();
    json_t *not_created = json_object(), *not_updated = json_object(),
           *not_destroyed = json_object();
    const char *key;
    json_t *value, *error;
    uint64_t id;
    char text[ID_TEXT];
    size_t i;
    json_object_foreach(json_object_get(call->args, "create"), key, value)
    {
        if ((error = write_domain(NULL, value, &id)))
            json_object_set_new(not_created, key, error);
        else
            json_object_set_new(created, key, json_pack("{s:o}", "id", render_id(id)));
    }
    json_object_foreach(json_object_get(call->args, "update"), key, value)
    {
        if (!id_parse(key, &id))
            continue;
        struct domain *domain = store_domain(id);
        id_format(id, text);
        error = domain ? write_domain(domain, value, &id) : api_error("notFound", NULL);
        if (error)
            json_object_set_new(not_updated, text, error);
        else
            json_object_set_new(updated, text, json_null());
    }
    json_array_foreach(json_object_get(call->args, "destroy"), i, value)
    {
        if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
            continue;
        struct domain *domain = store_domain(id);
        id_format(id, text);
        if (domain) {
            store_domain_remove(domain);
            json_array_append_new(destroyed, json_string(text));
        } else {
            json_object_set_new(not_destroyed, text, api_error("notFound", NULL));
        }
    }
    json_t *response = api_response(call);
    put_unless_empty(response, "created", created);
    put_unless_empty(response, "updated", updated);
    put_unless_empty(response, "destroyed", destroyed);
    put_unless_empty(response, "notCreated", not_created);
    put_unless_empty(response, "notUpdated", not_updated);
    put_unless_empty(response, "notDestroyed", not_destroyed);
    runner_dispatch();
    return response;
}
