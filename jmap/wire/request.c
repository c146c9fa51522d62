#include "jmap/wire/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/json_text.h"
#include "jmap/wire/object_id.h"
#include "policy/no_op_id.h"

#define TASK_SET "x:Task/set"
#define FOLLOW_UP "onSuccessRenewCertificate"

/* NULL for what is no string and for one with a NUL in it, which equals no text of ours. */
static const char *text_of(const json_t *value)
{
    const char *text = json_string_value(value);

    return text && strlen(text) == json_string_length(value) ? text : NULL;
}

static bool string_is(const json_t *value, const char *text)
{
    const char *own = text_of(value);

    return own && strcmp(own, text) == 0;
}

/* The arguments of a call when it is an x:Task/set, else NULL. */
static json_t *task_set_arguments(const json_t *call)
{
    json_t *arguments = json_array_get(call, 1);

    return string_is(json_array_get(call, 0), TASK_SET) && json_is_object(arguments) ? arguments
                                                                                     : NULL;
}

static bool is_renewal(const json_t *create)
{
    json_t *status = json_object_get(create, "status");

    /* A task that is born Failed never runs. */
    return string_is(json_object_get(create, "@type"), "AcmeRenewal") &&
           !string_is(json_object_get(status, "@type"), "Failed");
}

/* Whether one of the calls in [first, last) makes something under the key. */
static bool made_in_batch(const json_t *calls, size_t first, size_t last, const char *key)
{
    for (size_t i = first; i < last; i++) {
        json_t *arguments = json_array_get(json_array_get(calls, i), 1);
        if (json_object_get(json_object_get(arguments, "create"), key))
            return true;
    }
    return false;
}

/* Follows "#key" through the client's createdIds, unless this batch makes `key` itself. */
static const char *resolve(const struct jmap_request *request, size_t call, const char *id)
{
    if (id[0] != '#' || made_in_batch(request->calls, 0, call, id + 1))
        return id;
    const char *known =
        text_of(json_object_get(json_object_get(request->root, "createdIds"), id + 1));
    return known ? known : id;
}

/*
 * Brings a domain id into the one spelling that all others are compared with. `key` is NULL where
 * the server would not read it: the create then passes. False when memory ran out.
 */
static bool domain_key(struct jmap_request *request, size_t call, const json_t *domain_id,
                       const char **key)
{
    char canonical[OBJECT_ID_SIZE];
    const char *text = text_of(domain_id);

    *key = NULL;
    if (!text)
        return true;
    text = resolve(request, call, text);
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

static bool add_create(struct jmap_request *request, size_t call, const char *key, json_t *object)
{
    const char *domain;

    if (!domain_key(request, call, json_object_get(object, "domainId"), &domain))
        return false;
    if (!domain)
        return true;

    struct held_create *grown =
        realloc(request->creates, (request->count + 1) * sizeof *request->creates);
    if (!grown)
        return false;
    request->creates = grown;

    struct held_create *create = &grown[request->count];
    json_t *due = json_object_get(json_object_get(object, "status"), "due");
    *create = (struct held_create){
        .call = call,
        .key = key,
        .domain = domain,
        .object = object,
        .original = json_text_copy(object),
        .asked_now = true,
    };
    if (!create->original)
        return false;
    if (text_of(due))
        create->asked_now = !wall_time_parse(text_of(due), &create->asked);
    request->count++;
    return true;
}

static bool add_dns_create(struct jmap_request *request, size_t call, const char *key,
                           json_t *object)
{
    const char *domain;

    if (!domain_key(request, call, json_object_get(object, "domainId"), &domain))
        return false;
    if (!domain)
        return true;

    struct dns_create *grown =
        realloc(request->dns_creates, (request->dns_count + 1) * sizeof *request->dns_creates);
    if (!grown)
        return false;
    request->dns_creates = grown;
    grown[request->dns_count++] =
        (struct dns_create){.call = call, .key = key, .domain = domain, .object = object};
    return true;
}

static bool is_followed_by_renewal(const json_t *create)
{
    return string_is(json_object_get(create, "@type"), "DnsManagement") &&
           json_is_true(json_object_get(create, FOLLOW_UP));
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
            if (is_renewal(object) && !add_create(request, i, key, object))
                return false;
            if (is_followed_by_renewal(object) && !add_dns_create(request, i, key, object))
                return false;
        }
    }
    return true;
}

