#include "tests/standin/api.h"
#include "tests/standin/defaults.h"
#include "tests/standin/ids.h"
#include "tests/standin/patch.h"
#include "tests/standin/references.h"
#include "tests/standin/render.h"
#include "tests/standin/scan.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_CALLS 16
#define MAX_SIZE 10000000

static const struct method {
    const char *name;
    json_t *(*run)(struct api_call *call);
    const char *object; /* what permissions call it */
    enum { VERB_GET, VERB_QUERY, VERB_SET } verb;
} methods[] = {
    {"x:Task/get", task_get, "Task", VERB_GET},
    {"x:Task/query", task_query, "Task", VERB_QUERY},
    {"x:Task/set", task_set, "Task", VERB_SET},
    {"x:Domain/get", domain_get, "Domain", VERB_GET},
    {"x:Domain/query", domain_query, "Domain", VERB_QUERY},
    {"x:Domain/set", domain_set, "Domain", VERB_SET},
    {"x:AcmeProvider/get", provider_get, "AcmeProvider", VERB_GET},
    {"x:AcmeProvider/query", provider_query, "AcmeProvider", VERB_QUERY},
    {"x:AcmeProvider/set", provider_set, "AcmeProvider", VERB_SET},
    {"x:SystemSettings/get", settings_get, "SystemSettings", VERB_GET},
    {"x:SystemSettings/set", settings_set, "SystemSettings", VERB_SET},
    {"x:Http/get", http_get, "Http", VERB_GET},
    {"x:ClusterNode/get", node_get, "ClusterNode", VERB_GET},
    {"x:Certificate/get", certificate_get, "Certificate", VERB_GET},
    {"x:Certificate/query", certificate_query, "Certificate", VERB_QUERY},
    {"x:Certificate/set", certificate_set, "Certificate", VERB_SET},
};

json_t *api_error(const char *type, const char *description)
{
    json_t *error = json_pack("{s:s}", "type", type);
    if (description && *description)
        json_object_set_new(error, "description", json_string(description));
    return error;
}

json_t *api_fail(struct api_call *call, const char *type, const char *description)
{
    json_decref(call->error);
    call->error = api_error(type, description);
    return NULL;
}

json_t *set_error(const char *type, const char *description, const char *property)
{
    json_t *error = api_error(type, description);
    if (property)
        json_object_set_new(error, "properties", json_pack("[s]", property));
    return error;
}

json_t *api_response(const struct api_call *call)
{
    return json_pack("{s:o}", "accountId", render_id(call->account_id));
}

void put_unless_empty(json_t *object, const char *key, json_t *value)
{
    if (json_is_array(value) ? json_array_size(value) : json_object_size(value))
        json_object_set(object, key, value);
    json_decref(value);
}

/* Parsing */

static bool known_capability(const char *name)
{
    static const char *const names[] = {"core",
                                        "mail",
                                        "submission",
                                        "vacationresponse",
                                        "contacts",
                                        "contacts:parse",
                                        "calendars",
                                        "calendars:parse",
                                        "websocket",
                                        "sieve",
                                        "blob",
                                        "quota",
                                        "principals",
                                        "principals:owner",
                                        "principals:availability",
                                        "filenode",
                                        "mail:share",
                                        "emailpush",
                                        "webpush-vapid"};
    static const char prefix[] = "urn:ietf:params:jmap:";
    if (strcmp(name, "urn:stalwart:jmap") == 0)
        return true;
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name + sizeof prefix - 1, names[i]) == 0)
            return true;
    return false;
}

static bool good_using(const json_t *using, bool *core)
{
    size_t i;
    json_t *name;
    if (!json_is_array(using))
        return false;
    json_array_foreach(using, i, name)
    {
        if (!json_is_string(name) || !known_capability(json_string_value(name)))
            return false;
        *core = *core || strcmp(json_string_value(name), "urn:ietf:params:jmap:core") == 0;
    }
    return true;
}

static bool array_or_null(const json_t *value)
{
    return !value || json_is_null(value) || json_is_array(value);
}

static bool object_or_null(const json_t *value)
{
    return !value || json_is_null(value) || json_is_object(value);
}

