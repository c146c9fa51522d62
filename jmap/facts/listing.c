#include "jmap/facts/listing.h"

#include <stdio.h>

/* Limits of the server's session object, 16 calls a request; of a query, its setting
 * queryMaxResults: 5,000 ids unless someone has changed it. */
enum {
    CALLS = 16,
    IDS_A_QUERY = 5000,
    QUERIES = 8,     /* a request: each may be a walk over all that there is */
    FIRST_PAGES = 4, /* of the first request's are of objects, not of ids */
    CALL_ID_SIZE = 32,
};

bool listing_begin(struct listing *listing, const struct listing_kind *kind, size_t position,
                   size_t most, size_t a_call)
{
    json_decref(listing->ids);
    *listing = (struct listing){.kind = kind,
                                .position = position,
                                .end = position + most,
                                .page = IDS_A_QUERY,
                                .a_call = a_call,
                                .ids = json_array()};
    return listing->ids != NULL;
}

void listing_clear(struct listing *listing)
{
    json_decref(listing->ids);
    *listing = (struct listing){0};
}

static size_t unread(const struct listing *listing)
{
    return json_array_size(listing->ids) - listing->next;
}

bool listing_is_done(const struct listing *listing)
{
    return listing->position >= listing->end && unread(listing) == 0;
}

static size_t shares(size_t amount, size_t share)
{
    return amount / share + (amount % share != 0);
}

size_t listing_requests(size_t count, size_t a_call)
{
    const size_t with_list = FIRST_PAGES * a_call;
    const size_t listed = with_list + (size_t)(QUERIES - FIRST_PAGES) * IDS_A_QUERY;
    size_t later = count > with_list ? count - with_list : 0;
    size_t unlisted = count > listed ? count - listed : 0;

    return 1 + shares(unlisted, (size_t)QUERIES * IDS_A_QUERY) + shares(later, CALLS * a_call);
}

/* The pages of one request. */

struct page {
    size_t number, position, limit;
    bool with_objects;
    char query_id[CALL_ID_SIZE], get_id[CALL_ID_SIZE];
};

/* False where the request has no such page. */
static bool page_at(const struct listing *listing, size_t number, size_t position,
                    struct page *page)
{
    if (number >= QUERIES || position >= listing->end)
        return false;
    *page = (struct page){.number = number,
                          .position = position,
                          .with_objects = !listing->begun && number < FIRST_PAGES};
    page->limit = page->with_objects ? listing->a_call : listing->page;
    if (page->limit > listing->end - position)
        page->limit = listing->end - position;
    snprintf(page->query_id, sizeof page->query_id, "q%zu", number);
    snprintf(page->get_id, sizeof page->get_id, "g%zu", number);
    return true;
}

static void add_page(const struct listing *listing, struct own_request *request,
                     const struct page *page)
{
    const struct listing_kind *kind = listing->kind;

    own_request_add(request, kind->query, kind->arguments(page->position, page->limit),
                    page->query_id);
    if (page->with_objects)
        own_request_add_found(request, kind->get, kind->query, page->query_id,
                              kind->properties ? kind->properties() : NULL, page->get_id);
}

static void write_pages(const struct listing *listing, struct own_request *request)
{
    struct page page;
    size_t position = listing->position;

    for (size_t n = 0; page_at(listing, n, position, &page); n++) {
        add_page(listing, request, &page);
        position += page.limit;
    }
}

static bool read_objects(const struct own_request *request, const char *call_id,
                         bool (*read)(void *user, json_t *object), void *user)
{
    size_t i;
    json_t *object;

    json_array_foreach(own_request_list(request, call_id), i, object)
    {
        if (!read(user, object))
            return false;
    }
    return true;
}

/* Whether the next page of this request goes on where this one ends. */
static bool goes_on(struct listing *listing, const struct page *page, size_t count,
                    const json_t *answer)
{
    if (count >= page->limit)
        return true;
    if (own_request_goes_on(answer, page->limit))
        listing->page = count;
    else
        listing->end = listing->position;
    return false;
}

static bool read_pages(struct listing *listing, const struct own_request *request,
                       bool (*read)(void *user, json_t *object), void *user)
{
    struct page page;

    for (size_t n = 0; page_at(listing, n, listing->position, &page); n++) {
        const json_t *answer = own_request_answer(request, page.query_id);
        json_t *ids = json_object_get(answer, "ids");
        size_t count = json_array_size(ids);
        if (!(page.with_objects ? read_objects(request, page.get_id, read, user)
                                : count == 0 || json_array_extend(listing->ids, ids) == 0))
            return false;
        listing->position += count;
        if (!goes_on(listing, &page, count, answer))
            break;
    }
    listing->begun = true;
    return true;
}

/* By id. */

static json_t *some_ids(const struct listing *listing, size_t first)
{
    json_t *ids = json_array();

    for (size_t i = first; ids && i < json_array_size(listing->ids) && i < first + listing->a_call;
         i++) {
        if (json_array_append(ids, json_array_get(listing->ids, i)) != 0) {
            json_decref(ids);
            return NULL;
        }
    }
    return ids;
}

static void add_get(const struct listing *listing, struct own_request *request, size_t number)
{
    const struct listing_kind *kind = listing->kind;
    json_t *ids = some_ids(listing, listing->next + number * listing->a_call);
    char call_id[CALL_ID_SIZE];

    snprintf(call_id, sizeof call_id, "g%zu", number);
    own_request_add(request, kind->get,
                    json_pack("{s:o, s:o*}", "ids", ids, "properties",
                              kind->properties ? kind->properties() : NULL),
                    call_id);
}

static size_t gets_a_request(const struct listing *listing)
{
    size_t gets = shares(unread(listing), listing->a_call);

    return gets < CALLS ? gets : CALLS;
}

static bool read_gets(struct listing *listing, const struct own_request *request,
                      bool (*read)(void *user, json_t *object), void *user)
{
    size_t gets = gets_a_request(listing);

    for (size_t n = 0; n < gets; n++) {
        char call_id[CALL_ID_SIZE];
        snprintf(call_id, sizeof call_id, "g%zu", n);
        if (!read_objects(request, call_id, read, user))
            return false;
    }
    listing->next += gets * listing->a_call;
    if (listing->next > json_array_size(listing->ids))
        listing->next = json_array_size(listing->ids);
    return true;
}

void listing_write(const struct listing *listing, struct own_request *request)
{
    if (listing->position < listing->end) {
        write_pages(listing, request);
        return;
    }
    for (size_t n = 0; n < gets_a_request(listing); n++)
        add_get(listing, request, n);
}

bool listing_read(struct listing *listing, const struct own_request *request,
                  bool (*read)(void *user, json_t *object), void *user)
{
    return listing->position < listing->end ? read_pages(listing, request, read, user)
                                            : read_gets(listing, request, read, user);
}
