#include "jmap/facts/lookup_parts.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/facts/certificate.h"
#include "jmap/wire/array.h"

/* What is asked. */

static void append_settings(struct lookup *lookup)
{
    own_request_add(&lookup->request, "x:AcmeProvider/get",
                    json_pack("{s:n, s:[s, s, s, s, s, s]}", "ids", "properties", "challengeType",
                              "renewBefore", "maxRetries", "directory", "contact", "accountUri"),
                    "p");
    own_request_add(&lookup->request, "x:SystemSettings/get",
                    json_pack("{s:[s], s:[s, s, s]}", "ids", "singleton", "properties",
                              "defaultHostname", "mailExchangers", "services"),
                    "s");
}

static bool add_id(json_t *ids, const char *id)
{
    return !id[0] || json_array_append_new(ids, json_string(id)) == 0;
}

static void append_known(struct lookup *lookup)
{
    json_t *ids = json_array(), *tasks = json_array(), *certificates = json_array();
    bool listed = true;

    for (size_t i = lookup->first; i < lookup->last; i++) {
        const struct domain_memory *known = &lookup->domains[i].known;
        listed = add_id(ids, lookup->domains[i].id) && listed;
        for (size_t t = 0; t < MEMORY_TASKS; t++)
            listed = add_id(tasks, known->task_ids[t]) && listed;
        listed = add_id(certificates, known->certificate_id) && listed;
    }
    if (!listed)
        lookup->request.incomplete = true;
    own_request_add(&lookup->request, "x:Task/get", json_pack("{s:o}", "ids", tasks), "k");
    own_request_add(&lookup->request, "x:Domain/get",
                    json_pack("{s:o, s:[s, s, s]}", "ids", ids, "properties", "name",
                              "certificateManagement", "dnsManagement"),
                    "d");
    append_settings(lookup);
    own_request_add(
        &lookup->request, "x:Certificate/get",
        json_pack("{s:o, s:o}", "ids", certificates, "properties", certificate_properties()), "c");
}

static void append_certificate_count(struct lookup *lookup)
{
    own_request_add(&lookup->request, "x:Certificate/query",
                    json_pack("{s:b, s:i}", "calculateTotal", 1, "limit", 1), "n");
}

/*
 * Along with the facts. Only where a renewal may be due does it matter whether one follows a DNS
 * task. With as many domains as are searched for along with them there is no room: then later.
 */
static bool wants_dns_tasks(const struct lookup *lookup)
{
    for (size_t i = 0; lookup->count != CERTIFICATES_PREFETCHED && i < lookup->count; i++) {
        const struct lookup_domain *domain = &lookup->domains[i];
        if (domain->with_dns_tasks && !wall_time_before(domain->asked, domain->known.renewal_due))
            return true;
    }
    return false;
}

static size_t known_tasks(const struct lookup_domain *domain)
{
    size_t count = 0;

    for (size_t t = 0; t < MEMORY_TASKS; t++)
        count += domain->known.task_ids[t][0] != '\0';
    return count;
}

/* Where those end of which neither ids nor known tasks are too many for a call. One goes always. */
static size_t end_of_lot(const struct lookup *lookup)
{
    size_t most = lookup_at_most(lookup, OWN_REQUEST_IDS), tasks = 0, last = lookup->first;

    for (; last < lookup->count; last++) {
        size_t count = last - lookup->first;
        tasks += known_tasks(&lookup->domains[last]);
        if (count > 0 && (count == most || tasks > most))
            break;
    }
    return last;
}

void lookup_write_facts(struct lookup *lookup)
{
    lookup->last = end_of_lot(lookup);
    own_request_begin(&lookup->request);
    if (lookup->first == 0) {
        lookup->dns_tasks_read = wants_dns_tasks(lookup);
        if (lookup->dns_tasks_read)
            lookup_append_dns_tasks(lookup);
        lookup_append_first_tasks(lookup);
        lookup_append_failed_tasks(lookup);
        if (lookup->count > CERTIFICATE_SEARCHES)
            append_certificate_count(lookup);
    }
    lookup->first_lists = own_request_count(&lookup->request);
    append_known(lookup);
    /* With so few domains there is room for what the next request would ask for. */
    if (lookup->count <= CERTIFICATES_PREFETCHED)
        certificate_search_prefetch(&lookup->search, lookup->domains, lookup->count,
                                    &lookup->request);
}

