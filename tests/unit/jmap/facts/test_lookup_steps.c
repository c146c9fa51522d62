/*
 * Of what a look-up reads most is other domains' tasks, and own ones that wait: they cost next to
 * nothing, and are known afterwards all the same. Counted in allocations, of which jansson's trees
 * are made. As many domains as can be share a request. And a server that takes fewer objects a call
 * than most is asked for fewer, whether or not memory runs out on the way. Linked with -Wl,--wrap
 * for malloc, calloc, realloc and str(n)dup.
 */

#include "jmap/facts/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/renewal_tasks.h"
#include "tests/unit/wrapped_memory.h"

static size_t requests;                         /* that the last look-up has made */
static size_t allocations, fails_at = SIZE_MAX; /* the one from which on all fail */
static bool counting;

static bool may_allocate(void)
{
    return !counting || allocations++ < fails_at;
}

/* So many tasks that are due, of the domain itself and then of other ones. */
static struct due {
    size_t own, others;
    bool remembered; /* and one that is asked for by its id */
    bool far_more;   /* the list does not end with them */
} due;

static json_t *task(size_t number, const char *domain_id)
{
    char id[32];

    snprintf(id, sizeof id, "jpt%zu", number);
    return json_pack("{s:s, s:{s:s, s:s, s:s}, s:s, s:s, s:s}", "domainId", domain_id, "status",
                     "createdAt", "2026-06-01T10:00:00Z", "due", "2026-06-01T10:00:00Z", "@type",
                     "Pending", "@type", "AcmeRenewal", "due", "2026-06-01T10:00:00Z", "id", id);
}

/* As the server answers them. */
static json_t *tasks_due(void)
{
    json_t *list = json_array();

    for (size_t i = 0; i < due.own; i++)
        json_array_append_new(list, task(i, "b"));
    for (size_t i = 0; i < due.others; i++) {
        char domain_id[32];
        snprintf(domain_id, sizeof domain_id, "d%zu", i);
        json_array_append_new(list, task(due.own + i, domain_id));
    }
    return list;
}

static json_t *objects_of(const char *name, const char *call_id)
{
    if (strcmp(name, "x:Task/get") == 0 && strcmp(call_id, "T") == 0)
        return tasks_due();
    if (strcmp(name, "x:Task/get") == 0 && strcmp(call_id, "k") == 0 && due.remembered)
        return json_pack("[o]", task(due.own + due.others, "b"));
    if (strcmp(name, "x:Domain/get") == 0)
        return json_pack("[{s:s, s:s, s:{s:s, s:s, s:{s:b}}}]", "id", "b", "name", "a.test",
                         "certificateManagement", "@type", "Automatic", "acmeProviderId", "jp1",
                         "subjectAlternativeNames", "mail", 1);
    if (strcmp(name, "x:AcmeProvider/get") == 0)
        return json_pack("[{s:s, s:s}]", "id", "jp1", "challengeType", "Http01");
    return json_array();
}

/* So many requests are refused for having too many objects. */
static size_t refusals;

static json_t *ids_found(const char *call_id)
{
    json_t *ids = json_array();

    for (size_t i = 0; due.far_more && strcmp(call_id, "l") == 0 && i < 10; i++)
        json_array_append_new(ids, json_string("jpl"));
    return ids;
}

static char *answer(const char *body, size_t len)
{
    json_t *request = json_loadb(body, len, 0, NULL), *responses = json_array(), *call;
    size_t i;

    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        const char *name = json_string_value(json_array_get(call, 0));
        const char *call_id = json_string_value(json_array_get(call, 2));
        json_array_append_new(
            responses, strstr(name, "/query")
                           ? json_pack("[s, {s:o}, s]", name, "ids", ids_found(call_id), call_id)
                           : json_pack("[s, {s:o, s:[]}, s]", name, "list",
                                       objects_of(name, call_id), "notFound", call_id));
    }
    if (refusals > 0) {
        refusals--;
        json_array_set_new(responses, 1,
                           json_pack("[s, {s:s}, s]", "error", "type", "requestTooLarge", "T"));
    }
    json_t *whole = json_pack("{s:o}", "methodResponses", responses);
    char *text = json_dumps(whole, JSON_COMPACT);
    json_decref(whole);
    json_decref(request);
    return text;
}

