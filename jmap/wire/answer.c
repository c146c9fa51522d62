#include "jmap/wire/answer.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "policy/no_op_id.h"

/* A response of a call has its id, and its name or "error". */
static bool call_is_answered_by(const json_t *call, const json_t *response)
{
    const char *name = json_string_value(json_array_get(response, 0));

    return name && json_equal(json_array_get(call, 2), json_array_get(response, 2)) &&
           (strcmp(name, "error") == 0 ||
            json_equal(json_array_get(call, 0), json_array_get(response, 0)));
}

/*
 * Pairs calls with responses in their order. A call can have more than one response (RFC 8620,
 * section 3.4), and several calls can have one id; a call's own response has its name. Every call
 * has one: behind a call without, no response can be told to be whose.
 */
static void pair_calls(struct jmap_answer *answer, const json_t *calls, const json_t *responses)
{
    size_t next = 0;

    for (size_t i = 0; i < answer->call_count; i++) {
        const json_t *call = json_array_get(calls, i);
        while (next < json_array_size(responses) &&
               !call_is_answered_by(call, json_array_get(responses, next)))
            next++;
        json_t *response = json_array_get(responses, next++);
        const char *name = json_string_value(json_array_get(response, 0));
        if (name && strcmp(name, "x:Task/set") == 0 && json_is_object(json_array_get(response, 1)))
            answer->sets[i] = json_array_get(response, 1);
    }
}

static bool list_destroyed(struct jmap_answer *answer)
{
    bool done = answer->destroyed != NULL;
    json_t *id;
    size_t n;

    for (size_t i = 0; i < answer->call_count; i++) {
        json_array_foreach(json_object_get(answer->sets[i], "destroyed"), n, id)
        {
            const char *text = json_text_value(id);
            done =
                done && (!text || json_object_set_new(answer->destroyed, text, json_true()) == 0);
        }
    }
    return done;
}

bool answer_parse(const char *body, size_t len, const json_t *calls, struct jmap_answer *out)
{
    bool no_memory;

    *out = (struct jmap_answer){
        .root = json_text_read(body, len, JSON_ALLOW_NUL, NULL, &no_memory),
        .call_count = json_array_size(calls),
    };
    json_t *responses = json_object_get(out->root, "methodResponses");
    out->sets = calloc(out->call_count + 1, sizeof *out->sets);
    out->destroyed = json_object();
    if (out->sets && json_is_array(responses)) {
        pair_calls(out, calls, responses);
        if (list_destroyed(out))
            return true;
    }
    answer_clear(out);
    return false;
}

bool answer_is_lost(unsigned status)
{
    return status == 0 || status == 200 || status >= 500;
}

void answer_clear(struct jmap_answer *answer)
{
    free(answer->sets);
    json_decref(answer->destroyed);
    json_decref(answer->root);
    *answer = (struct jmap_answer){0};
}

static json_t *entry(const struct jmap_answer *answer, size_t call, const char *member,
                     const char *key)
{
    return call < answer->call_count
               ? json_object_get(json_object_get(answer->sets[call], member), key)
               : NULL;
}

const char *answer_created_id(const struct jmap_answer *answer, size_t call, const char *key)
{
    return json_string_value(json_object_get(entry(answer, call, "created", key), "id"));
}

const char *answer_error_type(const struct jmap_answer *answer, size_t call, const char *key)
{
    return json_string_value(json_object_get(entry(answer, call, "notCreated", key), "type"));
}

bool answer_has_destroyed(const struct jmap_answer *answer, const char *id)
{
    return json_object_get(answer->destroyed, id) != NULL;
}

bool answer_is_placeholder(const struct jmap_answer *answer, size_t call, const char *key)
{
    const char *type = answer_error_type(answer, call, key);
    const json_t *object = json_object_get(entry(answer, call, "notCreated", key), "objectId");
    const char *id = json_string_value(json_object_get(object, "id"));

    return type && strcmp(type, "invalidForeignKey") == 0 && id &&
           strcmp(id, IMPOSSIBLE_DOMAIN_ID) == 0;
}

