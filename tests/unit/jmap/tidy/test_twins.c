/*
 * A domain's twins, in tens of thousands: whoever reads them or collapses them takes steps in
 * proportion to their number. What is counted is comparisons of texts and arrays that grow.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "jmap/facts/lookup.h"
#include "jmap/tidy/collapse.h"

int __real_strcmp(const char *a, const char *b);
int __wrap_strcmp(const char *a, const char *b);
void *__real_realloc(void *block, size_t size);
void *__wrap_realloc(void *block, size_t size);

static size_t steps, growths;

int __wrap_strcmp(const char *a, const char *b)
{
    steps++;
    return __real_strcmp(a, b);
}

void *__wrap_realloc(void *block, size_t size)
{
    growths++;
    return __real_realloc(block, size);
}

static wall_time now(void *user)
{
    (void)user;
    return (wall_time){1764000000};
}

static void passed_over(void *user, const struct queue_change *change)
{
    (void)user;
    (void)change;
}

static json_t *twin(const char *id)
{
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:s}}", "id", id, "@type", "AcmeRenewal", "domainId",
                     "b", "status", "@type", "Pending", "due", "2030-01-01T00:00:00Z");
}

/* Those that are asked for by id, or all of them. */
static json_t *twins(const json_t *ids, size_t count)
{
    json_t *list = json_array(), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        json_array_append_new(list, twin(json_string_value(id)));
    }
    for (i = 0; !ids && i < count; i++) {
        char text[32];
        snprintf(text, sizeof text, "jp%zu", i);
        json_array_append_new(list, twin(text));
    }
    return list;
}

static json_t *answer_to(const json_t *call, size_t count)
{
    const char *name = json_string_value(json_array_get(call, 0));
    const json_t *asked = json_array_get(call, 1);
    json_t *result = json_pack("{s:[]}", strstr(name, "/query") ? "ids" : "list");

    if (strcmp(name, "x:Domain/get") == 0)
        json_object_set_new(result, "list",
                            json_pack("[{s:s, s:s, s:{s:s, s:s, s:{s:b}}}]", "id", "b", "name",
                                      "example.org", "certificateManagement", "@type", "Automatic",
                                      "acmeProviderId", "jp1", "subjectAlternativeNames", "mail",
                                      1));
    if (strcmp(name, "x:AcmeProvider/get") == 0)
        json_object_set_new(result, "list",
                            json_pack("[{s:s, s:s, s:s}]", "id", "jp1", "challengeType", "Http01",
                                      "renewBefore", "R23"));
    if (strcmp(name, "x:Task/get") == 0)
        json_object_set_new(result, "list", twins(json_object_get(asked, "ids"), count));
    if (strcmp(name, "x:Task/set") == 0)
        json_object_set(result, "destroyed", json_object_get(asked, "destroy"));
    return json_pack("[s, o, O]", name, result, json_array_get(call, 2));
}

static char *answer(const char *body, size_t len, size_t count)
{
    json_t *request = json_loadb(body, len, 0, NULL), *responses = json_array(), *call;
    size_t i;

    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        json_array_append_new(responses, answer_to(call, count));
    }
    json_t *root = json_pack("{s:o}", "methodResponses", responses);
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    json_decref(request);
    return text;
}

/* Steps of a look-up that finds so many tasks of one domain, several of them in two lists. */
static size_t look_up(size_t count)
{
    struct lookup_domain domain = {.id = "b", .asked = {1764000000}};
    struct task_memory *memory = task_memory_create();
    struct lookup *lookup = lookup_create(&domain, 1, memory, now(NULL));
    size_t len, taken = 0;

    while (lookup_state(lookup) == LOOKUP_SEND_API) {
        const char *body = lookup_body(lookup, &len);
        char *text = answer(body, len, count);
        steps = growths = 0;
        lookup_feed(lookup, 200, text, strlen(text));
        taken += steps;
        assert_true(growths < 64);
        free(text);
    }
    assert_int_equal(lookup_state(lookup), LOOKUP_DONE);
    assert_int_equal(domain.task_count, count);
    lookup_destroy(lookup);
    task_memory_destroy(memory);
    return taken;
}

static size_t collapse(size_t count)
{
    const char **ids = calloc(count, sizeof *ids);
    size_t len, taken = 0;

    for (size_t i = 0; i < count; i++) {
        char *id = malloc(32);
        snprintf(id, 32, "jp%zu", i);
        ids[i] = id;
    }
    struct collapse *work = collapse_create(&(struct collapse_order){.domain_id = "b",
                                                                     .task_ids = ids,
                                                                     .task_count = count,
                                                                     .now = now,
                                                                     .changed = passed_over});
    for (const char *body = collapse_body(work, &len); body; body = collapse_body(work, &len)) {
        char *text = answer(body, len, count);
        steps = 0;
        collapse_feed(work, 200, text, strlen(text));
        taken += steps;
        free(text);
    }
    assert_null(collapse_error(work));
    collapse_destroy(work);
    for (size_t i = 0; i < count; i++)
        free((char *)ids[i]);
    free(ids);
    return taken;
}

static void test_reading_twins_is_linear(void **state)
{
    (void)state;
    size_t few = look_up(1000), many = look_up(8000);

    assert_true(many < 10 * few);
    assert_true(look_up(40000) < 50 * few);
}

/* At most 8,000 of a domain's tasks are collapsed at once. */
static void test_collapsing_twins_is_linear(void **state)
{
    (void)state;
    size_t few = collapse(1000), many = collapse(8000);

    assert_true(many < 10 * few);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading_twins_is_linear),
        cmocka_unit_test(test_collapsing_twins_is_linear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
