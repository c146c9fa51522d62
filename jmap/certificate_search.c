#include "jmap/certificate_search.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 500,           /* what a get gives at most */
    PAGES_OF_A_NAME = 20, /* the newest 10,000 that share a domain's words */
    CALL_ID_SIZE = 16,
};

json_t *certificate_properties(void)
{
    return json_pack("[s, s, s]", "notValidBefore", "notValidAfter", "subjectAlternativeNames");
}

/* What is found. */

static bool read_names(const json_t *certificate, struct san_set *names)
{
    const char *name;
    json_t *value;
    bool done = true;

    *names = SAN_SET_EMPTY;
    json_object_foreach(json_object_get(certificate, "subjectAlternativeNames"), name, value)
    {
        done = done && san_set_add(names, name, strlen(name));
    }
    return done;
}

static bool read_time(const json_t *certificate, const char *key, wall_time *out)
{
    const char *text = json_string_value(json_object_get(certificate, key));

    return text && wall_time_parse(text, out);
}

/* Room for one more in both lists. */
static bool grow(struct lookup_domain *domain)
{
    size_t count = domain->issued_count + 1;
    wall_time *issued = realloc(domain->issued, count * sizeof *issued);
    if (!issued)
        return false;
    domain->issued = issued;

    struct lookup_certificate *stored = realloc(domain->stored, count * sizeof *stored);
    if (!stored)
        return false;
    domain->stored = stored;
    return true;
}

/* One that has the domain's names. */
static bool note(struct lookup_domain *domain, const json_t *certificate)
{
    wall_time begins, ends;
    const char *id = json_string_value(json_object_get(certificate, "id"));

    if (!id || !read_time(certificate, "notValidBefore", &begins) ||
        !read_time(certificate, "notValidAfter", &ends))
        return true;

    if (!grow(domain))
        return false;
    domain->issued[domain->issued_count] = begins;
    struct lookup_certificate *stored = &domain->stored[domain->issued_count++];
    *stored = (struct lookup_certificate){
        .begins = begins, .ends = ends, .renewal_due = due_at(begins, ends, domain->renew_before)};
    strncpy(stored->id, id, OBJECT_ID_SIZE - 1);

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
    bool done = read_names(certificate, &names);

    if (done && san_set_compare(&names, &domain->names) == 0)
        done = note(domain, certificate);
    san_set_clear(&names);
    return done;
}

/* The domain outlives the answer, so what it borrows is kept. */
static bool keep_id(struct certificate_search *search, const struct lookup_domain *domain,
                    const json_t *certificate)
{
    json_t *id = json_object_get(certificate, "id");

    return !id || domain->certificate_id != json_string_value(id) ||
           json_array_append(search->ids, id) == 0;
}

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

/* Gives a certificate to each domain that has its names. */
static bool hand_out(struct certificate_search *search, const json_t *certificate)
{
    struct san_set names;
    bool done = read_names(certificate, &names);

    for (size_t i = done ? first_with(search, &names) : 0; done && i < search->count; i++) {
        struct lookup_domain *domain = search->wanted[i].domain;
        if (san_set_compare(&domain->names, &names) != 0)
            break;
        done = note(domain, certificate) && keep_id(search, domain, certificate);
    }
    san_set_clear(&names);
    return done;
}

/* From request to request. */

static int by_names(const void *a, const void *b)
{
    const struct certificate_wanted *x = a, *y = b;

    return san_set_compare(&x->domain->names, &y->domain->names);
}

static size_t requests_for(size_t amount, size_t a_request)
{
    return amount / a_request + (amount % a_request != 0);
}

bool certificate_search_begin(struct certificate_search *search, struct lookup_domain *domains,
                              size_t count, bool (*needed)(const struct lookup_domain *domain),
                              size_t stored)
{
    free(search->wanted);
    *search = (struct certificate_search){
        .wanted = calloc(count + 1, sizeof *search->wanted),
        .ids = search->ids ? search->ids : json_array(), /* those found before are still borrowed */
    };
    if (!search->wanted || !search->ids)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct lookup_domain *domain = &domains[i];
        if (!needed(domain))
            continue;
        domain->issued_count = 0;
        domain->certificate_id = NULL;
        domain->renewal_due = WALL_TIME_NEVER;
        search->wanted[search->count++].domain = domain;
    }
    qsort(search->wanted, search->count, sizeof *search->wanted, by_names);
    /* One page more than there are: some may be stored while they are read. */
    search->pages = requests_for(stored, PAGE) + 1;
    search->listing = requests_for(stored, PAGE * CERTIFICATE_SEARCHES) <
                      requests_for(search->count, CERTIFICATE_SEARCHES);
    return true;
}