/* The members of a set response in the order in which the server writes them. */
static bool put_in_order(json_t *set)
{
    static const char *const order[] = {"created",    "updated",    "destroyed",
                                        "notCreated", "notUpdated", "notDestroyed"};

    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        json_t *member = json_incref(json_object_get(set, order[i]));
        if (!member)
            continue;
        json_object_del(set, order[i]);
        if (json_object_set_new(set, order[i], member) != 0)
            return false;
    }
    return true;
}

/* The value is taken over. */
static bool set_entry(json_t *set, const char *member, const char *key, json_t *value)
{
    json_t *entries = json_object_get(set, member);

    if (!json_is_object(entries)) {
        entries = json_object();
        if (json_object_set_new(set, member, entries) != 0) {
            json_decref(value);
            return false;
        }
    }
    return json_object_set_new(entries, key, value) == 0 && put_in_order(set);
}

static void drop_entry(json_t *set, const char *member, const char *key)
{
    json_t *entries = json_object_get(set, member);

    json_object_del(entries, key);
    if (entries && json_object_size(entries) == 0)
        json_object_del(set, member);
}

bool answer_set_created(struct jmap_answer *answer, size_t call, const char *key, const char *id)
{
    drop_entry(answer->sets[call], "notCreated", key);
    return set_entry(answer->sets[call], "created", key, json_pack("{s:s}", "id", id));
}

bool answer_set_error(struct jmap_answer *answer, size_t call, const char *key, json_t *error)
{
    drop_entry(answer->sets[call], "created", key);
    return set_entry(answer->sets[call], "notCreated", key, error);
}

/* In an answer over WebSocket, which has an @type, the server calls them by another name. */
static const char *created_ids_name(const struct jmap_answer *answer)
{
    bool misnamed = json_object_get(answer->root, "@type") != NULL &&
                    json_object_get(answer->root, "createdIds") == NULL;

    return misnamed ? "created_ids" : "createdIds";
}

/* The kinds of responses of which the server takes what they made under a key for its meaning. */
static bool gives_keys_a_meaning(const char *name)
{
    const char *verb = name ? strrchr(name, '/') : NULL;

    return verb && (strcmp(verb, "/set") == 0 || strcmp(name, "Email/import") == 0 ||
                    strcmp(name, "Blob/upload") == 0);
}

json_t *answer_made(const struct jmap_answer *answer)
{
    json_t *made = json_object(), *response, *object;
    bool done = made != NULL;
    const char *key;
    size_t i;

    json_array_foreach(json_object_get(answer->root, "methodResponses"), i, response)
    {
        if (!gives_keys_a_meaning(json_string_value(json_array_get(response, 0))))
            continue;
        json_object_foreach(json_object_get(json_array_get(response, 1), "created"), key, object)
        {
            json_t *id = json_object_get(object, "id");
            done = done && (!json_is_string(id) || json_object_set(made, key, id) == 0);
        }
    }
    if (done)
        return made;
    json_decref(made);
    return NULL;
}

const json_t *answer_created_ids(const struct jmap_answer *answer)
{
    return json_object_get(answer->root, created_ids_name(answer));
}

/* The server's createdIds are the last member, and left out when they are empty. */
bool answer_set_created_id(struct jmap_answer *answer, const char *key, json_t *id)
{
    const char *name = created_ids_name(answer);
    json_t *ids = json_object_get(answer->root, name);

    if (!json_is_object(ids)) {
        ids = json_object();
        if (json_object_set_new(answer->root, name, ids) != 0)
            return false;
    }
    return json_object_set(ids, key, id) == 0;
}

void answer_drop_created_ids(struct jmap_answer *answer)
{
    json_object_del(answer->root, created_ids_name(answer));
}

char *answer_text(const struct jmap_answer *answer, size_t *len)
{
    char *text = json_text_write(answer->root, JSON_COMPACT);

    *len = text ? strlen(text) : 0;
    return text;
}
