#include "tests/standin/traffic.h"
#include "tests/standin/clock.h"
#include "tests/standin/store.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FAULTS 64
#define MAX_LOG 1000
#define MAX_BODY (1 << 20)

static pthread_mutex_t traffic_lock = PTHREAD_MUTEX_INITIALIZER;
static struct fault faults[MAX_FAULTS];
static size_t fault_count;
static unsigned long generation;
static json_t *entries[MAX_LOG];
static size_t entry_count, entry_next;

static char *copy_member(const json_t *json, const char *key)
{
    return text_copy(json_string_value(json_object_get(json, key)));
}

bool fault_add(const json_t *json, const char **error)
{
    if (!json_is_object(json)) {
        *error = "a fault is an object";
        return false;
    }
    const json_t *times = json_object_get(json, "times");
    struct fault fault = {
        .match = copy_member(json, "match"),
        .user = copy_member(json, "user"),
        .die = copy_member(json, "die"),
        .skip = (long)json_integer_value(json_object_get(json, "skip")),
        .method = copy_member(json, "method"),
        .method_error = copy_member(json, "method_error"),
        .method_error_description = copy_member(json, "description"),
        .body = copy_member(json, "body"),
        .content_type = copy_member(json, "content_type"),
        .delay_ms = (int)json_integer_value(json_object_get(json, "delay_ms")),
        .hang = json_is_true(json_object_get(json, "hang")),
        .close = json_is_true(json_object_get(json, "close")),
        .garbage = json_is_true(json_object_get(json, "garbage")),
        .truncate = json_is_true(json_object_get(json, "truncate")),
        .after = json_is_true(json_object_get(json, "after")),
        .status = (unsigned)json_integer_value(json_object_get(json, "status")),
        .times = json_is_integer(times) ? (long)json_integer_value(times) : -1,
        .retry_after = json_integer_value(json_object_get(json, "retry_after")),
        .retry_after_date = json_is_true(json_object_get(json, "retry_after_date")),
    };
    pthread_mutex_lock(&traffic_lock);
    bool room = fault_count < MAX_FAULTS;
    if (room)
        faults[fault_count++] = fault;
    pthread_mutex_unlock(&traffic_lock);
    if (!room) {
        fault_free(&fault);
        *error = "too many faults";
    }
    return room;
}

void fault_free(struct fault *fault)
{
    free(fault->match);
    free(fault->user);
    free(fault->die);
    free(fault->method);
    free(fault->method_error);
    free(fault->method_error_description);
    free(fault->body);
    free(fault->content_type);
}

void faults_clear(void)
{
    pthread_mutex_lock(&traffic_lock);
    while (fault_count)
        fault_free(&faults[--fault_count]);
    generation++;
    pthread_mutex_unlock(&traffic_lock);
}

unsigned long faults_generation(void)
{
    pthread_mutex_lock(&traffic_lock);
    unsigned long now = generation;
    pthread_mutex_unlock(&traffic_lock);
    return now;
}

json_t *faults_describe(void)
{
    json_t *list = json_array();
    pthread_mutex_lock(&traffic_lock);
    for (size_t i = 0; i < fault_count; i++)
        json_array_append_new(list, json_pack("{s:s?, s:I, s:I}", "match", faults[i].match, "times",
                                              (json_int_t)faults[i].times, "met",
                                              (json_int_t)faults[i].met));
    pthread_mutex_unlock(&traffic_lock);
    return list;
}

/* Begins the time of one that has such, at the first request; true when it is over. */
static bool is_over(struct fault *fault)
{
    int64_t now = clock_now_ms();
    if (!fault->retry_after)
        return false;
    if (!fault->until_ms)
        fault->until_ms = now + fault->retry_after * 1000;
    return now >= fault->until_ms;
}

/* Whether the request is one of its kind; the first `skip` of those are let be. */
static bool fits(struct fault *fault, const char *target, const char *user, const char *body,
                 size_t len)
{
    const char *match = fault->match;
    if (!fault->times || (fault->user && strcmp(fault->user, user) != 0) ||
        (match && !strstr(target, match) && !memmem(body, len, match, strlen(match))) ||
        is_over(fault))
        return false;
    return fault->skip == 0 || fault->skip-- == 0;
}

bool fault_take(const char *target, const char *user, const char *body, size_t len,
                struct fault *taken)
{
    bool found = false;
    pthread_mutex_lock(&traffic_lock);
    for (size_t i = 0; i < fault_count && !found; i++) {
        struct fault *fault = &faults[i];
        if (!fits(fault, target, user, body, len))
            continue;
        if (fault->times > 0)
            fault->times--;
        fault->met++;
        *taken = *fault;
        taken->match = text_copy(fault->match);
        taken->user = text_copy(fault->user);
        taken->die = text_copy(fault->die);
        taken->method = text_copy(fault->method);
        taken->method_error = text_copy(fault->method_error);
        taken->method_error_description = text_copy(fault->method_error_description);
        taken->body = text_copy(fault->body);
        taken->content_type = text_copy(fault->content_type);
        found = true;
    }
    pthread_mutex_unlock(&traffic_lock);
    return found;
}

void traffic_note(const char *method, const char *target, const char *version, json_t *headers,
                  const char *body, size_t len)
{
    json_t *text = json_stringn(body, len < MAX_BODY ? len : MAX_BODY);
    json_t *shown = json_string(target);
    if (!shown)
        shown = json_null();
    json_t *entry = json_pack("{s:s, s:o, s:s, s:o, s:o, s:I}", "method", method, "target", shown,
                              "version", version, "headers", headers, "body",
                              text ? text : json_null(), "body_length", (json_int_t)len);
    pthread_mutex_lock(&traffic_lock);
    json_decref(entries[entry_next]);
    entries[entry_next] = entry;
    entry_next = (entry_next + 1) % MAX_LOG;
    if (entry_count < MAX_LOG)
        entry_count++;
    pthread_mutex_unlock(&traffic_lock);
}

json_t *traffic_log(void)
{
    json_t *list = json_array();
    pthread_mutex_lock(&traffic_lock);
    for (size_t i = 0; i < entry_count; i++)
        json_array_append(list, entries[(entry_next + MAX_LOG - entry_count + i) % MAX_LOG]);
    pthread_mutex_unlock(&traffic_lock);
    return list;
}

void traffic_clear(void)
{
    pthread_mutex_lock(&traffic_lock);
    for (size_t i = 0; i < MAX_LOG; i++) {
        json_decref(entries[i]);
        entries[i] = NULL;
    }
    entry_count = entry_next = 0;
    pthread_mutex_unlock(&traffic_lock);
}
