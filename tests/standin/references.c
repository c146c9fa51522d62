#include "tests/standin/references.h"
#include "tests/standin/ids.h"
#include "tests/standin/render.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Ids are told apart from other texts by the property that holds them. */
static bool holds_id(const char *key)
{
    size_t len = strlen(key);
    return strcmp(key, "id") == 0 || (len > 2 && strcmp(key + len - 2, "Id") == 0);
}

static void collect_id(const json_t *value, bool is_id, json_t *ids)
{
    uint64_t id;
    if (is_id && json_is_string(value) && id_parse(json_string_value(value), &id))
        json_array_append_new(ids, render_id(id));
}

static void collect(const json_t *value, char *path, bool is_id, json_t *ids)
{
    char *segment = path ? strsep(&path, "/") : NULL;
    size_t i;
    const char *key;
    json_t *item;
    if (!segment || !*segment) {
        collect_id(value, is_id, ids);
        json_array_foreach(value, i, item)
        {
            collect_id(item, is_id, ids);
        }
        return;
    }
    if (strcmp(segment, "*") == 0) {
        json_array_foreach(value, i, item)
        {
            char *rest = path ? text_copy(path) : NULL;
            collect(item, rest, is_id, ids);
            free(rest);
        }
        json_object_foreach((json_t *)value, key, item)
        {
            char *rest = path ? text_copy(path) : NULL;
            collect(item, rest, holds_id(key), ids);
            free(rest);
        }
        return;
    }
    if (json_is_array(value)) {
        char *end;
        unsigned long at = strtoul(segment, &end, 10);
        if (end != segment && !*end && json_array_get(value, at))
            collect(json_array_get(value, at), path, is_id, ids);
        return;
    }
    item = json_object_get(value, segment);
    if (item)
        collect(item, path, holds_id(segment), ids);
}

/* A new array, or NULL with the error set. */
static json_t *resolve_result(struct api_call *call, const json_t *reference,
                              const json_t *responses)
{
    const char *of = json_string_value(json_object_get(reference, "resultOf"));
    const char *name = json_string_value(json_object_get(reference, "name"));
    const char *path = json_string_value(json_object_get(reference, "path"));
    size_t i;
    json_t *response;
    if (of && name && path && path[0] == '/') {
        const char *verb = strchr(name, '/');
        const char *root = verb && strcmp(verb, "/get") == 0     ? "list"
                           : verb && strcmp(verb, "/query") == 0 ? "ids"
                                                                 : NULL;
        size_t len = root ? strlen(root) : 0;
        bool fits =
            root && strncmp(path + 1, root, len) == 0 && (path[len + 1] == '/' || !path[len + 1]);
        json_array_foreach(responses, i, response)
        {
            if (!fits || strcmp(json_string_value(json_array_get(response, 0)), name) != 0 ||
                strcmp(json_string_value(json_array_get(response, 2)), of) != 0)
                continue;
            json_t *ids = json_array();
            char *copy = text_copy(path[len + 1] ? path + len + 2 : "");
            json_t *from = json_object_get(json_array_get(response, 1), root);
            collect(from, copy, strcmp(root, "ids") == 0, ids);
            free(copy);
            return ids;
        }
    }
    char text[256];
    snprintf(text, sizeof text, "Result reference to %.100s#%.100s not found.", of ? of : "",
             name ? name : "");
    return api_fail(call, "invalidResultReference", text);
}

__attribute__((format(printf, 2, 3))) static bool fail_reference(struct api_call *call,
                                                                 const char *format, ...)
{
    char text[512];
    va_list words;
    va_start(words, format);
    vsnprintf(text, sizeof text, format, words);
    va_end(words);
    api_fail(call, "invalidResultReference", text);
    return false;
}

/* Which creates of a call refer to which others: a map of keys to arrays of keys. */
struct graph {
    json_t *edges;
    const char *from; /* the create that is being resolved */
};

static void note_edge(struct graph *graph, const char *to)
{
    json_t *list = json_object_get(graph->edges, graph->from);
    if (!list) {
        list = json_array();
        json_object_set_new(graph->edges, graph->from, list);
    }
    json_array_append_new(list, json_string(to));
}

