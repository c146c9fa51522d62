/* The list of all domains, from a server that gives as few at a time as its operator likes. */

#include "jmap/facts/inventory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/listed_ids.h"

struct list_server {
    size_t count;     /* domains; there is no task */
    size_t query_max; /* ids in an answer to a query */
    size_t a_call;    /* objects in a get */
};

static json_t *query(const struct list_server *server, const char *name, const json_t *arguments)
{
    size_t count = strcmp(name, "x:Domain/query") == 0 ? server->count : 0;

    return list_ids(arguments, count, server->query_max, "d", 0);
}

static json_t *get(const struct list_server *server, const json_t *ids)
{
    json_t *list = json_array(), *id;
    size_t i;

    if (json_array_size(ids) > server->a_call) {
        json_decref(list);
        return NULL;
    }
    json_array_foreach(ids, i, id)
    {
        json_array_append_new(list, json_pack("{s:O, s:O, s:{s:s, s:s}}", "id", id, "name", id,
                                              "certificateManagement", "@type", "Automatic",
                                              "acmeProviderId", "p"));
    }
    return json_pack("{s:o}", "list", list);
}

static char *serve(const struct list_server *server, const char *body)
{
    json_t *request = json_loads(body, 0, NULL);
    const json_t *calls = json_object_get(request, "methodCalls");
    const json_t *first = json_array_get(calls, 0), *second = json_array_get(calls, 1);
    json_t *found =
        query(server, json_string_value(json_array_get(first, 0)), json_array_get(first, 1));
    json_t *objects = get(server, json_object_get(found, "ids"));
    json_t *answer =
        json_pack("{s:[[O, o, O], [o, o, O]]}", "methodResponses", json_array_get(first, 0), found,
                  json_array_get(first, 2),
                  objects ? json_incref(json_array_get(second, 0)) : json_string("error"),
                  objects ? objects : json_pack("{s:s}", "type", "requestTooLarge"),
                  json_array_get(second, 2));
    char *text = json_dumps(answer, JSON_COMPACT);

    json_decref(answer);
    json_decref(request);
    return text;
}

/* How many requests it took; the inventory is the caller's to clear. */
static size_t read_all(const struct list_server *server, struct task_memory *memory,
                       struct inventory *inventory)
{
    size_t requests = 0, len;

    inventory_begin(inventory, memory, (wall_time){1800000000});
    for (const char *body; (body = inventory_body(inventory, &len)); requests++) {
        char *text = serve(server, body);
        inventory_feed(inventory, 200, text, strlen(text));
        free(text);
    }
    return requests;
}

static void a_list_in_small_pages_is_read_to_its_end(void **state)
{
    (void)state;
    static const struct list_server servers[] = {
        {25000, 5000, 500}, {25000, 50, 500}, {25000, 5000, 50}, {10000, 20, 500}};

    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct task_memory *memory = task_memory_create();
        struct inventory inventory = {0};
        read_all(&servers[i], memory, &inventory);
        if (inventory.error)
            fail_msg("%zu, %zu: %s", servers[i].query_max, servers[i].a_call, inventory.error);
        assert_int_equal(inventory.domain_count, servers[i].count);
        inventory_clear(&inventory);
        task_memory_destroy(memory);
    }
}

static void a_list_in_tiny_pages_has_an_end(void **state)
{
    (void)state;
    static const struct list_server server = {25000, 1, 500};
    struct task_memory *memory = task_memory_create();
    struct inventory inventory = {0};

    assert_in_range(read_all(&server, memory, &inventory), 200, 220);
    assert_string_equal(inventory.error, "the server lists too few at a time");
    inventory_clear(&inventory);
    task_memory_destroy(memory);
}

static void how_many_a_get_gives_is_learned_once(void **state)
{
    (void)state;
    static const struct list_server few = {1000, 5000, 60}, none = {1000, 5000, 0};
    struct task_memory *memory = task_memory_create();
    struct inventory inventory = {0};

    size_t learning = read_all(&few, memory, &inventory);
    inventory_clear(&inventory);
    assert_int_equal(memory_objects_a_call(memory), 50);
    size_t learned = read_all(&few, memory, &inventory);
    inventory_clear(&inventory);
    assert_int_equal(learning - learned, 3); /* 400, 200, 100 */

    read_all(&none, memory, &inventory);
    assert_string_equal(inventory.error, "the server refused to list tasks and domains");
    inventory_clear(&inventory);
    task_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_in_small_pages_is_read_to_its_end),
        cmocka_unit_test(a_list_in_tiny_pages_has_an_end),
        cmocka_unit_test(how_many_a_get_gives_is_learned_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