/* Looks up one domain with these tasks; allocations are counted. */
static enum lookup_state drive(struct task_memory *memory, struct due tasks)
{
    due = tasks;
    struct lookup_domain domain = {.id = "b", .asked = AT(0)};

    allocations = requests = 0;
    counting = true;
    struct lookup *lookup = lookup_create(&domain, 1, memory, (wall_time)AT(0));
    counting = false;
    while (lookup && lookup_state(lookup) == LOOKUP_SEND_API) {
        size_t len;
        const char *body = lookup_body(lookup, &len);
        char *text = answer(body, len);
        counting = true;
        lookup_feed(lookup, 200, text, strlen(text));
        counting = false;
        requests++;
        free(text);
    }
    enum lookup_state state = lookup ? lookup_state(lookup) : LOOKUP_NO_MEMORY;
    if (state == LOOKUP_DONE)
        assert_true(domain.renewable && domain.task_count == due.own + due.remembered);
    lookup_destroy(lookup);
    return state;
}

/* How many allocations that takes. */
static size_t look_up(struct task_memory *memory, struct due tasks)
{
    assert_int_equal(drive(memory, tasks), LOOKUP_DONE);
    return allocations;
}

static void other_domains_tasks_are_no_trees(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    look_up(memory, (struct due){.others = 100}); /* after which these domains are known */
    size_t few = look_up(memory, (struct due){.others = 10});
    size_t many = look_up(memory, (struct due){.others = 100});
    if (many - few > 90)
        fail_msg("%zu allocations beside 10 tasks, %zu beside 100", few, many);
    task_memory_destroy(memory);
}

/* Each is noted in a table by its id: some three allocations, where a tree takes fifty. */
static void own_tasks_that_wait_are_no_trees(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    size_t few = look_up(memory, (struct due){.own = 10});
    size_t many = look_up(memory, (struct due){.own = 100});

    if (many - few > 4 * 90)
        fail_msg("%zu allocations with 10 tasks, %zu with 100", few, many);
    task_memory_destroy(memory);
}

/* Several of a domain at the beginning of the list tell of a storm, one that is remembered not. */
static void only_tasks_at_the_beginning_make_it_look_further(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    look_up(memory, (struct due){.own = 1, .far_more = true}); /* searches for certificates */
    look_up(memory, (struct due){.own = 1, .far_more = true});
    size_t one = requests;
    look_up(memory, (struct due){.own = 1, .far_more = true, .remembered = true});
    assert_int_equal(requests, one);
    look_up(memory, (struct due){.own = 2, .far_more = true});
    assert_true(requests > one);
    task_memory_destroy(memory);
}

/* Each is an order to come for the account of the only provider. */
static void other_domains_tasks_count_against_the_accounts_limit(void **state)
{
    (void)state;
    const struct issue_limit three = {3, 3 * HOUR};
    const wall_time now = AT(0);

    for (size_t others = 0; others <= 3; others++) {
        struct task_memory *memory = task_memory_create();
        look_up(memory, (struct due){.others = others});
        assert_int_equal(memory_foresee_time(memory, "b", "jp1", three, now, now).seconds - NOW,
                         others < 3 ? 0 : HOUR);
        task_memory_destroy(memory);
    }
}

static void a_server_that_takes_fewer_objects_is_asked_for_fewer(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    refusals = 3;
    look_up(memory, (struct due){.others = 10});
    assert_int_equal(memory_objects_a_call(memory), 500 / 8);

    refusals = 300; /* and one that takes none is given up */
    assert_int_equal(drive(memory, (struct due){.others = 10}), LOOKUP_FAILED);
    assert_int_equal(memory_objects_a_call(memory), 1);
    refusals = 0;
    task_memory_destroy(memory);
}

static void memory_may_run_out_while_fewer_are_asked_for(void **state)
{
    (void)state;
    enum lookup_state ended = LOOKUP_NO_MEMORY;

    for (fails_at = 0; ended == LOOKUP_NO_MEMORY; fails_at++) {
        struct task_memory *memory = task_memory_create();
        refusals = 2;
        ended = drive(memory, (struct due){.others = 10});
        task_memory_destroy(memory);
    }
    assert_int_equal(ended, LOOKUP_DONE);
    fails_at = SIZE_MAX;
    refusals = 0;
}