/* The server reads arguments into typed structs; a value of another type breaks the whole request,
 * not the call. */
static bool good_arguments(const json_t *args)
{
    return array_or_null(json_object_get(args, "ids")) &&
           array_or_null(json_object_get(args, "properties")) &&
           array_or_null(json_object_get(args, "destroy")) &&
           array_or_null(json_object_get(args, "sort")) &&
           object_or_null(json_object_get(args, "create")) &&
           object_or_null(json_object_get(args, "update")) &&
           object_or_null(json_object_get(args, "filter"));
}

static bool good_calls(const json_t *calls)
{
    size_t i;
    json_t *call;
    if (!json_is_array(calls))
        return false;
    json_array_foreach(calls, i, call)
    {
        const json_t *args = json_array_get(call, 1);
        if (json_array_size(call) != 3 || !json_is_string(json_array_get(call, 0)) ||
            !json_is_string(json_array_get(call, 2)) || json_is_array(args))
            return false;
        if (strncmp(json_string_value(json_array_get(call, 0)), "x:", 2) == 0 &&
            !good_arguments(args))
            return false;
    }
    return true;
}

static bool good_created_ids(const json_t *ids)
{
    const char *key;
    json_t *value;
    uint64_t id;
    if (!json_is_object(ids))
        return !ids || json_is_null(ids);
    json_object_foreach((json_t *)ids, key, value)
    {
        if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
            return false;
    }
    return true;
}

/* A text with a NUL in it is none that the server knows, but C would see one end there. */
static void disfigure_nuls(json_t *value)
{
    const char *key, *text = json_string_value(value);
    json_t *member;
    size_t i;
    json_array_foreach(value, i, member)
    {
        disfigure_nuls(member);
    }
    json_object_foreach(value, key, member)
    {
        disfigure_nuls(member);
    }
    if (!text || strlen(text) == json_string_length(value))
        return;
    char *copy = malloc(json_string_length(value) + 1);
    if (!copy)
        abort();
    memcpy(copy, text, json_string_length(value) + 1);
    for (size_t at = 0; at < json_string_length(value); at++)
        copy[at] = copy[at] ? copy[at] : '\x7f';
    json_string_setn(value, copy, json_string_length(value));
    free(copy);
}

/*
 * The server keeps an error inside of a call's arguments as that call's own and reads on where it
 * stopped, be the braces closed or not. Here that is so of numbers that are too large in a
 * Core/echo, and of a limit in an x:Task/query that is a text. Cuts these arguments out of a copy,
 * to be freed; NULL where there is nothing of the kind.
 */
static char *read_on(const char *body, size_t len, size_t *read_len)
{
    static const char echo[] = "[\"Core/echo\",", query[] = "[\"x:Task/query\",",
                      limit[] = "\"limit\":\"";
    json_error_t error;
    json_t *root = json_loadb(body, len, JSON_ALLOW_NUL, &error);
    json_decref(root);
    if (root || error.position <= 0 || (size_t)error.position > len)
        return NULL;
    bool overflow = json_error_code(&error) == json_error_numeric_overflow;
    const char *opening = overflow ? echo : query;
    const char *stop = body + error.position, *arguments = NULL;
    for (const char *at = body;
         (at = memmem(at, (size_t)(stop - at), opening, strlen(opening))) != NULL; at++)
        arguments = at + strlen(opening);
    if (arguments && !overflow) {
        const char *value = memmem(arguments, (size_t)(stop - arguments), limit, sizeof limit - 1);
        const char *end =
            value ? memchr(value + sizeof limit - 1, '"', (size_t)(stop - value) - sizeof limit + 1)
                  : NULL;
        arguments = end ? arguments : NULL;
        stop = end ? end + 1 : stop;
    }
    char *text = arguments ? malloc(len + sizeof "null") : NULL;
    if (!text)
        return NULL;
    size_t before = (size_t)(arguments - body), behind = (size_t)(body + len - stop);
    memcpy(text, body, before);
    memcpy(text + before, "null", 4);
    memcpy(text + before + 4, stop, behind);
    *read_len = before + 4 + behind;
    return text;
}

