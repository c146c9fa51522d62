/*
 * A long list, read from a server in a few lines: every object once, in as few requests as the
 * server's limits allow, and where memory runs out. Linked with -Wl,--wrap for malloc, calloc,
 * realloc and str(n)dup.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/facts/listing.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/listed_ids.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define CALLS_MAX 16

struct list_server {
    size_t count;     /* of objects; they are called "1", "2", and so on */
    size_t query_max; /* ids in an answer to a query */
    size_t a_call;    /* objects in a get; 0: 500 */
    bool withdrawn;   /* no object can be read by an id that was listed */
};

/* What was read: how often each. */
struct seen {
    unsigned *times;
    size_t objects;
};

static size_t a_call(const struct list_server *server)
{
    return server->a_call ? server->a_call : 500;
}

static json_t *get(const struct list_server *server, const json_t *arguments, json_t *responses)
{
    json_t *ids = json_object_get(arguments, "ids"), *list = json_array(), *id;
    const char *referred =
        json_string_value(json_object_get(json_object_get(arguments, "#ids"), "resultOf"));
    size_t i;

    for (size_t r = 0; referred && r < json_array_size(responses); r++) {
        const json_t *response = json_array_get(responses, r);
        if (strcmp(json_string_value(json_array_get(response, 2)), referred) == 0)
            ids = json_object_get(json_array_get(response, 1), "ids");
    }
    assert_true(json_array_size(ids) <= a_call(server));
    json_array_foreach(ids, i, id)
    {
        if (referred || !server->withdrawn)
            json_array_append_new(list, json_pack("{s:O}", "id", id));
    }
    return json_pack("{s:o}", "list", list);
}

static char *serve(const struct list_server *server, const struct own_request *request)
{
    json_t *asked = json_loads(request->body, 0, NULL), *responses = json_array(), *call;
    size_t i;

    assert_true(json_array_size(json_object_get(asked, "methodCalls")) <= CALLS_MAX);
    json_array_foreach(json_object_get(asked, "methodCalls"), i, call)
    {
        const char *name = json_string_value(json_array_get(call, 0));
        const json_t *arguments = json_array_get(call, 1);
        json_t *answer = strcmp(name, "x:Thing/query") == 0
                             ? list_ids(arguments, server->count, server->query_max, "", 1)
                             : get(server, arguments, responses);
        json_array_append_new(responses,
                              json_pack("[s, o, O]", name, answer, json_array_get(call, 2)));
    }
    json_t *answer = json_pack("{s:o}", "methodResponses", responses);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(asked);
    return text;
}

static json_t *thing_arguments(size_t position, size_t limit)
{
    return json_pack("{s:I, s:I}", "position", (json_int_t)position, "limit", (json_int_t)limit);
}

static const struct listing_kind things = {
    .query = "x:Thing/query", .get = "x:Thing/get", .arguments = thing_arguments};

static bool note(void *user, json_t *object)
{
    struct seen *seen = user;
    size_t number = strtoul(json_string_value(json_object_get(object, "id")), NULL, 10);

    seen->times[number]++;
    seen->objects++;
    return true;
}

/* How many requests it took; 0 where memory ran out. */
static size_t read_all(const struct list_server *server, size_t position, size_t most,
                       struct seen *seen)
{
    struct listing listing = {0};
    struct own_request request = {0};
    bool going = listing_begin(&listing, &things, position, most, a_call(server));
    size_t requests = 0;

    while (going && !listing_is_done(&listing)) {
        own_request_begin(&request);
        listing_write(&listing, &request);
        going = own_request_finish(&request);
        if (!going)
            break;
        paused = true;
        char *text = serve(server, &request);
        paused = false;
        going = own_request_read(&request, 200, text, strlen(text)) == NULL &&
                listing_read(&listing, &request, note, seen);
        free(text);
        requests++;
    }
    listing_clear(&listing);
    own_request_clear(&request);
    return going ? requests : 0;
}