/* What is read of the answer. */

static void note_certificate_count(struct lookup *lookup)
{
    const json_t *total = json_object_get(own_request_answer(&lookup->request, "n"), "total");

    if (json_is_integer(total) && json_integer_value(total) >= 0)
        lookup->search.stored = (size_t)json_integer_value(total);
}

static bool read_domains(struct lookup *lookup, const json_t *providers)
{
    json_t *known = lookup_index(own_request_list(&lookup->request, "d"));
    json_t *known_providers = lookup_index(providers);
    bool done = known && known_providers;

    for (size_t i = lookup->first; done && i < lookup->last; i++) {
        struct lookup_domain *domain = &lookup->domains[i];
        lookup_read_domain(lookup, domain, json_object_get(known, domain->id), known_providers);
    }
    json_decref(known);
    json_decref(known_providers);
    return done;
}

/* Room for one more of the remembered certificates that were read; NULL when memory runs out. */
static struct certificate *next_known(struct lookup *lookup)
{
    struct certificate *known =
        array_grow(lookup->known_certificates, lookup->known_count, sizeof *known);

    if (!known)
        return NULL;
    lookup->known_certificates = known;
    return &known[lookup->known_count];
}

/* What was prefetched is of the same kind, but is to stay with whom it was searched for. */
const char *lookup_set_certificate_aside(struct lookup *lookup, const char *element,
                                         const char *end)
{
    bool known = lookup->stage == STAGE_FACTS && lookup->search.prefetched_count == 0;
    struct certificate *certificate = known ? next_known(lookup) : NULL;
    const char *behind = certificate ? certificate_read_text(element, end, certificate) : NULL;

    lookup->known_count += behind != NULL;
    return behind;
}

static bool read_known_certificates(struct lookup *lookup)
{
    size_t i;
    json_t *object;

    json_array_foreach(own_request_list(&lookup->request, "c"), i, object)
    {
        struct certificate *certificate = next_known(lookup);
        if (!certificate || !certificate_read(object, certificate))
            return false;
        lookup->known_count++;
    }
    return true;
}

static bool read_first_facts(struct lookup *lookup, const json_t *settings)
{
    if (!lookup_add_plain_tasks(lookup, 0, lookup->plain_first) || !lookup_add_tasks(lookup, "T") ||
        !lookup_add_tasks(lookup, "L") || !lookup_add_tasks(lookup, "F"))
        return false;
    lookup_note_first_pages(lookup);
    lookup_read_dns_tasks(lookup, "M");
    note_certificate_count(lookup);
    return lookup_read_settings(lookup, settings);
}

bool lookup_read_facts(struct lookup *lookup)
{
    const json_t *providers = own_request_list(&lookup->request, "p");
    const json_t *settings = json_array_get(own_request_list(&lookup->request, "s"), 0);

    lookup->only_provider = json_array_size(providers) == 1
                                ? own_request_string(json_array_get(providers, 0), "id")
                                : NULL;
    if ((lookup->first == 0 && !read_first_facts(lookup, settings)) ||
        !lookup_add_plain_tasks(lookup, lookup->plain_first, lookup->plain_count))
        return false;
    lookup_read_dns_tasks(lookup, "k");
    return lookup_add_tasks(lookup, "k") && read_known_certificates(lookup) &&
           read_domains(lookup, providers) &&
           (lookup->last < lookup->count || lookup_read_other_hostnames(lookup, settings));
}

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct certificate *)a)->id, ((const struct certificate *)b)->id);
}

static int known_compare(const void *id, const void *certificate)
{
    return strcmp(id, ((const struct certificate *)certificate)->id);
}

bool lookup_add_known_certificates(struct lookup *lookup)
{
    bool done = true;

    if (lookup->known_count == 0)
        return true;
    qsort(lookup->known_certificates, lookup->known_count, sizeof *lookup->known_certificates,
          by_id);
    for (size_t i = 0; done && i < lookup->count; i++) {
        struct lookup_domain *domain = &lookup->domains[i];
        const struct certificate *certificate =
            bsearch(domain->known.certificate_id, lookup->known_certificates, lookup->known_count,
                    sizeof *lookup->known_certificates, known_compare);
        if (certificate && domain->names.count > 0)
            done = certificate_add(domain, certificate);
    }
    return done;
}