static void drop_repeated_types(json_t *calls)
{
    json_t *call, *create;
    const char *key;
    size_t i;
    json_array_foreach(calls, i, call)
    {
        json_object_foreach(json_object_get(json_array_get(call, 1), "create"), key, create)
        {
            scan_drop_marked(create);
        }
    }
}

enum api_refusal api_parse(enum version version, const char *body, size_t len,
                           struct api_request *request)
{
    *request = (struct api_request){0};
    if (len > MAX_SIZE)
        return API_TOO_LARGE;
    size_t read_len = len;
    char *read = read_on(body, len, &read_len), *marked;
    marked = scan_mark_repeated(read ? read : body, read_len, &read_len);
    if (marked) {
        free(read);
        read = marked;
    }
    json_t *root = json_loadb(read ? read : body, read_len, JSON_ALLOW_NUL, NULL);
    free(read);
    enum api_refusal refusal = API_NOT_REQUEST;
    if (!json_is_object(root) || !scan_readable(body, len, version == VERSION_0_16_5))
        goto done;
    json_t *using = json_object_get(root, "using");
    json_t *calls = json_object_get(root, "methodCalls");
    json_t *created_ids = json_object_get(root, "createdIds");
    if (version != VERSION_0_16_5 && (!using || !calls))
        goto done;
    if ((using && !good_using(using, &request->using_core)) || (calls && !good_calls(calls)) ||
        !good_created_ids(created_ids))
        goto done;
    refusal = API_TOO_MANY_CALLS;
    if (json_array_size(calls) > MAX_CALLS)
        goto done;
    disfigure_nuls(calls);
    drop_repeated_types(calls);
    request->calls = calls ? json_incref(calls) : json_array();
    request->created_ids = json_is_object(created_ids) ? json_incref(created_ids) : NULL;
    refusal = API_GOOD;
done:
    json_decref(root);
    return refusal;
}

void api_request_clear(struct api_request *request)
{
    json_decref(request->calls);
    json_decref(request->created_ids);
}

/* Permissions */

static bool may_set(struct api_call *call, const char *object)
{
    static const char *const verbs[] = {"Create", "Update", "Destroy"};
    static const char *const members[] = {"create", "update", "destroy"};
    static const char *const words[] = {"create", "update", "destroy"};
    bool may[3];
    for (int i = 0; i < 3; i++) {
        char permission[64];
        snprintf(permission, sizeof permission, "sys%s%s", object, verbs[i]);
        may[i] = user_may(call->user, permission);
    }
    if (!may[0] && !may[1] && !may[2]) {
        api_fail(call, "forbidden",
                 "You are not authorized to create, update or destroy objects of this type");
        return false;
    }
    for (int i = 0; i < 3; i++) {
        const json_t *wanted = json_object_get(call->args, members[i]);
        size_t count = json_is_array(wanted) ? json_array_size(wanted) : json_object_size(wanted);
        if (may[i] || !count)
            continue;
        char text[128];
        snprintf(text, sizeof text, "You are not authorized to %s objects of this type", words[i]);
        api_fail(call, "forbidden", text);
        return false;
    }
    return true;
}

static bool may_call(struct api_call *call, const struct method *method)
{
    char permission[64];
    if (method->verb == VERB_SET)
        return may_set(call, method->object);
    snprintf(permission, sizeof permission, "sys%s%s", method->object,
             method->verb == VERB_GET ? "Get" : "Query");
    if (user_may(call->user, permission))
        return true;
    api_fail(call, "forbidden", "You are not authorized to perform this action");
    return false;
}

static bool own_account(struct api_call *call)
{
    const char *text = json_string_value(json_object_get(call->args, "accountId"));
    uint64_t id;
    call->account_id = call->user->account_id;
    if (!text || !id_parse(text, &id) || id >= ID_NONE - 1 || id == call->account_id)
        return true;
    call->account_id = id;
    if (call->user->all)
        return true;
    char text_id[ID_TEXT], words[96];
    id_format(id, text_id);
    snprintf(words, sizeof words, "You are not an owner of account %s", text_id);
    api_fail(call, "forbidden", words);
    return false;
}