/* Replaces "#k" in properties that hold ids. graph: what a create may mean that is made in the same
 * call; NULL in an update. */
static bool resolve_object(struct api_call *call, json_t *object, const json_t *created_ids,
                           struct graph *graph, int depth)
{
    const char *key;
    json_t *value;
    void *safe;
    if (depth >= 5)
        return true;
    json_object_foreach_safe(object, safe, key, value)
    {
        const char *text = json_string_value(value);
        if (json_is_object(value) && !resolve_object(call, value, created_ids, graph, depth + 1))
            return false;
        if (!text || text[0] != '#' || !holds_id(key))
            continue;
        json_t *id = json_object_get(created_ids, text + 1);
        if (id)
            json_object_set(object, key, id);
        else if (!graph)
            return fail_reference(call, "Id reference \"%s\" not found.", text + 1);
        else
            note_edge(graph, text + 1);
    }
    return true;
}

/* The server gives up a thousand references deep, and only then knows of a circle. */
static bool ends(const json_t *edges, const char *from, int depth)
{
    size_t i;
    json_t *to;
    if (depth > 1000)
        return false;
    json_array_foreach(json_object_get(edges, from), i, to)
    {
        if (!ends(edges, json_string_value(to), depth + 1))
            return false;
    }
    return true;
}

static bool check_graph(struct api_call *call, const json_t *edges, const json_t *create)
{
    const char *from;
    json_t *list, *to;
    size_t i;
    json_object_foreach((json_t *)edges, from, list)
    {
        json_array_foreach(list, i, to)
        {
            if (!json_object_get(create, json_string_value(to)))
                return fail_reference(call,
                                      "Invalid reference to non-existing object \"%s\" from \"%s\"",
                                      json_string_value(to), from);
        }
    }
    json_object_foreach((json_t *)edges, from, list)
    {
        if (!ends(edges, from, 1)) {
            api_fail(call, "invalidArguments", "Cyclical references are not allowed.");
            return false;
        }
    }
    return true;
}

static bool resolve_creates(struct api_call *call, const json_t *created_ids)
{
    json_t *create = json_object_get(call->args, "create"), *value;
    struct graph graph = {.edges = json_object()};
    bool good = true;
    json_object_foreach(create, graph.from, value)
    {
        good = good && resolve_object(call, value, created_ids, &graph, 0);
    }
    good = good && check_graph(call, graph.edges, create);
    json_decref(graph.edges);
    return good;
}

bool references_resolve_set(struct api_call *call, const json_t *created_ids,
                            const json_t *responses)
{
    const char *key;
    json_t *value;
    if (!resolve_creates(call, created_ids))
        return false;
    json_object_foreach(json_object_get(call->args, "update"), key, value)
    {
        if (!resolve_object(call, value, created_ids, NULL, 0))
            return false;
    }
    json_t *reference = json_object_get(call->args, "#destroy");
    if (!reference)
        return true;
    json_t *ids = resolve_result(call, reference, responses);
    if (ids)
        json_object_set_new(call->args, "destroy", ids);
    return ids != NULL;
}

bool references_resolve_get(struct api_call *call, const json_t *created_ids,
                            const json_t *responses)
{
    json_t *reference = json_object_get(call->args, "#ids");
    if (reference) {
        json_t *ids = resolve_result(call, reference, responses);
        if (ids)
            json_object_set_new(call->args, "ids", ids);
        return ids != NULL;
    }
    json_t *ids = json_object_get(call->args, "ids");
    size_t i;
    json_t *value;
    json_array_foreach(ids, i, value)
    {
        const char *text = json_string_value(value);
        if (!text || text[0] != '#')
            continue;
        json_t *id = json_object_get(created_ids, text + 1);
        if (!id)
            return fail_reference(call, "Id reference \"%s\" does not exist or is invalid.",
                                  text + 1);
        json_array_set(ids, i, id);
    }
    return true;
}
