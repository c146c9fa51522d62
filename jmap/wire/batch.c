#include "jmap/wire/batch.h"

#include <string.h>

#include "jmap/wire/json_text.h"
#include "jmap/wire/method.h"
#include "jmap/wire/object_id.h"

/* A walk over the calls, with what those so far may have done. */
struct walk {
    const struct jmap_request *request;
    size_t create; /* the next one */
    bool finds;    /* there may be something for result references to find */
    bool makes;    /* keys may have been given a meaning */
    bool changes;  /* what decisions rest on may have changed */
    json_t *keys;  /* object: keys of the creates so far that may be made later, or not at all */
};

static json_t *call_at(const struct jmap_request *request, size_t call)
{
    return json_array_get(request->calls, call);
}

static json_t *arguments_at(const struct jmap_request *request, size_t call)
{
    return json_array_get(call_at(request, call), 1);
}

static bool removes_by_reference(const json_t *arguments)
{
    return json_object_get(arguments, "#destroy") != NULL;
}

static bool removes(const json_t *arguments)
{
    return json_object_size(json_object_get(arguments, "update")) > 0 ||
           json_array_size(json_object_get(arguments, "destroy")) > 0 ||
           removes_by_reference(arguments);
}

static bool is_reference_to_any(const char *text, const json_t *keys)
{
    return text && text[0] == '#' && json_object_get(keys, text + 1);
}

static bool mentions(const json_t *value, const json_t *keys)
{
    const char *name;
    json_t *member;
    size_t i;

    if (is_reference_to_any(json_text_value(value), keys))
        return true;
    json_array_foreach(value, i, member)
    {
        if (mentions(member, keys))
            return true;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        if (is_reference_to_any(name, keys) || mentions(member, keys))
            return true;
    }
    return false;
}

/* Goes over the creates of one call; what they make of it. */
static bool take_creates(struct walk *walk, size_t call, bool *held, bool *refers)
{
    const struct jmap_request *request = walk->request;
    bool done = true;

    *held = *refers = false;
    for (; walk->create < request->count && request->creates[walk->create].call == call;
         walk->create++) {
        const struct held_create *create = &request->creates[walk->create];
        *held = true;
        *refers = *refers || create->domain[0] == '#';
        done = done && (create->of_dns_task ||
                        json_object_set_new(walk->keys, create->key, json_true()) == 0);
    }
    return done;
}

static void note_effects(struct walk *walk, size_t call)
{
    enum method_kind kind = method_kind(call_at(walk->request, call));

    walk->finds = walk->finds || kind >= METHOD_READS;
    walk->makes = walk->makes || kind > METHOD_READS;
    walk->changes = walk->changes || kind == METHOD_SETS_FACTS ||
                    (kind == METHOD_SETS_TASKS && removes(arguments_at(walk->request, call)));
}

/* Whether the call must wait for the answers to those before it. False in `done`: no memory. */
static bool waits(struct walk *walk, enum batch_cut cut, size_t call, bool *done)
{
    const json_t *arguments = arguments_at(walk->request, call);
    bool speaks = json_object_size(walk->keys) > 0 && mentions(arguments, walk->keys);
    bool held, refers;

    *done = take_creates(walk, call, &held, &refers);
    if (call == 0 || (refers && walk->makes))
        return call > 0;
    return cut == BATCH_CUT &&
           (speaks ||
            (held && (walk->changes || (walk->finds && removes_by_reference(arguments)))));
}

static bool find_cut(const struct jmap_request *request, enum batch_cut kind, size_t *cut)
{
    struct walk walk = {.request = request, .keys = json_object()};
    size_t count = json_array_size(request->calls);
    bool done = walk.keys != NULL;

    for (*cut = 0; done && *cut < count; ++*cut) {
        if (waits(&walk, kind, *cut, &done))
            break;
        note_effects(&walk, *cut);
    }
    json_decref(walk.keys);
    return done;
}

static bool note_removed(struct batch *batch, const char *id)
{
    char canonical[OBJECT_ID_SIZE];

    /* The server resolves no "#key" there, and passes over what is no id. */
    return !id || !object_id_parse(id, canonical) ||
           json_object_set_new(batch->removed, canonical, json_true()) == 0;
}

static bool read_removed(struct batch *batch, const json_t *arguments)
{
    json_t *id, *patch;
    const char *key;
    size_t i;

    json_array_foreach(json_object_get(arguments, "destroy"), i, id)
    {
        if (!note_removed(batch, json_text_value(id)))
            return false;
    }
    json_object_foreach(json_object_get(arguments, "update"), key, patch)
    {
        if (!note_removed(batch, key))
            return false;
    }
    return true;
}

bool batch_read(const struct jmap_request *request, enum batch_cut cut, struct batch *out)
{
    bool done = true;

    *out = (struct batch){.cut = json_array_size(request->calls), .removed = json_object()};
    if (!out->removed || (cut != BATCH_UNCUT && !find_cut(request, cut, &out->cut)))
        return false;
    for (size_t i = 0; done && i < out->cut; i++) {
        enum method_kind kind = method_kind(call_at(request, i));
        json_t *arguments = arguments_at(request, i);
        if (kind == METHOD_SETS_TASKS)
            done = read_removed(out, arguments);
        if (method_sets_certificates(call_at(request, i)))
            out->sets_certificates = true;
        if (kind == METHOD_SETS_FACTS ||
            (kind == METHOD_SETS_TASKS && removes_by_reference(arguments)))
            out->changing = i + 1;
    }
    return done;
}

void batch_clear(struct batch *batch)
{
    json_decref(batch->removed);
    *batch = (struct batch){0};
}

bool batch_changes_after(const struct batch *batch, size_t call)
{
    return call < batch->changing;
}

bool batch_removes(const struct batch *batch, const char *task_id)
{
    return json_object_get(batch->removed, task_id) != NULL;
}
