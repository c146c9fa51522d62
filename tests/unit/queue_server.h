#ifndef RENEWGATE_TESTS_UNIT_QUEUE_SERVER_H
#define RENEWGATE_TESTS_UNIT_QUEUE_SERVER_H

/*
 * A server in a few lines that keeps a queue of tasks: lists, updates and destroys them as the
 * recordings set-update-due-pointer and set-destroy do. One domain, "b", and one certificate. The
 * domain is there from the start; an x:Domain/set that makes or switches it queues a task.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/no_op_id.h"
#include "tests/unit/created_ids.h"

struct queue_server {
    json_t *tasks;          /* object: id -> task */
    bool refuses_destroy;   /* as v0.16.5 does */
    bool manual;            /* the domain's certificates, until it is set */
    bool queues_none;       /* an x:Domain/set queues no task */
    const char *not_before; /* of the certificate, or NULL */
    const char *not_after;
    unsigned writes;
    unsigned created;
    size_t least_live; /* the fewest live tasks that there were after any write */
};

static bool queue_is_live(const json_t *task)
{
    const json_t *status = json_object_get(task, "status");

    return strcmp(json_string_value(json_object_get(status, "@type")), "Failed") != 0;
}

static size_t queue_live(const struct queue_server *server)
{
    const char *id;
    json_t *task;
    size_t live = 0;

    json_object_foreach(server->tasks, id, task)
    {
        live += queue_is_live(task);
    }
    return live;
}

#define QUEUE_NOW "{\"@type\":\"Pending\",\"due\":\"2026-11-23T12:00:00Z\"}"

static void queue_add(struct queue_server *server, const char *id, const char *status)
{
    json_object_set_new(server->tasks, id,
                        json_pack("{s:s, s:s, s:s, s:o}", "id", id, "@type", "AcmeRenewal",
                                  "domainId", "b", "status", json_loads(status, 0, NULL)));
}

static json_t *queue_query(const struct queue_server *server, const char *name,
                           const json_t *arguments)
{
    const json_t *filter = json_object_get(arguments, "filter");
    json_int_t position = json_integer_value(json_object_get(arguments, "position"));
    json_t *ids = json_array(), *task;
    const char *id;

    if (strcmp(name, "x:Domain/query") == 0 && position == 0)
        json_array_append_new(ids, json_string("b"));
    if (strcmp(name, "x:Certificate/query") == 0 && server->not_before)
        json_array_append_new(ids, json_string("cert"));
    json_object_foreach(server->tasks, id, task)
    {
        if (strcmp(name, "x:Task/query") == 0 && position == 0 &&
            (!json_object_get(filter, "status") || !queue_is_live(task)))
            json_array_append_new(ids, json_string(id));
    }
    return json_pack("{s:o}", "ids", ids);
}

static json_t *queue_object(const struct queue_server *server, const char *name, const char *id)
{
    if (strcmp(name, "x:Task/get") == 0)
        return json_incref(json_object_get(server->tasks, id));
    if (strcmp(name, "x:Domain/get") == 0)
        return json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:b}}}", "id", "b", "name", "example.org",
                         "certificateManagement", "@type", server->manual ? "Manual" : "Automatic",
                         "acmeProviderId", "jp1", "subjectAlternativeNames", "mail", 1);
    if (strcmp(name, "x:Certificate/get") == 0 && server->not_before)
        return json_pack("{s:s, s:s, s:s, s:{s:b}}", "id", "cert", "notValidBefore",
                         server->not_before, "notValidAfter", server->not_after,
                         "subjectAlternativeNames", "mail.example.org", 1);
    return NULL;
}

static json_t *queue_get(const struct queue_server *server, const char *name,
                         const json_t *arguments, const json_t *earlier)
{
    const json_t *reference = json_object_get(arguments, "#ids");
    json_t *ids = json_object_get(arguments, "ids"), *list = json_array(), *id;
    size_t i;

    if (strcmp(name, "x:AcmeProvider/get") == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", "jp1", "challengeType",
                                              "Http01", "renewBefore", "R23"));
    json_array_foreach(earlier, i, id)
    {
        if (reference && json_equal(json_array_get(id, 2), json_object_get(reference, "resultOf")))
            ids = json_object_get(json_array_get(id, 1), "ids");
    }
    json_array_foreach(ids, i, id)
    {
        json_t *object = queue_object(server, name, json_string_value(id));
        if (object)
            json_array_append_new(list, object);
    }
    return json_pack("{s:o}", "list", list);
}

