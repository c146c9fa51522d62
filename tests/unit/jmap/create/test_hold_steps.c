/*
 * What a hold does over a request and its answers grows with their size and not faster: counted in
 * calls of the JSON library, and of the server. Linked so that the former can be counted.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/create/flight.h"
#include "jmap/create/hold.h"
#include "jmap/facts/memory.h"
#include "tests/unit/fixed_time.h"
#include "tests/unit/idle_hold.h"

static size_t steps;
static bool counting;

static void step(void)
{
    steps += counting;
}

#define COUNTED(result, name, parameters, arguments)                                               \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        step();                                                                                    \
        return __real_##name arguments;                                                            \
    }

COUNTED(json_t *, json_object_get, (const json_t *object, const char *key), (object, key))
COUNTED(json_t *, json_array_get, (const json_t *array, size_t index), (array, index))
COUNTED(void *, json_object_iter_next, (json_t * object, void *iter), (object, iter))
COUNTED(const char *, json_string_value, (const json_t *string), (string))
COUNTED(int, json_equal, (const json_t *a, const json_t *b), (a, b))
COUNTED(int, strcmp, (const char *a, const char *b), (a, b))

/* A server that knows no domain, where each get finds nothing, or all that are asked for; each
 * create is refused. */
static bool knows_domains;

static json_t *domains_of(const json_t *ids)
{
    json_t *list = json_array(), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        json_array_append_new(list, json_pack("{s:O, s:s, s:{s:s, s:s, s:{s:b}}}", "id", id, "name",
                                              "a.test", "certificateManagement", "@type",
                                              "Automatic", "acmeProviderId", "p",
                                              "subjectAlternativeNames", "mail", 1));
    }
    return list;
}

static json_t *objects_of(const char *name, const json_t *arguments)
{
    if (knows_domains && strcmp(name, "x:Domain/get") == 0)
        return domains_of(json_object_get(arguments, "ids"));
    if (knows_domains && strcmp(name, "x:AcmeProvider/get") == 0)
        return json_pack("[{s:s, s:s}]", "id", "p", "challengeType", "Http01");
    return json_array();
}

static json_t *answer_call(const json_t *call)
{
    const char *name = json_string_value(json_array_get(call, 0)), *key;
    json_t *arguments = json_array_get(call, 1), *id = json_array_get(call, 2), *create;
    json_t *not_created = json_object();

    json_object_foreach(json_object_get(arguments, "create"), key, create)
    {
        json_object_set_new(not_created, key,
                            json_pack("{s:s, s:{s:s, s:O}}", "type", "invalidForeignKey",
                                      "objectId", "object", "Domain", "id",
                                      json_object_get(create, "domainId")));
    }
    if (strstr(name, "/set"))
        return json_pack("[s, {s:o}, O]", name, "notCreated", not_created, id);
    json_decref(not_created);
    return strstr(name, "/query") ? json_pack("[s, {s:[]}, O]", name, "ids", id)
                                  : json_pack("[s, {s:o, s:[]}, O]", name, "list",
                                              objects_of(name, arguments), "notFound", id);
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
    json_t *answer = json_pack("{s:o}", "methodResponses", responses);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(request);
    return text;
}

/* How often a hold on the body asks the server; its steps are counted. */
static bool stranger;

static unsigned drive(const char *body)
{
    struct hold_settings settings = {.max_request = 10000000};
    struct hold_context context = {.settings = &settings,
                                   .flights = flight_table_create(),
                                   .memory = task_memory_create(),
                                   .stranger = stranger,
                                   .now = fixed_now,
                                   .wake = no_wake,
                                   .report = no_report};
    unsigned requests = 0;

    steps = 0;
    counting = true;
    struct hold *hold = hold_open(&context, body, strlen(body));
    assert_non_null(hold);
    for (; hold_step(hold) == HOLD_SEND; requests++) {
        struct hold_request request = hold_request(hold);
        counting = false;
        char *text = serve(&request);
        counting = true;
        hold_sent(hold);
        hold_feed(hold, 200, text, strlen(text));
        free(text);
    }
    counting = false;
    assert_int_equal(hold_step(hold), HOLD_DONE);
    hold_close(hold);
    flight_table_destroy(context.flights);
    task_memory_destroy(context.memory);
    return requests;
}

/* Bodies that ask for much: `i` of what there are `count` of, in one of the calls. */
struct shape {
    const char *name, *before, *each, *between, *after;
};

#define CREATE(key, domain) "\"" key "\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"" domain "\"}"
#define SET "[\"x:Task/set\",{\"create\":{"

