#include "tests/standin/control.h"
#include "tests/standin/bans.h"
#include "tests/standin/ca.h"
#include "tests/standin/clock.h"
#include "tests/standin/events.h"
#include "tests/standin/render.h"
#include "tests/standin/runner.h"
#include "tests/standin/traffic.h"

#include <stdlib.h>
#include <string.h>

/* A verb gets the body (NULL when there was none) and returns the document that answers, or NULL
 * with *error set. */
typedef json_t *verb(const json_t *body, const char **error);

static json_t *done(void)
{
    return json_object();
}

static json_t *get_state(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    pthread_mutex_lock(&store.lock);
    json_t *state = render_state();
    pthread_mutex_unlock(&store.lock);
    return state;
}

static json_t *put_state(const json_t *body, const char **error)
{
    pthread_mutex_lock(&store.lock);
    runner_forget();
    bool good = store_load(body, error);
    pthread_mutex_unlock(&store.lock);
    return good ? done() : NULL;
}

static json_t *add(const json_t *body, const char **error)
{
    pthread_mutex_lock(&store.lock);
    bool good = store_add(body, error);
    pthread_mutex_unlock(&store.lock);
    return good ? done() : NULL;
}

static json_t *get_clock(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    return json_pack("{s:o, s:b}", "now", render_time(clock_now()), "frozen", clock_is_frozen());
}

static json_t *post_clock(const json_t *body, const char **error)
{
    const json_t *advance = json_object_get(body, "advance");
    const char *set = json_string_value(json_object_get(body, "set"));
    const json_t *freeze = json_object_get(body, "freeze");
    int64_t when;
    if (set && !clock_parse(set, &when)) {
        *error = "set is not like 2026-01-02T03:04:05Z";
        return NULL;
    }
    if (set)
        clock_set(when);
    if (json_is_number(advance))
        clock_advance((int64_t)json_number_value(advance));
    if (json_is_boolean(freeze))
        clock_freeze(json_is_true(freeze));
    pthread_cond_broadcast(&store.changed);
    return get_clock(body, error);
}

static json_t *post_run(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    return json_pack("{s:I}", "ran", (json_int_t)runner_run_due());
}

static json_t *post_runner(const json_t *body, const char **error)
{
    const json_t *enabled = json_object_get(body, "enabled");
    const json_t *order = json_object_get(body, "order_seconds");
    const json_t *gap = json_object_get(body, "gap_seconds");
    (void)error;
    pthread_mutex_lock(&store.lock);
    if (json_is_boolean(enabled))
        store.runner.enabled = json_is_true(enabled);
    if (json_is_number(order))
        store.runner.order_seconds = json_number_value(order);
    if (json_is_number(gap))
        store.runner.gap_seconds = json_number_value(gap);
    pthread_cond_broadcast(&store.changed);
    pthread_mutex_unlock(&store.lock);
    return done();
}

static json_t *post_kill(const json_t *body, const char **error)
{
    const json_t *seconds = json_object_get(body, "lock_seconds");
    (void)error;
    pthread_mutex_lock(&store.lock);
    runner_kill(json_is_number(seconds) ? (int64_t)json_number_value(seconds) : 3600);
    pthread_cond_broadcast(&store.changed);
    pthread_mutex_unlock(&store.lock);
    return done();
}

static json_t *get_ca(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    pthread_mutex_lock(&store.lock);
    json_t *ca = ca_describe();
    pthread_mutex_unlock(&store.lock);
    return ca;
}

static json_t *post_ca(const json_t *body, const char **error)
{
    pthread_mutex_lock(&store.lock);
    bool good = ca_configure(body, error);
    pthread_mutex_unlock(&store.lock);
    return good ? get_ca(body, error) : NULL;
}

static void add_orders(const char *key, void *value, void *with)
{
    const struct san_set *set = value;
    if (set->orders)
        json_object_set_new(with, key, json_integer((json_int_t)set->orders));
}