/* The batch */

static json_t *run_call(const struct api_request *request, const char *name, struct api_call *call,
                        const json_t *created_ids, const json_t *responses)
{
    const struct method *method = NULL;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strcmp(methods[i].name, name) == 0)
            method = &methods[i];
    if (strcmp(name, "Core/echo") == 0) {
        if (!request->using_core && store.version != VERSION_0_16_5)
            return api_fail(call, "unknownMethod",
                            "Method Core/echo requires capability urn:ietf:params:jmap:core which "
                            "is not present in the \"using\" property.");
        if (!user_may(call->user, "jmapCoreEcho"))
            return api_fail(call, "forbidden", "You are not authorized to perform this action");
        return json_incref(call->args);
    }
    if (!method)
        return api_fail(call, "unknownMethod", name);
    if (!json_is_object(call->args))
        return api_fail(call, "invalidArguments",
                        "invalid type: null, expected a JMAP request object");
    if (method->verb == VERB_SET   ? !references_resolve_set(call, created_ids, responses)
        : method->verb == VERB_GET ? !references_resolve_get(call, created_ids, responses)
                                   : false)
        return NULL;
    if (!may_call(call, method) || !own_account(call))
        return NULL;
    const json_t *ids = json_object_get(call->args, "ids");
    size_t objects = json_array_size(ids);
    if (method->verb == VERB_SET)
        objects = json_object_size(json_object_get(call->args, "create")) +
                  json_object_size(json_object_get(call->args, "update")) +
                  json_array_size(json_object_get(call->args, "destroy"));
    if (objects > store.objects_max)
        return api_fail(call, "requestTooLarge",
                        "The number of ids requested by the client exceeds the maximum number the "
                        "server is willing to process in a single method call.");
    return method->run(call);
}

static void note_created(json_t *created_ids, const json_t *response)
{
    const char *key;
    json_t *object;
    json_object_foreach(json_object_get(response, "created"), key, object)
    {
        json_object_set(created_ids, key, json_object_get(object, "id"));
    }
}

json_t *api_run(const struct api_request *request, const struct user *user,
                const struct fault *fault)
{
    json_t *responses = json_array();
    json_t *created_ids =
        request->created_ids ? json_deep_copy(request->created_ids) : json_object();
    size_t i;
    json_t *item;
    json_array_foreach(request->calls, i, item)
    {
        const char *name = json_string_value(json_array_get(item, 0));
        struct api_call call = {.user = user, .args = json_deep_copy(json_array_get(item, 1))};
        json_t *count = json_object_get(store.counters.methods, name);
        json_object_set_new(store.counters.methods, name,
                            json_integer(json_integer_value(count) + 1));
        json_t *response;
        if (fault && fault->method_error && (!fault->method || !strcmp(fault->method, name)))
            response = api_fail(&call, fault->method_error, fault->method_error_description);
        else
            response = run_call(request, name, &call, created_ids, responses);
        scan_unmark(json_object_get(response, "create")); /* of an echo */
        scan_unmark(json_object_get(response, "created"));
        scan_unmark(json_object_get(response, "notCreated"));
        if (response && strstr(name, "/set"))
            note_created(created_ids, response);
        json_array_append_new(responses,
                              json_pack("[s,o,O]", response ? name : "error",
                                        response ? response : call.error, json_array_get(item, 2)));
        json_decref(call.args);
    }
    json_t *whole = json_pack("{s:o, s:s}", "methodResponses", responses, "sessionState",
                              session_state(store.version));
    if (request->created_ids && json_object_size(created_ids))
        json_object_set(whole, "createdIds", created_ids);
    json_decref(created_ids);
    return whole;
}

/* What the /get methods share */

static void keep_properties(json_t *object, const json_t *wanted)
{
    const char *key;
    json_t *value;
    void *safe;
    json_object_foreach_safe(object, safe, key, value)
    {
        if (strcmp(key, "id") != 0 && !json_object_get(wanted, key))
            json_object_del(object, key);
    }
}

