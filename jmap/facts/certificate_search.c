#include "jmap/facts/certificate_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/array.h"
#include "jmap/wire/json_list.h"

enum {
    SINCE_COUNTED = 500,    /* some may be stored while they are read */
    NEIGHBOURS_MAX = 10000, /* the newest that share a domain's words */
    GETS = 16,              /* calls a request */
    CALL_ID_SIZE = 32,
};

/* What is found. */

/* The first of the wanted domains whose names do not sort before these. */
static size_t first_with(const struct certificate_search *search, const struct san_set *names)
{
    size_t low = 0, high = search->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (san_set_compare(&search->wanted[middle].domain->names, names) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void remember(const struct certificate_search *search, const struct certificate *certificate)
{
    struct indexed_certificate seen = {.begins = certificate->begins, .ends = certificate->ends};

    memcpy(seen.id, certificate->id, sizeof seen.id);
    if (seen.id[0])
        memory_note_certificate(search->memory, &certificate->names, &seen);
}

/* Gives a certificate to each domain that has its names. */
static bool hand_out(struct certificate_search *search, const struct certificate *certificate)
{
    bool done = true;

    remember(search, certificate);
    for (size_t i = first_with(search, &certificate->names); done && i < search->count; i++) {
        struct lookup_domain *domain = search->wanted[i].domain;
        if (san_set_compare(&domain->names, &certificate->names) != 0)
            break;
        done = certificate_note(domain, certificate);
    }
    return done;
}

static bool hand_out_one(void *search, json_t *object)
{
    struct certificate certificate;

    if (!certificate_read(object, &certificate))
        return false;
    bool done = hand_out(search, &certificate);
    certificate_clear(&certificate);
    return done;
}

/* What is set aside. */

static void forget_aside(struct certificate_search *search)
{
    while (search->aside_count > 0)
        certificate_clear(&search->aside[--search->aside_count]);
}

/* NULL, so that it is parsed, where memory runs out, too. */
static const char *set_one_aside(void *user, size_t lists, const char *element, const char *end)
{
    struct certificate_search *search = user;
    struct certificate *aside = array_grow(search->aside, search->aside_count, sizeof *aside);

    (void)lists;
    if (!aside)
        return NULL;
    search->aside = aside;
    const char *behind = certificate_read_text(element, end, &aside[search->aside_count]);
    search->aside_count += behind != NULL;
    return behind;
}

char *certificate_search_set_aside(struct certificate_search *search, const char *body, size_t len,
                                   size_t *left_len)
{
    forget_aside(search);
    if (search->way == SEARCH_BY_NAME)
        return NULL;
    char *left = json_list_pick(body, len, set_one_aside, search, left_len);
    if (!left)
        forget_aside(search);
    return left;
}

static bool hand_out_aside(struct certificate_search *search)
{
    bool done = true;

    for (size_t i = 0; done && i < search->aside_count; i++)
        done = hand_out(search, &search->aside[i]);
    forget_aside(search);
    return done;
}

/* What is asked for. */

/*
 * With a limit alone the server cuts before it turns the list round, and the newest are lost; where
 * it must count them all it turns first.
 */
static json_t *query_arguments(const char *name, size_t position, size_t limit)
{
    json_t *filter = name ? json_pack("{s:s}", "subjectAlternativeNames", name) : NULL;

    if (name && !filter)
        return NULL;
    return json_pack("{s:o*, s:b, s:I, s:I}", "filter", filter, "calculateTotal", 1, "position",
                     (json_int_t)position, "limit", (json_int_t)limit);
}

static json_t *list_arguments(size_t position, size_t limit)
{
    return query_arguments(NULL, position, limit);
}

static const struct listing_kind certificates = {
    .query = "x:Certificate/query",
    .get = "x:Certificate/get",
    .arguments = list_arguments,
    .properties = certificate_properties,
};

/* The word search finds every certificate that has the word, so ask for the rarest: the longest. */
const char *certificate_search_name(const struct san_set *names)
{
    const char *longest = "";
    size_t most = 0;

    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        if (strncmp(name, "*.", 2) == 0)
            name += 2;
        size_t len = strlen(name);
        if (len > most)
            longest = name, most = len;
    }
    return longest;
}

static void add_search(const struct certificate_search *search, struct own_request *request,
                       size_t n, const char *name, size_t position)
{
    char query_id[CALL_ID_SIZE], get_id[CALL_ID_SIZE];

    snprintf(query_id, sizeof query_id, "q%zu", n);
    snprintf(get_id, sizeof get_id, "g%zu", n);
    own_request_add(request, "x:Certificate/query", query_arguments(name, position, search->a_call),
                    query_id);
    own_request_add_found(request, "x:Certificate/get", "x:Certificate/query", query_id,
                          certificate_properties(), get_id);
}

static json_t *page_of(const struct certificate_search *search, const struct own_request *request,
                       size_t n, size_t *listed, bool *full)
{
    char query_id[CALL_ID_SIZE], get_id[CALL_ID_SIZE];

    snprintf(query_id, sizeof query_id, "q%zu", n);
    snprintf(get_id, sizeof get_id, "g%zu", n);
    const json_t *answer = own_request_answer(request, query_id);
    *listed = json_array_size(json_object_get(answer, "ids"));
    *full = own_request_goes_on(answer, search->a_call);
    return own_request_list(request, get_id);
}

/* To no other domain: these move about. */
static bool add_found(struct certificate_search *search, struct lookup_domain *domain,
                      const json_t *object)
{
    struct certificate certificate;

    if (!certificate_read(object, &certificate))
        return false;
    remember(search, &certificate);
    bool done = certificate_add(domain, &certificate);
    certificate_clear(&certificate);
    return done;
}

static bool read_found(struct certificate_search *search, struct certificate_wanted *wanted,
                       const json_t *page, size_t listed)
{
    for (size_t i = 0; i < json_array_size(page); i++) {
        if (!add_found(search, wanted->domain, json_array_get(page, i)))
            return false;
    }
    wanted->position += listed;
    return true;
}

/* Prefetched. */

static bool is_prefetched(const struct lookup_domain *domain)
{
    const struct domain_memory *known = &domain->known;

    return known->search_name[0] && !wall_time_before(domain->asked, known->renewal_due);
}

void certificate_search_prefetch(struct certificate_search *search, struct lookup_domain *domains,
                                 size_t count, struct own_request *request)
{
    for (size_t i = 0; i < count && search->prefetched_count < CERTIFICATES_PREFETCHED; i++) {
        if (!is_prefetched(&domains[i]))
            continue;
        add_search(search, request, search->prefetched_count, domains[i].known.search_name, 0);
        search->prefetched[search->prefetched_count++].domain = &domains[i];
    }
}

void certificate_search_read_prefetched(struct certificate_search *search,
                                        const struct own_request *request)
{
    for (size_t i = 0; i < search->prefetched_count; i++) {
        struct certificate_prefetched *prefetched = &search->prefetched[i];
        prefetched->page =
            json_incref(page_of(search, request, i, &prefetched->listed, &prefetched->full));
    }
}

void certificate_search_forget_prefetched(struct certificate_search *search)
{
    for (size_t i = 0; i < search->prefetched_count; i++)
        json_decref(search->prefetched[i].page);
    search->prefetched_count = 0;
}

/* What was prefetched of a domain, if it has the names still that it was searched for by. */
static const struct certificate_prefetched *prefetched_of(const struct certificate_search *search,
                                                          const struct lookup_domain *domain)
{
    for (size_t i = 0; i < search->prefetched_count; i++) {
        if (search->prefetched[i].domain == domain &&
            strcmp(domain->known.search_name, certificate_search_name(&domain->names)) == 0)
            return &search->prefetched[i];
    }
    return NULL;
}

/* What is wanted. */

static int by_names(const void *a, const void *b)
{
    const struct certificate_wanted *x = a, *y = b;

    return san_set_compare(&x->domain->names, &y->domain->names);
}

/*
 * One that ought to be fresh, by what was seen of it. The one that is remembered as the domain's
 * own has been read with the facts already, and is not.
 */
static void recall(const struct certificate_search *search, struct certificate_wanted *wanted)
{
    const struct lookup_domain *domain = wanted->domain;
    struct indexed_certificate seen;

    if (domain->every_certificate ||
        !memory_recall_certificate(search->memory, &domain->names, &seen))
        return;
    if (strcmp(seen.id, domain->known.certificate_id) == 0)
        memory_forget_certificate(search->memory, &domain->names, seen.id);
    else if (wall_time_before(domain->asked, due_at(seen.begins, seen.ends, domain->renew_before)))
        memcpy(wanted->id, seen.id, sizeof wanted->id);
}

static struct certificate_wanted *want(struct certificate_search *search,
                                       struct lookup_domain *domain)
{
    struct certificate_wanted *wanted = &search->wanted[search->count++];

    domain->stored_count = 0;
    json_object_clear(domain->noted);
    domain->certificate_id[0] = '\0';
    domain->renewal_due = WALL_TIME_NEVER;
    *wanted = (struct certificate_wanted){.domain = domain};
    return wanted;
}

/* Wants a domain's certificates, unless they are all there. False when memory runs out. */
static bool want_what_is_left(struct certificate_search *search, struct lookup_domain *domain)
{
    const struct certificate_prefetched *prefetched = prefetched_of(search, domain);
    struct certificate_wanted *wanted = want(search, domain);

    if (!prefetched) {
        recall(search, wanted);
        return true;
    }
    if (!prefetched->full)
        search->count--;
    return read_found(search, wanted, prefetched->page, prefetched->listed);
}

static size_t requests_for(size_t amount, size_t a_request)
{
    return amount / a_request + (amount % a_request != 0);
}

static bool choose(struct certificate_search *search)
{
    bool counted = search->stored != CERTIFICATES_UNCOUNTED;

    search->first = 0;
    search->way = SEARCH_BY_NAME;
    if (!counted || listing_requests(search->stored, search->a_call) >=
                        requests_for(search->count, CERTIFICATE_SEARCHES))
        return true;
    search->way = SEARCH_LIST;
    return listing_begin(&search->listing, &certificates, 0, search->stored + SINCE_COUNTED,
                         search->a_call);
}

bool certificate_search_begin(struct certificate_search *search, struct lookup_domain *domains,
                              size_t count, bool (*needed)(const struct lookup_domain *domain))
{
    free(search->wanted);
    search->wanted = calloc(count + 1, sizeof *search->wanted);
    search->needed = needed;
    search->count = search->first = search->last = 0;
    search->way = SEARCH_BY_ID;
    if (!search->wanted)
        return false;
    for (size_t i = 0; i < count; i++) {
        if (needed(&domains[i]) && !want_what_is_left(search, &domains[i]))
            return false;
    }
    certificate_search_forget_prefetched(search);
    qsort(search->wanted, search->count, sizeof *search->wanted, by_names);
    return true;
}

void certificate_search_lower(struct certificate_search *search, size_t a_call)
{
    search->a_call = search->listing.a_call = a_call;
}

void certificate_search_end(struct certificate_search *search)
{
    certificate_search_forget_prefetched(search);
    free(search->wanted);
    forget_aside(search);
    free(search->aside);
    listing_clear(&search->listing);
    *search = (struct certificate_search){0};
}

/* By id. */

static json_t *next_ids(struct certificate_search *search)
{
    json_t *ids = json_array();

    for (; ids && search->last < search->count && json_array_size(ids) < search->a_call;
         search->last++) {
        const char *id = search->wanted[search->last].id;
        if (id[0] && json_array_append_new(ids, json_string(id)) != 0) {
            json_decref(ids);
            return NULL;
        }
    }
    return ids;
}

static void write_gets(struct certificate_search *search, struct own_request *request)
{
    search->last = search->first;
    for (size_t n = 0; n < GETS && search->last < search->count; n++) {
        char call_id[CALL_ID_SIZE];
        json_t *ids = next_ids(search);
        if (ids && json_array_size(ids) == 0) {
            json_decref(ids);
            break;
        }
        snprintf(call_id, sizeof call_id, "g%zu", n);
        own_request_add(request, "x:Certificate/get",
                        json_pack("{s:o, s:o}", "ids", ids, "properties", certificate_properties()),
                        call_id);
    }
}

static bool read_gets(struct certificate_search *search, const struct own_request *request)
{
    for (size_t n = 0; n < GETS; n++) {
        char call_id[CALL_ID_SIZE];
        snprintf(call_id, sizeof call_id, "g%zu", n);
        const json_t *list = own_request_list(request, call_id);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (!hand_out_one(search, json_array_get(list, i)))
                return false;
        }
    }
    search->first = search->last;
    return true;
}