/* How many ids the call names. */
static size_t ids_of(const json_t *request, const char *method, const char *call_id)
{
    size_t i;
    json_t *call;

    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        if (strcmp(json_string_value(json_array_get(call, 0)), method) == 0 &&
            strcmp(json_string_value(json_array_get(call, 2)), call_id) == 0)
            return json_array_size(json_object_get(json_array_get(call, 1), "ids"));
    }
    return 0;
}

/* How many requests it takes to look up so many domains with so many known tasks each. */
static size_t requests_for(size_t count, size_t tasks)
{
    static char ids[1000][32];
    static struct lookup_domain domains[1000];
    struct task_memory *memory = task_memory_create();
    size_t domains_asked = 0, tasks_asked = 0;

    due = (struct due){0};
    requests = 0;
    for (size_t i = 0; i < count; i++) {
        snprintf(ids[i], sizeof ids[i], "d%03zu", i);
        domains[i] = (struct lookup_domain){.id = ids[i], .asked = AT(0)};
        for (size_t t = 0; t < tasks; t++) {
            char task_id[64];
            snprintf(task_id, sizeof task_id, "t%03zu%zu", i, t);
            memory_note_task(memory, ids[i], task_id);
        }
    }
    struct lookup *lookup = lookup_create(domains, count, memory, (wall_time)AT(0));
    while (lookup_state(lookup) == LOOKUP_SEND_API) {
        size_t len;
        const char *body = lookup_body(lookup, &len);
        json_t *request = json_loadb(body, len, 0, NULL);
        char *text = answer(body, len);
        assert_in_range(ids_of(request, "x:Domain/get", "d"), 1, 400);
        assert_in_range(ids_of(request, "x:Task/get", "k"), 0, 400);
        domains_asked += ids_of(request, "x:Domain/get", "d");
        tasks_asked += ids_of(request, "x:Task/get", "k");
        lookup_feed(lookup, 200, text, strlen(text));
        requests++;
        free(text);
        json_decref(request);
    }
    assert_int_equal(lookup_state(lookup), LOOKUP_DONE);
    assert_int_equal(domains_asked, count);
    assert_int_equal(tasks_asked, count * tasks);
    lookup_destroy(lookup);
    task_memory_destroy(memory);
    return requests;
}

static void as_many_domains_share_a_request_as_their_tasks_allow(void **state)
{
    (void)state;
    assert_int_equal(requests_for(1, 2), 1);
    assert_int_equal(requests_for(400, 0), 1);
    assert_int_equal(requests_for(401, 0), 2);
    assert_int_equal(requests_for(400, 1), 1);
    assert_int_equal(requests_for(1000, 1), 3);
    assert_int_equal(requests_for(200, 2), 1);
    assert_int_equal(requests_for(201, 2), 2);
}

static void what_is_not_there_is_held_by_nothing(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct lookup_domain domain = {.id = "zz", .asked = AT(0)};
    struct lookup *lookup = lookup_create(&domain, 1, memory, (wall_time)AT(0));
    size_t len;
    const char *body = lookup_body(lookup, &len);

    due = (struct due){0};
    char *text = answer(body, len);
    assert_int_equal(lookup_feed(lookup, 200, text, strlen(text)), LOOKUP_DONE);
    free(text);
    const struct held_facts facts =
        lookup_held_facts(&domain, (struct held_limits){0}, (wall_time)AT(0));
    assert_true(wall_time_equal(facts.kept_refused, WALL_TIME_NEVER));
    assert_true(wall_time_equal(facts.kept_failing, WALL_TIME_NEVER));
    lookup_destroy(lookup);
    task_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_there_is_held_by_nothing),
        cmocka_unit_test(other_domains_tasks_are_no_trees),
        cmocka_unit_test(own_tasks_that_wait_are_no_trees),
        cmocka_unit_test(only_tasks_at_the_beginning_make_it_look_further),
        cmocka_unit_test(other_domains_tasks_count_against_the_accounts_limit),
        cmocka_unit_test(as_many_domains_share_a_request_as_their_tasks_allow),
        cmocka_unit_test(a_server_that_takes_fewer_objects_is_asked_for_fewer),
        cmocka_unit_test(memory_may_run_out_while_fewer_are_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
