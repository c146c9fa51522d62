/*
 * A request that is cut into many parts is in memory once, and not once for each part. Linked so
 * that what is allocated can be counted.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/memory.h"
#include "policy/no_op_id.h"
#include "tests/unit/fixed_time.h"
#include "tests/unit/idle_hold.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void __real_free(void *block);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);
void __wrap_free(void *block);

static size_t held, most;

static void *note(void *block)
{
    held += malloc_usable_size(block);
    if (held > most)
        most = held;
    return block;
}

void *__wrap_malloc(size_t size)
{
    return note(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return note(__real_calloc(count, size));
}

void *__wrap_realloc(void *block, size_t size)
{
    held -= malloc_usable_size(block);
    return note(__real_realloc(block, size));
}

char *__wrap_strdup(const char *text)
{
    return note(__real_strdup(text));
}

char *__wrap_strndup(const char *text, size_t len)
{
    return note(__real_strndup(text, len));
}

void __wrap_free(void *block)
{
    held -= malloc_usable_size(block);
    __real_free(block);
}

/* A server that knows no domain, and echoes nothing. */
static json_t *answer_call(const json_t *call)
{
    const char *name = json_string_value(json_array_get(call, 0)), *key;
    json_t *create, *not_created = json_object();

    json_object_foreach(json_object_get(json_array_get(call, 1), "create"), key, create)
    {
        json_object_set_new(not_created, key,
                            json_pack("{s:s, s:{s:s, s:O}}", "type", "invalidForeignKey",
                                      "objectId", "object", "Domain", "id",
                                      json_object_get(create, "domainId")));
    }
    return json_pack("[s, {s:[], s:[], s:o}, O]", name, "ids", "list", "notCreated", not_created,
                     json_array_get(call, 2));
}

static char *serve(const struct hold_request *asked)
{
    json_t *request = json_loadb(asked->body, asked->len, 0, NULL), *responses = json_array();
    json_t *call;
    size_t i;

    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        json_array_append_new(responses, answer_call(call));
    }
    json_t *answer = json_pack("{s:o, s:O*}", "methodResponses", responses, "createdIds",
                               json_object_get(request, "createdIds"));
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(request);
    return text;
}

/* The most that a hold on the body has at a time; what the test's own server takes is left out. */
static size_t most_held(const char *body, unsigned *requests)
{
    struct hold_settings settings = {.max_request = 10000000};
    struct hold_context context = {.settings = &settings,
                                   .flights = flight_table_create(),
                                   .memory = task_memory_create(),
                                   .now = fixed_now,
                                   .wake = no_wake,
                                   .report = no_report};
    size_t before = held, peak = 0;

    most = held;
    *requests = 0;
    struct hold *hold = hold_open(&context, body, strlen(body));
    assert_non_null(hold);
    for (; hold_step(hold) == HOLD_SEND; ++*requests) {
        struct hold_request request = hold_request(hold);
        peak = most - before > peak ? most - before : peak;
        char *text = serve(&request);
        most = held;
        hold_sent(hold);
        hold_feed(hold, 200, text, strlen(text));
        free(text);
    }
    peak = most - before > peak ? most - before : peak;
    assert_int_equal(hold_step(hold), HOLD_DONE);
    assert_non_null(strstr(hold_answer(hold).body, "\"last\""));
    assert_null(strstr(hold_answer(hold).body, "serverPartialFail"));
    hold_close(hold);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return peak;
}

/*
 * Each call but the first speaks of the create before it, so it is cut off; `bulk` is in the last.
 */
static char *request_of(size_t parts, const char *members, const char *bulk)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    fprintf(out, "{\"using\":[]%s,\"methodCalls\":[", members);
    for (size_t i = 1; i < parts; i++)
        fprintf(out,
                "[\"x:Task/set\",{\"create\":{\"k%zu\":{\"@type\":\"AcmeRenewal\","
                "\"domainId\":\"b\"}},\"update\":{\"#k%zu\":{}}},\"c%zu\"],",
                i, i - 1, i);
    fprintf(out, "[\"Core/echo\",{\"a\":[%s\"#k%zu\"]},\"last\"]]}", bulk, parts - 1);
    fclose(out);
    return text;
}

static char *repeated(const char *each, size_t count)
{
    char *text;
    size_t len;
    FILE *out = open_memstream(&text, &len);

    for (size_t i = 0; i < count; i++)
        fprintf(out, each, i);
    fclose(out);
    return text;
}

static void assert_no_more_for_many(const char *members, const char *bulk)
{
    char *few = request_of(4, members, bulk), *many = request_of(15, members, bulk);
    unsigned few_requests, many_requests;
    size_t of_few = most_held(few, &few_requests), of_many = most_held(many, &many_requests);

    assert_true(many_requests >= few_requests + 11);
    if (of_many > of_few + of_few / 4)
        fail_msg("%zu bytes in few parts are %zu in many", of_few, of_many);
    free(few);
    free(many);
}

static void values(void **state)
{
    char *bulk = repeated("{},", 20000);

    (void)state;
    assert_no_more_for_many("", bulk);
    free(bulk);
}

static void a_text(void **state)
{
    char *letters = repeated("x", 300000), *bulk = malloc(300004);

    (void)state;
    sprintf(bulk, "\"%s\",", letters);
    assert_no_more_for_many("", bulk);
    free(bulk);
    free(letters);
}

static void created_ids(void **state)
{
    char *ids = repeated("\"q%zu\":\"b\",", 20000), *members;
    size_t len;
    FILE *out = open_memstream(&members, &len);

    (void)state;
    fprintf(out, ",\"createdIds\":{%s\"q\":\"b\"}", ids);
    fclose(out);
    assert_no_more_for_many(members, "");
    free(members);
    free(ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(a_text),
        cmocka_unit_test(created_ids),
    };
    return cmocka_run_group_tests_name("continuation_memory", tests, NULL, NULL);
}