void certificate_search_end(struct certificate_search *search)
{
    free(search->wanted);
    json_decref(search->ids);
    *search = (struct certificate_search){0};
}

/*
 * A query and the get of what it finds. With a limit alone the server cuts before it turns the list
 * round, and the newest are lost; where it must count them all it turns first.
 */
static void add_page(struct own_request *request, size_t n, const char *name, size_t page)
{
    char query_id[CALL_ID_SIZE], get_id[CALL_ID_SIZE];
    json_t *filter = name ? json_pack("{s:s}", "subjectAlternativeNames", name) : NULL;

    if (name && !filter)
        request->incomplete = true;
    snprintf(query_id, sizeof query_id, "q%zu", n);
    snprintf(get_id, sizeof get_id, "g%zu", n);
    own_request_add(request, "x:Certificate/query",
                    json_pack("{s:o*, s:b, s:I, s:i}", "filter", filter, "calculateTotal", 1,
                              "position", (json_int_t)(page * PAGE), "limit", (int)PAGE),
                    query_id);
    own_request_add_found(request, "x:Certificate/get", "x:Certificate/query", query_id,
                          certificate_properties(), get_id);
}

/* The word search finds every certificate that has the word, so ask for the rarest: the longest. */
static const char *search_name(const struct san_set *names)
{
    const char *longest = "";

    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->names[i];
        if (strncmp(name, "*.", 2) == 0)
            name += 2;
        if (strlen(name) > strlen(longest))
            longest = name;
    }
    return longest;
}

void certificate_search_write(struct certificate_search *search, struct own_request *request)
{
    if (search->listing) {
        for (size_t n = 0; n < CERTIFICATE_SEARCHES && search->page + n < search->pages; n++)
            add_page(request, n, NULL, search->page + n);
        return;
    }
    search->last = search->first;
    for (size_t n = 0; n < CERTIFICATE_SEARCHES && search->last < search->count; n++) {
        const struct certificate_wanted *wanted = &search->wanted[search->last++];
        add_page(request, n, search_name(&wanted->domain->names), wanted->page);
    }
}

static const json_t *page_of(const struct own_request *request, size_t n, bool *full)
{
    char query_id[CALL_ID_SIZE], get_id[CALL_ID_SIZE];

    snprintf(query_id, sizeof query_id, "q%zu", n);
    snprintf(get_id, sizeof get_id, "g%zu", n);
    *full = json_array_size(json_object_get(own_request_answer(request, query_id), "ids")) >= PAGE;
    return own_request_list(request, get_id);
}

static bool read_list(struct certificate_search *search, const struct own_request *request)
{
    bool full = true;

    for (size_t n = 0; full && n < CERTIFICATE_SEARCHES && search->page < search->pages; n++) {
        const json_t *page = page_of(request, n, &full);
        for (size_t i = 0; i < json_array_size(page); i++) {
            if (!hand_out(search, json_array_get(page, i)))
                return false;
        }
        search->page++;
    }
    if (!full)
        search->page = search->pages;
    return true;
}

static bool read_found(struct certificate_search *search, struct certificate_wanted *wanted,
                       const json_t *page)
{
    for (size_t i = 0; i < json_array_size(page); i++) {
        const json_t *certificate = json_array_get(page, i);
        if (!certificate_add(wanted->domain, certificate) ||
            !keep_id(search, wanted->domain, certificate))
            return false;
    }
    wanted->page++;
    return true;
}

bool certificate_search_read(struct certificate_search *search, const struct own_request *request)
{
    if (search->listing)
        return read_list(search, request);

    /* Those with more pages move up to those that have not been asked for. */
    size_t next = search->last;
    for (size_t i = search->last; i-- > search->first;) {
        bool full;
        const json_t *page = page_of(request, i - search->first, &full);
        if (!read_found(search, &search->wanted[i], page))
            return false;
        if (full && search->wanted[i].page < PAGES_OF_A_NAME)
            search->wanted[--next] = search->wanted[i];
    }
    search->first = next;
    return true;
}