static void every_object_is_read_once(void **state)
{
    (void)state;
    static const struct {
        size_t count, query_max, position, most, read, requests, a_call; /* 0: the usual */
    } rows[] = {
        {0, 5000, 0, 1000000, 0, 1, 0},
        {1, 5000, 0, 1000000, 1, 1, 0},
        {500, 5000, 0, 1000000, 500, 1, 0},
        {1999, 5000, 0, 1000000, 1999, 1, 0},
        {2001, 5000, 0, 1000000, 2001, 2, 0},
        {10000, 5000, 0, 1000000, 10000, 2, 0},
        {10001, 5000, 0, 1000000, 10001, 3, 0},
        {22001, 5000, 0, 1000000, 22001, 5, 0},
        {100000, 5000, 0, 1000000, 100000, 16, 0},
        /* From a position on, and not all of it. */
        {600, 5000, 110, 1000000, 490, 1, 0},
        {3000, 5000, 110, 500, 500, 1, 0},
        {30000, 5000, 0, 9000, 9000, 2, 0},
        /* A server that was told to list fewer. */
        {3000, 1000, 0, 1000000, 3000, 3, 0},
        {3000, 300, 0, 1000000, 3000, 4, 0},
        {300, 300, 0, 1000000, 300, 2, 0},
        /* And one that gives fewer objects. */
        {100000, 5000, 0, 1000000, 100000, 66, 100},
        {10000, 50, 0, 1000000, 10000, 51, 25},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct list_server server = {
            .count = rows[i].count, .query_max = rows[i].query_max, .a_call = rows[i].a_call};
        struct seen seen = {.times = calloc(rows[i].count + 1, sizeof *seen.times)};
        assert_int_equal(read_all(&server, rows[i].position, rows[i].most, &seen),
                         rows[i].requests);
        assert_int_equal(seen.objects, rows[i].read);
        for (size_t n = 1; n <= rows[i].count; n++)
            assert_int_equal(seen.times[n],
                             n > rows[i].position && n <= rows[i].position + rows[i].read);
        free(seen.times);
    }
}

static void the_requests_are_foretold(void **state)
{
    (void)state;
    static const size_t counts[] = {0,     1,     500,   2000,   2001,  9999,
                                    10001, 22001, 62001, 100000, 123456};

    for (size_t i = 0; i < COUNT(counts); i++) {
        const struct list_server server = {.count = counts[i], .query_max = 5000};
        struct seen seen = {.times = calloc(counts[i] + 1, sizeof *seen.times)};
        assert_int_equal(listing_requests(counts[i], 500),
                         read_all(&server, 0, counts[i] + 500, &seen));
        free(seen.times);
    }
}

/* Gone between the list and the get. */
static void what_is_gone_is_passed_over(void **state)
{
    (void)state;
    const struct list_server server = {.count = 3000, .query_max = 5000, .withdrawn = true};
    struct seen seen = {.times = calloc(3001, sizeof *seen.times)};

    assert_int_equal(read_all(&server, 0, 1000000, &seen), 2);
    assert_int_equal(seen.objects, 2000);
    free(seen.times);
}

static void memory_may_run_out_anywhere(void **state)
{
    (void)state;
    const struct list_server server = {.count = 2100, .query_max = 5000};
    bool failed = true;

    /* Most of the allocations are alike: each of the first ones, then now and then one. */
    for (int allocations = 0; failed; allocations += allocations < 200 ? 1 : 997) {
        struct seen seen = {.times = calloc(2101, sizeof *seen.times)};
        left = allocations;
        for_good = true;
        size_t requests = read_all(&server, 0, 1000000, &seen);
        failed = left == 0;
        left = INT_MAX;
        assert_true(requests > 0 || failed);
        assert_true(requests == 0 || seen.objects == 2100);
        free(seen.times);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_object_is_read_once),
        cmocka_unit_test(the_requests_are_foretold),
        cmocka_unit_test(what_is_gone_is_passed_over),
        cmocka_unit_test(memory_may_run_out_anywhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