/* What was remembered of these was wrong, or nothing was: they are searched for. */
static bool search_for_the_rest(struct certificate_search *search)
{
    size_t count = search->count;

    search->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct certificate_wanted wanted = search->wanted[i];
        if (!search->needed(wanted.domain))
            continue;
        if (wanted.id[0])
            memory_forget_certificate(search->memory, &wanted.domain->names, wanted.id);
        if (wanted.position > 0)
            search->wanted[search->count++] = wanted;
        else
            want(search, wanted.domain);
    }
    return choose(search);
}

/* By name, and all of them. */

static void write_searches(struct certificate_search *search, struct own_request *request)
{
    search->last = search->first;
    for (size_t n = 0; n < CERTIFICATE_SEARCHES && search->last < search->count; n++) {
        const struct certificate_wanted *wanted = &search->wanted[search->last++];
        add_search(search, request, n, certificate_search_name(&wanted->domain->names),
                   wanted->position);
    }
}

static bool read_searches(struct certificate_search *search, const struct own_request *request)
{
    /* Those with more pages move up to those that have not been asked for. */
    size_t next = search->last;

    for (size_t i = search->last; i-- > search->first;) {
        size_t listed;
        bool full;
        const json_t *page = page_of(search, request, i - search->first, &listed, &full);
        if (!read_found(search, &search->wanted[i], page, listed))
            return false;
        if (full && search->wanted[i].position < NEIGHBOURS_MAX)
            search->wanted[--next] = search->wanted[i];
    }
    search->first = next;
    return true;
}

/* From request to request. */

bool certificate_search_write(struct certificate_search *search, struct own_request *request)
{
    if (search->way == SEARCH_BY_ID) {
        write_gets(search, request);
        if (own_request_count(request) > 0 || request->incomplete)
            return true;
        if (!search_for_the_rest(search))
            return false;
    }
    if (search->way == SEARCH_LIST)
        listing_write(&search->listing, request);
    else
        write_searches(search, request);
    return true;
}

bool certificate_search_read(struct certificate_search *search, const struct own_request *request)
{
    if (!hand_out_aside(search))
        return false;
    switch (search->way) {
    case SEARCH_BY_ID:
        return read_gets(search, request);
    case SEARCH_BY_NAME:
        return read_searches(search, request);
    case SEARCH_LIST:
        return listing_read(&search->listing, request, hand_out_one, search);
    }
    return false;
}