json_t *api_get(struct api_call *call, find_object *find, const struct ordered *all)
{
    json_t *response = api_response(call);
    json_t *list = json_array(), *not_found = json_array(), *wanted = json_object();
    json_t *ids = json_object_get(call->args, "ids");
    size_t i;
    json_t *value;
    json_array_foreach(json_object_get(call->args, "properties"), i, value)
    {
        if (json_is_string(value) && is_property(json_string_value(value)))
            json_object_set_new(wanted, json_string_value(value), json_true());
    }
    bool everything = !json_object_size(wanted);
    bool heavy = everything || json_object_get(wanted, "certificate") ||
                 json_object_get(wanted, "privateKey");
    /* Ids that are none come first among those not found: they are sorted out before the rest. */
    json_array_foreach(ids, i, value)
    {
        uint64_t id;
        if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
            json_array_append(not_found, value);
    }
    struct ordered_node *node = json_is_array(ids) || !all ? NULL : all->head[0];
    for (i = 0; json_is_array(ids) ? i < json_array_size(ids) : node && i < store.objects_max;
         i++) {
        uint64_t id;
        if (node) {
            id = node->id;
            node = node->next[0];
        } else {
            value = json_array_get(ids, i);
            if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
                continue;
        }
        json_t *object = find(id, heavy);
        if (!object) {
            if (json_is_array(ids))
                json_array_append_new(not_found, render_id(id));
            continue;
        }
        if (!everything)
            keep_properties(object, wanted);
        json_array_append_new(list, object);
    }
    json_decref(wanted);
    json_object_set_new(response, "list", list);
    json_object_set_new(response, "notFound", not_found);
    return response;
}

/* What the /query methods share */

void paging_read(const json_t *args, struct paging *paging)
{
    const json_t *position = json_object_get(args, "position");
    const json_t *limit = json_object_get(args, "limit");
    const json_t *offset = json_object_get(args, "anchorOffset");
    const char *anchor = json_string_value(json_object_get(args, "anchor"));
    *paging = (struct paging){
        .has_position = json_is_integer(position),
        .position = json_integer_value(position),
        .has_limit = json_is_integer(limit),
        .limit = json_integer_value(limit),
        .has_offset = json_is_integer(offset),
        .offset = json_integer_value(offset),
        .has_anchor = anchor != NULL,
        .calculate_total = json_is_true(json_object_get(args, "calculateTotal")),
    };
    if (anchor && !id_parse(anchor, &paging->anchor))
        paging->anchor = ID_NONE;
}

void paged_start(struct paged *paged, const struct api_call *call, const struct paging *paging,
                 json_int_t total)
{
    json_int_t limit =
        paging->has_limit && paging->limit < store.query_max ? paging->limit : store.query_max;
    *paged = (struct paged){
        .paging = *paging,
        .limit = limit < total ? limit : total,
        .to_skip = paging->position,
        .ids = json_array(),
        .response = api_response(call),
    };
    json_object_set_new(paged->response, "queryState", json_string("n"));
    json_object_set_new(paged->response, "canCalculateChanges", json_true());
    json_object_set_new(paged->response, "position", json_integer(0));
    json_object_set(paged->response, "ids", paged->ids);
    if (paging->calculate_total)
        json_object_set_new(paged->response, "total", json_integer(total));
    if (total > limit)
        json_object_set_new(paged->response, "limit", json_integer(limit));
}

bool paged_add(struct paged *paged, uint64_t id)
{
    json_int_t count = (json_int_t)json_array_size(paged->ids);
    if (!paged->paging.has_anchor) {
        if (paged->to_skip > 0) {
            paged->to_skip--;
            return true;
        }
        json_array_append_new(paged->ids, render_id(id));
        return paged->to_skip < 0 || count + 1 != paged->limit;
    }
    json_int_t at = paged->index++;
    if (id == paged->paging.anchor) {
        paged->anchor_found = true;
        paged->from = at + paged->paging.offset > 0 ? at + paged->paging.offset : 0;
    }
    if (paged->paging.offset >= 0) {
        if (!paged->anchor_found || at < paged->from)
            return true;
        json_array_append_new(paged->ids, render_id(id));
        return !(paged->limit > 0 && count + 1 == paged->limit);
    }
    json_array_append_new(paged->ids, render_id(id));
    return !(paged->anchor_found && paged->limit > 0 && count + 1 >= paged->from + paged->limit);
}

