#include "jmap/request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/object_id.h"
#include "policy/no_op_id.h"

#define TASK_SET "x:Task/set"

static bool string_is(const json_t *value, const char *text)
{
    return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
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

static bool made_in_batch(const json_t *calls, size_t before, const char *key)
{
    for (size_t i = 0; i < before; i++) {
        json_t *arguments = json_array_get(json_array_get(calls, i), 1);
        if (json_object_get(json_object_get(arguments, "create"), key))
            return true;
    }
    return false;
}

/* Follows "#key" through the client's createdIds, unless this batch makes `key` itself. */
static const char *resolve(const struct jmap_request *request, size_t call, const char *id)
{
    if (id[0] != '#' || made_in_batch(request->calls, call, id + 1))
        return id;
    json_t *known = json_object_get(json_object_get(request->root, "createdIds"), id + 1);
    return json_is_string(known) ? json_string_value(known) : id;
}

/*
 * Brings a domain id into the one spelling that all others are compared with. NULL where the
 * server would not read it, or memory ran out: the create then passes.
 */
static const char *domain_key(struct jmap_request *request, size_t call, const json_t *domain_id)
{
    char canonical[OBJECT_ID_SIZE];
    const char *text = json_string_value(domain_id);

    if (!text)
        return NULL;
    text = resolve(request, call, text);
    if (text[0] != '#') {
        if (!object_id_parse(text, canonical))
            return NULL;
        text = canonical;
    }
    json_t *owned = json_string(text);
    if (!owned || json_array_append_new(request->strings, owned) != 0)
        return NULL;
    return json_string_value(owned);
}

static bool add_create(struct jmap_request *request, size_t call, const char *key, json_t *object)
{
    const char *domain = domain_key(request, call, json_object_get(object, "domainId"));
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
        .original = json_deep_copy(object),
        .asked_now = true,
    };
    if (!create->original)
        return false;
    if (json_is_string(due))
        create->asked_now = !wall_time_parse(json_string_value(due), &create->asked);
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
            if (is_renewal(object) && !add_create(request, i, key, object))
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
            if (json_is_string(id) && !note_removed(request, i, json_string_value(id)))
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

bool request_parse(const char *body, size_t len, struct jmap_request *out)
{
    *out = (struct jmap_request){
        .root = json_loadb(body, len, JSON_ALLOW_NUL, NULL),
        .strings = json_array(),
        .removed = json_object(),
    };
    out->calls = json_object_get(out->root, "methodCalls");
    if (json_is_array(out->calls) && out->strings && out->removed && find_creates(out) &&
        out->count > 0 && find_removed(out)) {
        out->wants_created_ids = json_is_object(json_object_get(out->root, "createdIds"));
        out->escaped_names = has_escaped_names(body, len, out->calls);
        return true;
    }
    request_clear(out);
    return false;
}

void request_clear(struct jmap_request *request)
{
    for (size_t i = 0; i < request->count; i++)
        json_decref(request->creates[i].original);
    free(request->creates);
    json_decref(request->removed);
    json_decref(request->strings);
    json_decref(request->root);
    *request = (struct jmap_request){0};
}

bool request_mask(struct held_create *create)
{
    return json_object_set_new(create->object, "domainId", json_string(IMPOSSIBLE_DOMAIN_ID)) == 0;
}

bool request_set_due(struct held_create *create, wall_time due)
{
    char text[WALL_TIME_TEXT_SIZE];

    wall_time_format(due, text);
    return json_object_set_new(create->object, "status",
                               json_pack("{s:s, s:s}", "@type", "Pending", "due", text)) == 0;
}

/* A copy of what the client gave, made before the first seed overwrites it. */
#define OWN_CREATED_IDS "renewgate:createdIds"

bool request_seed(struct jmap_request *request, const char *key, const char *id)
{
    json_t *seeded = json_object_get(request->root, "createdIds");

    if (!json_is_object(seeded)) {
        seeded = json_object();
        if (json_object_set_new(request->root, "createdIds", seeded) != 0)
            return false;
    } else if (!json_object_get(request->removed, OWN_CREATED_IDS) &&
               json_object_set_new(request->removed, OWN_CREATED_IDS, json_deep_copy(seeded)) !=
                   0) {
        return false;
    }
    return json_object_set_new(seeded, key, json_string(id)) == 0;
}

const char *request_own_created_id(const struct jmap_request *request, const char *key)
{
    json_t *own = json_object_get(request->removed, OWN_CREATED_IDS);

    return json_string_value(json_object_get(own, key));
}

static bool is_reference_to(const char *text, const char *key)
{
    return text && text[0] == '#' && strcmp(text + 1, key) == 0;
}

static bool rename_reference(json_t *object, const char *from, const char *to)
{
    json_t *value = json_object_get(object, from);

    return !value ||
           (json_object_set(object, to, value) == 0 && json_object_del(object, from) == 0);
}

/* Rewrites references in the two places in which tasks are named: lists of ids, keys of updates. */
static bool alias_in_arguments(json_t *arguments, const char *key, const char *from, const char *to)
{
    static const char *const lists[] = {"ids", "destroy"};

    for (size_t l = 0; l < sizeof lists / sizeof *lists; l++) {
        json_t *list = json_object_get(arguments, lists[l]);
        for (size_t i = 0; i < json_array_size(list); i++) {
            if (is_reference_to(json_string_value(json_array_get(list, i)), key) &&
                json_array_set_new(list, i, json_string(to)) != 0)
                return false;
        }
    }
    return rename_reference(json_object_get(arguments, "update"), from, to);
}

bool request_alias(struct jmap_request *request, size_t call, const char *key, const char *other)
{
    char *from = NULL, *to = NULL;
    bool done = asprintf(&from, "#%s", key) >= 0 && asprintf(&to, "#%s", other) >= 0;

    for (size_t i = call + 1; done && i < json_array_size(request->calls); i++) {
        json_t *method = json_array_get(request->calls, i);
        const char *name = json_string_value(json_array_get(method, 0));
        json_t *arguments = json_array_get(method, 1);
        if (name && strncmp(name, "x:Task/", 7) == 0 && json_is_object(arguments))
            done = alias_in_arguments(arguments, key, from, to);
    }
    free(from);
    free(to);
    return done;
}

char *request_text(const struct jmap_request *request, size_t *len)
{
    size_t flags = JSON_COMPACT | (request->escaped_names ? JSON_ESCAPE_SLASH : 0);
    char *text = json_dumps(request->root, flags);

    *len = text ? strlen(text) : 0;
    return text;
}
