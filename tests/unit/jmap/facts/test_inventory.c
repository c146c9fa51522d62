/*
 * The list of all tasks and domains, from a server that gives as few at a time as its operator
 * likes; what is plain costs no tree, counted in allocations. Linked with -Wl,--wrap for malloc,
 * calloc, realloc and str(n)dup.
 */

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
#include "tests/unit/wrapped_memory.h"

static size_t allocations;
static bool counting;

static bool may_allocate(void)
{
    allocations += counting;
    return true;
}

struct list_server {
    size_t count;     /* domains */
    size_t query_max; /* ids in an answer to a query */
    size_t a_call;    /* objects in a get */
    bool has_tasks;   /* one for each domain */
    bool is_odd;      /* what it tells has to be parsed */
};

static json_t *query(const struct list_server *server, const char *name, const json_t *arguments)
{
    bool tasks = strcmp(name, "x:Task/query") == 0 &&
                 !json_object_get(json_object_get(arguments, "filter"), "status");
    bool listed = tasks ? server->has_tasks : strcmp(name, "x:Domain/query") == 0;

    return list_ids(arguments, listed ? server->count : 0, server->query_max, "d", 0);
}

static json_t *object_of(const struct list_server *server, const char *name, json_t *id)
{
    json_t *object =
        strcmp(name, "x:Task/query") == 0
            ? json_pack("{s:O, s:O, s:s, s:{s:s, s:s}}", "id", id, "domainId", id, "@type",
                        "AcmeRenewal", "status", "@type", "Pending", "due", "2027-02-01T10:00:00Z")
            : json_pack("{s:O, s:O, s:{s:s, s:s, s:{s:b}}}", "id", id, "name", id,
                        "certificateManagement", "@type",
                        json_string_value(id)[1] == '7' ? "Manual" : "Automatic", "acmeProviderId",
                        "p", "subjectAlternativeNames", "mail", 1);

    if (server->is_odd)
        json_object_set_new(object, "more", json_array());
    return object;
}

static json_t *get(const struct list_server *server, const char *name, const json_t *ids)
{
    json_t *list = json_array(), *id;
    size_t i;

    if (json_array_size(ids) > server->a_call) {
        json_decref(list);
        return NULL;
    }
    json_array_foreach(ids, i, id)
    {
        json_array_append_new(list, object_of(server, name, id));
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
    json_t *objects =
        get(server, json_string_value(json_array_get(first, 0)), json_object_get(found, "ids"));
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

/* How many requests it took; the inventory is the caller's to clear. `only`: of the domains. */
static size_t read_some(const struct list_server *server, struct task_memory *memory,
                        const char *only, struct inventory *inventory)
{
    size_t requests = 0, len;

    inventory_begin(inventory, memory, (wall_time){1800000000});
    inventory->only = only;
    for (const char *body; (body = inventory_body(inventory, &len)); requests++) {
        char *text = serve(server, body);
        counting = true;
        inventory_feed(inventory, 200, text, strlen(text));
        counting = false;
        free(text);
    }
    return requests;
}

static size_t read_all(const struct list_server *server, struct task_memory *memory,
                       struct inventory *inventory)
{
    return read_some(server, memory, NULL, inventory);
}

static void a_list_in_small_pages_is_read_to_its_end(void **state)
{
    (void)state;
    static const struct list_server servers[] = {{.count = 25000, .query_max = 5000, .a_call = 500},
                                                 {.count = 25000, .query_max = 50, .a_call = 500},
                                                 {.count = 25000, .query_max = 5000, .a_call = 50},
                                                 {.count = 10000, .query_max = 20, .a_call = 500}};

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
    static const struct list_server server = {.count = 25000, .query_max = 1, .a_call = 500};
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
    static const struct list_server few = {.count = 1000, .query_max = 5000, .a_call = 60};
    static const struct list_server none = {.count = 1000, .query_max = 5000, .a_call = 0};
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

static void assert_same(const struct inventory *a, const struct inventory *b)
{
    assert_int_equal(a->domain_count, b->domain_count);
    assert_int_equal(a->task_count, b->task_count);
    assert_int_equal(a->manual_count, b->manual_count);
    for (size_t i = 0; i < a->domain_count; i++) {
        assert_string_equal(a->domains[i].id, b->domains[i].id);
        assert_string_equal(a->domains[i].name, b->domains[i].name);
        assert_string_equal(a->domains[i].provider_id, b->domains[i].provider_id);
        assert_int_equal(a->domains[i].automatic, b->domains[i].automatic);
        assert_int_equal(a->domains[i].first, b->domains[i].first);
        assert_int_equal(a->domains[i].count, b->domains[i].count);
    }
    for (size_t i = 0; i < a->task_count; i++) {
        const struct renewal_task *x = &a->tasks[i].task, *y = &b->tasks[i].task;
        assert_string_equal(a->tasks[i].domain_id, b->tasks[i].domain_id);
        assert_string_equal(x->id, y->id);
        assert_true(x->state == y->state && wall_time_equal(x->due, y->due) &&
                    wall_time_equal(x->failed_at, y->failed_at) &&
                    wall_time_equal(x->seen, y->seen) && wall_time_equal(x->tried, y->tried) &&
                    !x->failure_reason && !y->failure_reason && x->attempts == y->attempts &&
                    x->restarted == y->restarted);
    }
}

static void what_is_plain_is_read_as_what_is_not(void **state)
{
    (void)state;
    static const struct list_server servers[] = {
        {.count = 900, .query_max = 5000, .a_call = 500, .has_tasks = true},
        {.count = 900, .query_max = 5000, .a_call = 500, .has_tasks = true, .is_odd = true}};
    static const char *const names[] = {NULL, "D42", "d1000"};
    static const size_t named[] = {900, 1, 0};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct inventory inventories[2] = {0};
        struct task_memory *memory = task_memory_create();
        for (size_t s = 0; s < 2; s++)
            read_some(&servers[s], memory, names[i], &inventories[s]);
        assert_int_equal(inventories[0].task_count, 900);
        size_t with_name = 0;
        for (size_t d = 0; d < inventories[0].domain_count; d++)
            with_name += inventories[0].domains[d].name != NULL;
        assert_int_equal(with_name, named[i]);
        if (!names[i])
            assert_same(&inventories[0], &inventories[1]);
        assert_int_equal(inventories[0].manual_count, inventories[1].manual_count);
        for (size_t s = 0; s < 2; s++)
            inventory_clear(&inventories[s]);
        task_memory_destroy(memory);
    }
}

static size_t allocations_for(const struct list_server *server)
{
    struct task_memory *memory = task_memory_create();
    struct inventory inventory = {0};

    allocations = 0;
    read_all(server, memory, &inventory);
    assert_int_equal(inventory.task_count, server->count);
    inventory_clear(&inventory);
    task_memory_destroy(memory);
    return allocations;
}

static void what_is_plain_is_no_tree(void **state)
{
    (void)state;
    static const struct list_server few = {
        .count = 100, .query_max = 5000, .a_call = 500, .has_tasks = true};
    static const struct list_server many = {
        .count = 300, .query_max = 5000, .a_call = 500, .has_tasks = true};

    /* For each task and domain its id in the answer to the query, and the domain's name. */
    assert_in_range(allocations_for(&many) - allocations_for(&few), 0, 200 * 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_in_small_pages_is_read_to_its_end),
        cmocka_unit_test(a_list_in_tiny_pages_has_an_end),
        cmocka_unit_test(how_many_a_get_gives_is_learned_once),
        cmocka_unit_test(what_is_plain_is_read_as_what_is_not),
        cmocka_unit_test(what_is_plain_is_no_tree),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
