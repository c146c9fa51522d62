#include "jmap/wire/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/array.h"
#include "jmap/wire/json_text.h"
#include "jmap/wire/method.h"
#include "jmap/wire/object_id.h"
#include "policy/no_op_id.h"

#define TASK_SET "x:Task/set"
#define FOLLOW_UP "onSuccessRenewCertificate"

static bool string_is(const json_t *value, const char *text)
{
    const char *own = json_text_value(value);

    return own && strcmp(own, text) == 0;
}

/* The arguments of a call when it is an x:Task/set, else NULL. */
static json_t *task_set_arguments(const json_t *call)
{
    json_t *arguments = json_array_get(call, 1);

    return string_is(json_array_get(call, 0), TASK_SET) && json_is_object(arguments) ? arguments
                                                                                     : NULL;
}

/* A task that is born Failed never runs. */
static bool is_born_failed(const json_t *create)
{
    return string_is(json_object_get(json_object_get(create, "status"), "@type"), "Failed");
}

static bool is_renewal(const json_t *create)
{
    return string_is(json_object_get(create, "@type"), "AcmeRenewal");
}

static bool is_followed_by_renewal(const json_t *create)
{
    return string_is(json_object_get(create, "@type"), "DnsManagement") &&
           json_is_true(json_object_get(create, FOLLOW_UP));
}

/*
 * Follows "#key" through the client's createdIds. Where a call before may have given keys another
 * meaning, only its answer tells.
 */
static const char *request_resolve(const struct jmap_request *request, const char *id)
{
    return id[0] != '#' || request->makes ? id : request_meaning(request, id);
}

const char *request_meaning(const struct jmap_request *request, const char *reference)
{
    const char *known = json_text_value(
        json_object_get(json_object_get(request->root, "createdIds"), reference + 1));

    return known ? known : reference;
}

/*
 * Brings a domain id into the one spelling that all others are compared with. `key` is NULL where
 * the server would not read it: the create then passes. False when memory ran out.
 */
static bool domain_key(struct jmap_request *request, const json_t *domain_id, const char **key)
{
    char canonical[OBJECT_ID_SIZE];
    const char *text = json_text_value(domain_id);

    *key = NULL;
    if (!text)
        return true;
    text = request_resolve(request, text);
    if (text[0] != '#') {
        if (!object_id_parse(text, canonical))
            return true;
        text = canonical;
    }
    json_t *owned = json_string(text);
    if (!owned || json_array_append_new(request->strings, owned) != 0)
        return false;
    *key = json_string_value(owned);
    return true;
}

/*
 * As the server reads it. At the epoch or before, the server makes a task that nobody can read,
 * change or remove, or one that never runs; as any other time in the past it means now, and is left
 * out.
 */
static void read_due(struct jmap_request *request, struct held_create *create)
{
    json_t *status = json_object_get(create->object, "status");

    if (!wall_time_parse_server(json_string_value(json_object_get(status, "due")), &create->asked))
        return;
    create->asked_now = create->asked.seconds <= 0;
    if (!create->asked_now)
        return;
    json_object_del(status, "due");
    request->without_due = true;
}

static bool add_create(struct jmap_request *request, size_t call, const char *key, json_t *object)
{
    const char *domain;

    if (!domain_key(request, json_object_get(object, "domainId"), &domain))
        return false;
    if (!domain)
        return true;

    struct held_create *grown =
        array_grow(request->creates, request->count, sizeof *request->creates);
    if (!grown)
        return false;
    request->creates = grown;

    struct held_create *create = &grown[request->count];
    *create = (struct held_create){
        .of_dns_task = !is_renewal(object),
        .call = call,
        .key = key,
        .domain = domain,
        .object = object,
        .asked_now = true,
    };
    read_due(request, create);
    create->original = json_text_copy(object);
    if (!create->original)
        return false;
    request->count++;
    return true;
}

static bool find_creates(struct jmap_request *request)
{
    size_t i;
    json_t *call, *object;
    const char *key;

    json_array_foreach(request->calls, i, call)
    {
        json_t *creates = json_object_get(task_set_arguments(call), "create");
        json_object_foreach(creates, key, object)
        {
            bool renews = is_renewal(object) || is_followed_by_renewal(object);
            if (renews && !is_born_failed(object) && !add_create(request, i, key, object))
                return false;
        }
        request->makes = request->makes || method_kind(call) > METHOD_READS;
    }
    return true;
}

/*
 * v0.16.5 refuses a method name that is spelled with a JSON escape, later versions read it; the
 * request must keep that property when it is written anew. Such a name is in the text fewer times
 * than among the calls.
 */
static bool has_escaped_names(const char *body, size_t len, const json_t *calls)
{
    static const char plain[] = "\"" TASK_SET "\"";
    size_t named = 0, written = 0, i;
    json_t *call;

    json_array_foreach(calls, i, call)
    {
        named += string_is(json_array_get(call, 0), TASK_SET);
    }
    for (const char *at = body, *end = body + len;
         (at = memmem(at, (size_t)(end - at), plain, sizeof plain - 1)) != NULL; at++)
        written++;
    return written < named;
}

static bool is_escaped(const char *at, const char *end, char letter)
{
    char escape[7];

    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return false;
    snprintf(escape, sizeof escape, "\\u%04x", (unsigned char)letter);
    return strncasecmp(at, escape, 6) == 0;
}