static json_t *queue_error(const char *type)
{
    return json_pack("{s:s}", "type", type);
}

static void queue_update(json_t *task, const json_t *patch)
{
    json_t *status = json_object_get(task, "status"), *value;
    const char *key;

    json_object_foreach((json_t *)patch, key, value)
    {
        if (strncmp(key, "status/", 7) == 0)
            json_object_set(status, key + 7, value);
        else
            json_object_set(task, key, value);
    }
}

static void queue_set_all(struct queue_server *server, const json_t *arguments, json_t *answer)
{
    json_t *updated = json_object(), *not_updated = json_object(), *destroyed = json_array();
    json_t *not_destroyed = json_object(), *value;
    const char *id;
    size_t i;

    json_object_foreach(json_object_get(arguments, "create"), id, value)
    {
        const char *domain = json_string_value(json_object_get(value, "domainId"));
        if (strcmp(domain, IMPOSSIBLE_DOMAIN_ID) == 0) {
            json_object_set_new(answer, "notCreated",
                                json_pack("{s:{s:s, s:{s:s, s:s}}}", id, "type",
                                          "invalidForeignKey", "objectId", "object", "Domain", "id",
                                          domain));
            continue;
        }
        json_t *asked = json_object_get(value, "status");
        char *status = asked ? json_dumps(asked, 0) : strdup(QUEUE_NOW);
        queue_add(server, "made", status);
        free(status);
        server->created++;
        json_object_set_new(answer, "created", json_pack("{s:{s:s}}", id, "id", "made"));
    }
    json_object_foreach(json_object_get(arguments, "update"), id, value)
    {
        json_t *task = json_object_get(server->tasks, id);
        if (task)
            queue_update(task, value);
        json_object_set_new(task ? updated : not_updated, id,
                            task ? json_null() : queue_error("notFound"));
    }
    json_array_foreach(json_object_get(arguments, "destroy"), i, value)
    {
        id = json_string_value(value);
        if (server->refuses_destroy)
            json_object_set_new(not_destroyed, id, queue_error("forbidden"));
        else if (json_object_del(server->tasks, id) == 0)
            json_array_append(destroyed, value);
    }
    json_object_set_new(answer, "updated", updated);
    json_object_set_new(answer, "notUpdated", not_updated);
    json_object_set_new(answer, "destroyed", destroyed);
    json_object_set_new(answer, "notDestroyed", not_destroyed);
}

static json_t *queue_set_domain(struct queue_server *server, const json_t *arguments)
{
    json_t *creates = json_object_get(arguments, "create"), *created = json_object(), *value;
    const char *key;

    server->manual = false;
    if (!server->queues_none)
        queue_add(server, "own", QUEUE_NOW);
    json_object_foreach(creates, key, value)
    {
        json_object_set_new(created, key, json_pack("{s:s}", "id", "b"));
    }
    return json_pack("{s:o}", "created", created);
}

static json_t *queue_set(struct queue_server *server, const json_t *arguments)
{
    json_t *answer = json_object();

    queue_set_all(server, arguments, answer);
    server->writes++;
    if (queue_live(server) < server->least_live)
        server->least_live = queue_live(server);
    return answer;
}

static json_t *queue_call(struct queue_server *server, const json_t *call, const json_t *earlier)
{
    const char *name = json_string_value(json_array_get(call, 0));
    const json_t *arguments = json_array_get(call, 1);

    if (json_object_get(arguments, "#destroy"))
        return json_pack("[s, o, O]", "error", queue_error("invalidResultReference"),
                         json_array_get(call, 2));
    json_t *answer = strcmp(name, "x:Domain/set") == 0 ? queue_set_domain(server, arguments)
                     : strstr(name, "/set")            ? queue_set(server, arguments)
                     : strstr(name, "/query")          ? queue_query(server, name, arguments)
                                              : queue_get(server, name, arguments, earlier);

    return json_pack("[s, o, O]", name, answer, json_array_get(call, 2));
}

/* The answer to a request, the caller's to free. */
static char *queue_serve(struct queue_server *server, const char *body, size_t len)
{
    json_t *request = json_loadb(body, len, 0, NULL), *responses = json_array(), *call;
    size_t i;

    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        json_array_append_new(responses, queue_call(server, call, responses));
    }
    json_t *answer = json_pack("{s:o}", "methodResponses", responses);
    json_t *ids = serve_created_ids(request, responses);
    if (ids)
        json_object_set_new(answer, "createdIds", ids);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(request);
    return text;
}

#endif