static bool note_removed(struct jmap_request *request, size_t call, const char *id)
{
    char canonical[OBJECT_ID_SIZE];

    if (!object_id_parse(resolve(request, call, id), canonical))
        return true;
    return json_object_set_new(request->removed, canonical, json_true()) == 0;
}

static bool find_removed(struct jmap_request *request)
{
    size_t i, j;
    json_t *call, *id, *patch;
    const char *key;

    json_array_foreach(request->calls, i, call)
    {
        json_t *arguments = task_set_arguments(call);
        if (json_object_get(arguments, "#destroy"))
            request->removes_unknown = true;
        json_array_foreach(json_object_get(arguments, "destroy"), j, id)
        {
            if (text_of(id) && !note_removed(request, i, text_of(id)))
                return false;
        }
        json_object_foreach(json_object_get(arguments, "update"), key, patch)
        {
            if (!note_removed(request, i, key))
                return false;
        }
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
    json_t *own_ids = json_object_get(out->root, "createdIds");

    out->calls = json_object_get(out->root, "methodCalls");
    if (!json_is_array(out->calls))
        return out->repeated_keys ? REQUEST_HELD : REQUEST_PASSES;
    out->strings = json_array();
    out->removed = json_object();
    out->aliases = json_array();
    out->wants_created_ids = json_is_object(own_ids);
    out->own_ids = out->wants_created_ids ? json_text_copy(own_ids) : NULL;
    if (!out->strings || !out->removed || !out->aliases ||
        (out->wants_created_ids && !out->own_ids) || !find_creates(out) || !find_removed(out))
        return REQUEST_NO_MEMORY;
    out->escaped_names = has_escaped_names(body, len, out->calls);
    return out->count > 0 || out->dns_count > 0 || out->repeated_keys ? REQUEST_HELD
                                                                      : REQUEST_PASSES;
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

void request_clear(struct jmap_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        json_decref(request->creates[i].original);
    free(request->creates);
    free(request->dns_creates);
    json_decref(request->aliases);
    json_decref(request->own_ids);
    json_decref(request->removed);
    json_decref(request->strings);
    json_decref(request->root);
    *request = (struct jmap_request){0};
}

bool request_mask(struct held_create *create)
{
    return json_object_set_new(create->object, "domainId", json_string(IMPOSSIBLE_DOMAIN_ID)) == 0;
}

bool request_drop_renewal(struct dns_create *create)
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

static bool note_alias(struct jmap_request *request, size_t call, const char *key, json_t *meaning)
{
    return json_array_append_new(request->aliases,
                                 json_pack("[I, s, o]", (json_int_t)call, key, meaning)) == 0;
}

bool request_has_own_id(const struct jmap_request *request, const char *key)
{
    return json_object_get(request->own_ids, key) != NULL;
}

/* Whether another call makes something under the key too: what it means changes on the way. */
static bool is_made_elsewhere(const struct jmap_request *request, size_t call, const char *key)
{
    return made_in_batch(request->calls, 0, call, key) ||
           made_in_batch(request->calls, call + 1, json_array_size(request->calls), key);
}

bool request_seed(struct jmap_request *request, size_t call, const char *key, const char *id)
{
    json_t *seeded = json_object_get(request->root, "createdIds");

    if (request_has_own_id(request, key) || is_made_elsewhere(request, call, key))
        return note_alias(request, call, key, json_string(id));
    if (!seeded || json_is_null(seeded)) {
        seeded = json_object();
        if (json_object_set_new(request->root, "createdIds", seeded) != 0)
            return false;
    }
    /* What is neither is left for the server to refuse. */
    return !json_is_object(seeded) || json_object_set_new(seeded, key, json_string(id)) == 0;
}

bool request_alias(struct jmap_request *request, size_t call, const char *key, const char *other)
{
    return note_alias(request, call, key, json_sprintf("#%s", other));
}

static bool is_reference_to(const char *text, const char *key)
{
    return text && text[0] == '#' && strcmp(text + 1, key) == 0;
}

static bool refers_to(const json_t *value, const char *key, const json_t *call_id)
{
    const json_t *result_of = json_object_get(value, "resultOf");
    const char *name;
    json_t *member;
    size_t i;

    if (is_reference_to(text_of(value), key) || (result_of && json_equal(result_of, call_id)))
        return true;
    json_array_foreach(value, i, member)
    {
        if (refers_to(member, key, call_id))
            return true;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        if (is_reference_to(name, key) || refers_to(member, key, call_id))
            return true;
    }
    return false;
}

bool request_refers_to(const struct jmap_request *request, size_t call, const char *key)
{
    const json_t *call_id = json_array_get(json_array_get(request->calls, call), 2);

    return refers_to(request->calls, key, call_id);
}

/* The server reads references to tasks in lists of ids; those in `destroy` it passes over. */
static bool resolve_ids(json_t *ids, const json_t *meanings)
{
    for (size_t i = 0; i < json_array_size(ids); i++) {
        const char *id = text_of(json_array_get(ids, i));
        json_t *meaning = id && id[0] == '#' ? json_object_get(meanings, id + 1) : NULL;
        if (meaning && json_array_set(ids, i, meaning) != 0)
            return false;
    }
    return true;
}

/* One pass over the calls, however many aliases there are: a key means what it was given last. */
static bool resolve_aliases(struct jmap_request *request)
{
    json_t *meanings = json_object(), *call, *value;
    size_t next = 0, i;
    const char *key;
    bool done = meanings != NULL;

    json_array_foreach(request->calls, i, call)
    {
        const char *name = text_of(json_array_get(call, 0));
        json_t *arguments = json_array_get(call, 1);
        if (done && name && strncmp(name, "x:Task/", 7) == 0)
            done = resolve_ids(json_object_get(arguments, "ids"), meanings);
        json_object_foreach(json_object_get(arguments, "create"), key, value)
        {
            json_object_del(meanings, key);
        }
        for (; done && next < json_array_size(request->aliases); next++) {
            const json_t *alias = json_array_get(request->aliases, next);
            if ((size_t)json_integer_value(json_array_get(alias, 0)) != i)
                break;
            done = json_object_set(meanings, json_string_value(json_array_get(alias, 1)),
                                   json_array_get(alias, 2)) == 0;
        }
    }
    json_decref(meanings);
    return done;
}

bool request_call_sets_domains(const json_t *call)
{
    const char *name = json_string_value(json_array_get(call, 0));

    return name && strcmp(name, "x:Domain/set") == 0;
}

json_t *request_empty_call(const json_t *call)
{
    return json_pack("[s, {}, O?]", "Core/echo", json_array_get(call, 2));
}

json_t *request_cut(struct jmap_request *request, size_t cut)
{
    json_t *rest = json_array();
    bool done = rest != NULL;

    for (size_t i = cut; done && i < json_array_size(request->calls); i++) {
        json_t *call = json_array_get(request->calls, i);
        done = json_array_append(rest, call) == 0 &&
               json_array_set_new(request->calls, i, request_empty_call(call)) == 0;
    }
    while (request->count > 0 && request->creates[request->count - 1].call >= cut)
        json_decref(request->creates[--request->count].original);
    while (request->dns_count > 0 && request->dns_creates[request->dns_count - 1].call >= cut)
        request->dns_count--;
    if (done)
        return rest;
    json_decref(rest);
    return NULL;
}

char *request_text(struct jmap_request *request, size_t *len)
{
    size_t flags = JSON_COMPACT | (request->escaped_names ? JSON_ESCAPE_SLASH : 0);
    bool resolved = json_array_size(request->aliases) == 0 || resolve_aliases(request);
    char *text = resolved ? json_text_write(request->root, flags) : NULL;

    *len = text ? strlen(text) : 0;
    return text;
}