/* Whether the word is in the text, each letter as itself or as a \u escape. */
static bool has_word(const char *body, size_t len, const char *word)
{
    const char *end = body + len;

    for (const char *start = body; start < end; start++) {
        const char *at = start;
        size_t letter = 0;
        while (word[letter] && at < end &&
               (*at == word[letter] || is_escaped(at, end, word[letter])))
            at += *at == word[letter++] ? 1 : 6;
        if (!word[letter])
            return true;
    }
    return false;
}

static enum request_kind load(const char *body, size_t len, struct jmap_request *out)
{
    const size_t flags = JSON_ALLOW_NUL;
    json_error_t error = {.line = 0};
    bool no_memory;

    out->root = json_text_read(body, len, flags | JSON_REJECT_DUPLICATES, &error, &no_memory);
    if (!out->root && !no_memory && json_error_code(&error) == json_error_duplicate_key) {
        out->repeated_keys = true;
        out->root = json_text_read(body, len, flags, NULL, &no_memory);
    }
    if (out->root)
        return REQUEST_HELD;
    return no_memory ? REQUEST_NO_MEMORY : REQUEST_UNREADABLE;
}

static enum request_kind read_calls(const char *body, size_t len, struct jmap_request *out)
{
    out->calls = json_object_get(out->root, "methodCalls");
    if (!json_is_array(out->calls))
        return out->repeated_keys ? REQUEST_HELD : REQUEST_PASSES;
    out->strings = json_array();
    out->wants_created_ids = json_is_object(json_object_get(out->root, "createdIds"));
    if (!out->strings || !find_creates(out))
        return REQUEST_NO_MEMORY;
    out->escaped_names = has_escaped_names(body, len, out->calls);
    return out->count > 0 || out->repeated_keys ? REQUEST_HELD : REQUEST_PASSES;
}

bool request_may_hold(const char *body, size_t len)
{
    return has_word(body, len, "AcmeRenewal") || has_word(body, len, FOLLOW_UP);
}

enum request_kind request_parse(const char *body, size_t len, struct jmap_request *out)
{
    *out = (struct jmap_request){0};
    if (!request_may_hold(body, len))
        return REQUEST_PASSES;

    enum request_kind kind = load(body, len, out);
    if (kind == REQUEST_HELD)
        kind = read_calls(body, len, out);
    if (kind != REQUEST_HELD)
        request_clear(out);
    return kind;
}

void request_shed(struct jmap_request *request)
{
    for (size_t i = 0; i < request->count; i++) {
        struct held_create *create = &request->creates[i];
        json_decref(create->original);
        create->original = create->object = NULL;
        create->key = NULL;
    }
    request_empty_calls(request->calls);
    json_object_del(request->root, "createdIds");
}

void request_clear(struct jmap_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        json_decref(request->creates[i].original);
    free(request->creates);
    json_decref(request->strings);
    json_decref(request->root);
    *request = (struct jmap_request){0};
}

bool request_make_placeholder(struct held_create *create)
{
    return json_object_set_new(create->object, "domainId", json_string(IMPOSSIBLE_DOMAIN_ID)) == 0;
}

bool request_drop_renewal(struct held_create *create)
{
    return json_object_set_new(create->object, FOLLOW_UP, json_false()) == 0;
}

bool request_set_due(struct held_create *create, wall_time due)
{
    char text[WALL_TIME_TEXT_SIZE];

    wall_time_format(due, text);
    return json_object_set_new(create->object, "status",
                               json_pack("{s:s, s:s}", "@type", "Pending", "due", text)) == 0;
}

json_t *request_empty_call(const json_t *call)
{
    return json_pack("[s, {}, O?]", "Core/echo", json_array_get(call, 2));
}

void request_empty_calls(json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        json_t *empty = request_empty_call(json_array_get(calls, i));
        if (empty)
            json_array_set_new(calls, i, empty);
    }
}

/* Whether the server could read it as a call at all; if not, it refuses the request as a whole. */
static bool is_call(const json_t *call)
{
    return json_array_size(call) == 3 && json_is_string(json_array_get(call, 0)) &&
           json_is_string(json_array_get(call, 2));
}

/* The server says what its keys mean in the end only to who says what they mean at first. */
static bool ask_for_created_ids(struct jmap_request *request)
{
    const json_t *own = json_object_get(request->root, "createdIds");

    return (own && !json_is_null(own)) ||
           json_object_set_new(request->root, "createdIds", json_object()) == 0;
}

json_t *request_cut(struct jmap_request *request, size_t cut)
{
    json_t *rest = json_array();
    bool done = rest != NULL && ask_for_created_ids(request);

    for (size_t i = cut; done && i < json_array_size(request->calls); i++) {
        json_t *call = json_array_get(request->calls, i);
        done = json_array_append(rest, call) == 0 &&
               (!is_call(call) ||
                json_array_set_new(request->calls, i, request_empty_call(call)) == 0);
    }
    while (request->count > 0 && request->creates[request->count - 1].call >= cut)
        json_decref(request->creates[--request->count].original);
    if (done)
        return rest;
    json_decref(rest);
    return NULL;
}

char *request_text(const struct jmap_request *request, size_t *len)
{
    size_t flags = JSON_COMPACT | (request->escaped_names ? JSON_ESCAPE_SLASH : 0);
    char *text = json_text_write(request->root, flags);

    *len = text ? strlen(text) : 0;
    return text;
}