/* Keeps what lies from start on, at most the limit. */
static void slice(struct paged *paged, size_t start)
{
    while (start-- && json_array_size(paged->ids))
        json_array_remove(paged->ids, 0);
    while (paged->limit > 0 && (json_int_t)json_array_size(paged->ids) > paged->limit)
        json_array_remove(paged->ids, json_array_size(paged->ids) - 1);
}

json_t *paged_finish(struct paged *paged, struct api_call *call)
{
    json_t *response = paged->response;
    json_int_t position = 0;
    if (paged->paging.has_anchor) {
        if (!paged->anchor_found) {
            json_decref(paged->ids);
            json_decref(response);
            return api_fail(call, "anchorNotFound",
                            "An anchor argument was supplied, but it cannot be found in the "
                            "results of the query.");
        }
        if (paged->paging.offset < 0)
            slice(paged, (size_t)paged->from);
        /* The older version forgets to say where the anchor led. */
        position = store.version == VERSION_0_16_5 ? 0 : paged->from;
    } else if (paged->paging.position >= 0) {
        position = paged->to_skip == 0 ? paged->paging.position : 0;
    } else {
        json_int_t count = (json_int_t)json_array_size(paged->ids);
        position = -paged->paging.position < count ? count + paged->paging.position : 0;
        slice(paged, (size_t)position);
    }
    json_object_set_new(response, "position", json_integer(position));
    json_decref(paged->ids);
    return response;
}

static const char *const operators[] = {"LessThanOrEqual", "LessThan", "GreaterThanOrEqual",
                                        "GreaterThan"};

static bool filter_condition(struct api_call *call, const char *key, const json_t *value,
                             filter_visit *visit, void *with)
{
    char property[128];
    const char *op = "";
    snprintf(property, sizeof property, "%s", key);
    for (size_t i = 0; !is_property(property) && i < sizeof operators / sizeof *operators; i++) {
        size_t len = strlen(property), tail = strlen(operators[i]);
        if (len > tail + 2 && strcmp(property + len - tail, operators[i]) == 0 &&
            strncmp(property + len - tail - 2, "Is", 2) == 0) {
            op = operators[i];
            property[len - tail - 2] = '\0';
        }
    }
    if (!is_property(property)) {
        api_fail(call, "unsupportedFilter", key);
        return false;
    }
    if (visit(property, op, value, with))
        return true;
    char text[256];
    snprintf(text, sizeof text, "Filter on property %s is not supported or invalid", property);
    api_fail(call, "unsupportedFilter", text);
    return false;
}

static bool filter_object(struct api_call *call, const json_t *filter, filter_visit *visit,
                          void *with)
{
    const char *op = json_string_value(json_object_get(filter, "operator"));
    const json_t *conditions = json_object_get(filter, "conditions");
    const char *key;
    json_t *value;
    size_t i;
    if (conditions && op && strcmp(op, "AND") != 0) {
        api_fail(call, "unsupportedFilter", "Only AND is supported in filters");
        return false;
    }
    json_array_foreach(conditions, i, value)
    {
        if (!filter_object(call, value, visit, with))
            return false;
    }
    json_object_foreach((json_t *)filter, key, value)
    {
        if (strcmp(key, "operator") != 0 && strcmp(key, "conditions") != 0 &&
            !filter_condition(call, key, value, visit, with))
            return false;
    }
    return true;
}

bool api_filter(struct api_call *call, filter_visit *visit, void *with)
{
    return filter_object(call, json_object_get(call->args, "filter"), visit, with);
}

const char *api_sort(const struct api_call *call, bool *ascending)
{
    const json_t *first = json_array_get(json_object_get(call->args, "sort"), 0);
    const char *property = json_string_value(json_object_get(first, "property"));
    *ascending = first && !json_is_false(json_object_get(first, "isAscending"));
    return property ? property : "";
}