static json_t *get_counters(const json_t *body, const char **error)
{
    json_t *orders = json_object();
    (void)body;
    (void)error;
    pthread_mutex_lock(&store.lock);
    const struct counters *c = &store.counters;
    map_each(&store.sets, add_orders, orders);
    json_t *document =
        json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:o}", "orders",
                  (json_int_t)c->orders, "certificates", (json_int_t)c->certificates, "refusals",
                  (json_int_t)c->refusals, "tasks_created", (json_int_t)c->tasks_created,
                  "creates_answered", (json_int_t)c->creates_answered, "http_requests",
                  (json_int_t)c->http_requests, "failed_logins", (json_int_t)bans_failures(),
                  "malformed_requests", (json_int_t)bans_malformed(), "methods",
                  json_deep_copy(c->methods), "orders_by_names", orders);
    pthread_mutex_unlock(&store.lock);
    return document;
}

static void forget_orders(const char *key, void *value, void *with)
{
    struct san_set *set = value;
    (void)key;
    (void)with;
    set->orders = 0;
}

static json_t *reset_counters(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    pthread_mutex_lock(&store.lock);
    bans_forget_failures();
    json_decref(store.counters.methods);
    store.counters = (struct counters){.methods = json_object()};
    map_each(&store.sets, forget_orders, NULL);
    pthread_mutex_unlock(&store.lock);
    return done();
}

static json_t *get_faults(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    return faults_describe();
}

static json_t *post_faults(const json_t *body, const char **error)
{
    return fault_add(body, error) ? done() : NULL;
}

static json_t *delete_faults(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    faults_clear();
    return done();
}

static json_t *get_log(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    return traffic_log();
}

static json_t *delete_log(const json_t *body, const char **error)
{
    (void)body;
    (void)error;
    traffic_clear();
    return done();
}

static json_t *post_event(const json_t *body, const char **error)
{
    const char *event = json_string_value(json_object_get(body, "event"));
    char *data = json_dumps(json_object_get(body, "data"), JSON_COMPACT | JSON_ENCODE_ANY);
    (void)error;
    events_push(event ? event : "state", data ? data : "{}");
    free(data);
    return done();
}

static const struct route {
    const char *method, *path;
    verb *run;
    bool needs_body;
} routes[] = {
    {"GET", "/state", get_state, false},
    {"PUT", "/state", put_state, true},
    {"POST", "/add", add, true},
    {"GET", "/clock", get_clock, false},
    {"POST", "/clock", post_clock, true},
    {"POST", "/run", post_run, false},
    {"POST", "/runner", post_runner, true},
    {"POST", "/kill", post_kill, true},
    {"GET", "/ca", get_ca, false},
    {"POST", "/ca", post_ca, true},
    {"GET", "/counters", get_counters, false},
    {"POST", "/counters/reset", reset_counters, false},
    {"GET", "/faults", get_faults, false},
    {"POST", "/faults", post_faults, true},
    {"DELETE", "/faults", delete_faults, false},
    {"GET", "/log", get_log, false},
    {"DELETE", "/log", delete_log, false},
    {"POST", "/event", post_event, true},
};

void control_answer(struct request *request, struct answer *answer)
{
    const struct route *route = NULL;
    const char *error = "no such verb; see control.h";
    json_t *document = NULL, *body = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (strcmp(routes[i].method, request->method) == 0 &&
            strcmp(routes[i].path, request->target) == 0)
            route = &routes[i];
    if (route) {
        body = json_loadb(request->body, request->len, 0, NULL);
        if (route->needs_body && !json_is_object(body))
            error = "the body is no JSON object";
        else
            document = route->run(body, &error);
    }
    json_decref(body);
    if (document)
        answer_json(answer, 200, "application/json", document);
    else
        answer_json(answer, 400, "application/json", json_pack("{s:s}", "error", error));
}