static const struct shape shapes[] = {
    {"domains", SET, CREATE("k%1$zu", "z%2$zo"), ",", "}},\"c\"]"},
    {"domains, one of which is set afterwards", SET, CREATE("k%1$zu", "z%2$zo"), ",",
     "}},\"c\"],[\"x:Domain/set\",{\"update\":{\"b\":{}}},\"d\"]"},
    {"one domain again and again", SET, CREATE("k%1$zu", "b"), ",", "}},\"c\"]"},
    {"one domain, set afterwards", SET, CREATE("k%1$zu", "b"), ",",
     "}},\"c\"],[\"x:Domain/set\",{\"update\":{\"b\":{}}},\"d\"]"},
    {"references to nothing", SET, CREATE("k%1$zu", "#x%1$zu"), ",", "}},\"c\"]"},
    {"references in calls", "", "[\"x:Task/set\",{\"create\":{" CREATE("k", "#x") "}},\"c\"]", ",",
     ""},
    {"calls", "[\"Core/echo\",{},\"c\"]," SET CREATE("k", "b") "}},\"c\"],",
     "[\"Core/echo\",{\"a\":\"#x%1$zu\"},\"c\"]", ",", ""},
    {"tasks to destroy", SET CREATE("k", "b") "},\"destroy\":[", "\"#x%1$zu\"", ",", "]},\"c\"]"},
    {"tasks that are", SET CREATE("k", "b") "},\"destroy\":[", "\"x%1$zu\",\"jp%2$zo\"", ",",
     "]},\"c\"]"},
    {"creates of others", SET CREATE("k", "b") ",", "\"l%1$zu\":{\"domainId\":\"#k%1$zu\"}", ",",
     "}},\"c\"]"},
    {"DNS tasks", SET,
     "\"k%1$zu\":{\"@type\":\"DnsManagement\",\"domainId\":\"z%2$zo\","
     "\"onSuccessRenewCertificate\":true}",
     ",", "}},\"c\"]"},
};

/* The count in letters of ids: as octal digits, of which the server's alphabet has 0 to 3 and 7. */
static size_t as_id(size_t count)
{
    static const size_t digits[] = {0, 1, 2, 3, 7};
    size_t id = 1, place = 1;

    for (; count; count /= 5, place *= 8)
        id += digits[count % 5] * place * 8;
    return id;
}

static char *body_of(const struct shape *shape, size_t count)
{
    size_t room = 4096 + count * 256, len;
    char *body = malloc(room);

    assert_non_null(body);
    len = (size_t)snprintf(body, room, "{\"using\":[],\"methodCalls\":[%s", shape->before);
    for (size_t i = 0; i < count; i++) {
        len += (size_t)snprintf(body + len, room - len, "%s", i ? shape->between : "");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        len += (size_t)snprintf(body + len, room - len, shape->each, i, as_id(i));
#pragma GCC diagnostic pop
    }
    snprintf(body + len, room - len, "%s]}", shape->after);
    return body;
}

static size_t steps_for(const struct shape *shape, size_t count)
{
    char *body = body_of(shape, count);

    drive(body);
    free(body);
    return steps;
}

static void twice_the_request_takes_twice_the_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++) {
        stranger = i >= sizeof shapes / sizeof *shapes;
        const struct shape *shape = &shapes[i % (sizeof shapes / sizeof *shapes)];
        size_t once = steps_for(shape, 400), twice = steps_for(shape, 800);
        /* Sorting domains adds a factor of a logarithm. */
        if (twice > once * 5 / 2)
            fail_msg("%s: %zu steps, then %zu", shape->name, once, twice);
    }
}

/* A request of a look-up has up to two hundred. */
static void domains_are_found_in_a_look_up_without_a_walk(void **state)
{
    (void)state;
    stranger = false;
    knows_domains = true;
    size_t once = steps_for(&shapes[0], 100), twice = steps_for(&shapes[0], 200);
    knows_domains = false;
    if (twice > once * 5 / 2)
        fail_msg("%zu steps, then %zu", once, twice);
}

static void unknown_domains_cost_no_request_each(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *body = body_of(&shapes[i], 500);
        unsigned requests = drive(body);
        if (requests > 20)
            fail_msg("%s: %u requests", shapes[i].name, requests);
        free(body);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(twice_the_request_takes_twice_the_steps),
        cmocka_unit_test(domains_are_found_in_a_look_up_without_a_walk),
        cmocka_unit_test(unknown_domains_cost_no_request_each),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
