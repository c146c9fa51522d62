#ifndef RENEWGATE_TESTS_UNIT_TASK_SERVER_H
#define RENEWGATE_TESTS_UNIT_TASK_SERVER_H

/*
 * A server in a few lines: it answers look-ups from a table and a placeholder as the recording
 * set-create-errors does.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "policy/no_op_id.h"
#include "tests/unit/created_ids.h"

struct server {
    const char *task;       /* a task object as JSON, or NULL */
    const char *not_before; /* of the one certificate, or NULL */
    const char *not_after;
    const char *create_error; /* type of the error that every create gets, or NULL */
    bool forbids_reads;
    const char *without_list; /* a method that is answered without what was asked for, or NULL */
    const char *unreadable;   /* a task that nobody can read, or NULL */
    bool refuses_moves;
    const char *move_refusal; /* a set error as JSON, or NULL */
    unsigned lookups, creates, moves;
    char last_request[4096]; /* the client's */
    char last_own[4096];     /* the gate's own that was no look-up */
};

/* The one certificate is asked for by its id, or by a query's result. */
static bool asks_for_certificate(const json_t *arguments)
{
    const json_t *ids = json_object_get(arguments, "ids"), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        if (strcmp(json_string_value(id), "jpcert") == 0)
            return true;
    }
    return json_array_size(ids) == 0;
}

static bool asks_for(const json_t *arguments, const char *task)
{
    json_t *ids = json_object_get(arguments, "ids"), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        if (task && strcmp(json_string_value(id), task) == 0)
            return true;
    }
    return false;
}

static json_t *answer_get(const struct server *server, const char *name, const char *call_id,
                          const json_t *arguments)
{
    json_t *list = json_array();

    if (strcmp(name, "x:Task/get") == 0 && strcmp(call_id, "T") == 0 && server->task)
        json_array_append_new(list, json_loads(server->task, 0, NULL));
    if (strcmp(name, "x:Domain/get") == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:b}}}", "id", "b",
                                              "name", "example.org", "certificateManagement",
                                              "@type", "Automatic", "acmeProviderId", "jp1",
                                              "subjectAlternativeNames", "mail", 1));
    if (strcmp(name, "x:AcmeProvider/get") == 0)
        json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "id", "jp1", "challengeType",
                                              "Http01", "renewBefore", "R23"));
    if (strcmp(name, "x:Certificate/get") == 0 && server->not_before &&
        asks_for_certificate(arguments))
        json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:{s:b}}", "id", "jpcert",
                                              "notValidBefore", server->not_before, "notValidAfter",
                                              server->not_after, "subjectAlternativeNames",
                                              "mail.example.org", 1));
    return json_pack("{s:s, s:o, s:[]}", "accountId", "d", "list", list, "notFound");
}

static json_t *answer_create(struct server *server, const json_t *create)
{
    const char *domain = json_string_value(json_object_get(create, "domainId"));

    if (json_object_get(create, "bogus"))
        return json_pack("{s:s}", "type", "invalidProperties");
    if (server->create_error)
        return json_pack("{s:s}", "type", server->create_error);
    if (strcmp(domain, IMPOSSIBLE_DOMAIN_ID) == 0)
        return json_pack("{s:s, s:{s:s, s:s}}", "type", "invalidForeignKey", "objectId", "object",
                         "Domain", "id", domain);
    server->creates++;
    return NULL;
}

static json_t *answer_set(struct server *server, const json_t *arguments)
{
    json_t *answer = json_pack("{s:s}", "accountId", "d"), *value;
    json_t *created = json_object(), *not_created = json_object();
    const char *key;
    size_t i;

    json_object_foreach(json_object_get(arguments, "create"), key, value)
    {
        json_t *error = answer_create(server, value);
        if (error)
            json_object_set_new(not_created, key, error);
        else
            json_object_set_new(created, key, json_pack("{s:s}", "id", "jpnew"));
    }
    json_array_foreach(json_object_get(arguments, "destroy"), i, value)
    {
        if (server->task && json_is_string(value) && strstr(server->task, json_string_value(value)))
            server->task = NULL;
    }
    json_object_foreach(json_object_get(arguments, "update"), key, value)
    {
        server->moves++;
        json_object_set_new(answer, server->refuses_moves ? "notUpdated" : "updated",
                            json_pack("{s:o}", key,
                                      server->move_refusal
                                          ? json_loads(server->move_refusal, 0, NULL)
                                          : json_null()));
    }
    if (json_object_size(created))
        json_object_set(answer, "created", created);
    if (json_object_size(not_created))
        json_object_set(answer, "notCreated", not_created);
    json_decref(created);
    json_decref(not_created);
    return answer;
}

static json_t *answer_call(struct server *server, const json_t *call)
{
    const char *name = json_string_value(json_array_get(call, 0));
    const char *call_id = json_string_value(json_array_get(call, 2));
    json_t *arguments = json_array_get(call, 1), *answer;

    if (server->forbids_reads && strcmp(name, "x:Task/set") != 0)
        return json_pack("[s, {s:s}, s]", "error", "type", "forbidden", call_id);
    if (strcmp(name, "x:Task/get") == 0 && asks_for(arguments, server->unreadable))
        return json_pack("[s, {s:s}, s]", "error", "type", "serverUnavailable", call_id);
    if (server->without_list && strcmp(name, server->without_list) == 0)
        answer = json_pack("{s:s}", "accountId", "d");
    else if (strcmp(name, "Core/echo") == 0)
        answer = json_incref(arguments);
    else if (strcmp(name, "x:Task/set") == 0)
        answer = answer_set(server, arguments);
    else if (strstr(name, "/query"))
        answer = json_pack("{s:[]}", "ids");
    else
        answer = answer_get(server, name, call_id, arguments);
    return json_pack("[s, o, s]", name, answer, call_id);
}

static char *serve(struct server *server, const char *body, size_t len)
{
    json_t *request = json_loadb(body, len, 0, NULL), *call, *responses;
    size_t i;

    if (!request)
        return strdup("not JSON");
    responses = json_array();
    json_array_foreach(json_object_get(request, "methodCalls"), i, call)
    {
        json_array_append_new(responses, answer_call(server, call));
    }
    json_t *answer = json_pack("{s:o, s:s}", "methodResponses", responses, "sessionState", "s");
    json_t *ids = serve_created_ids(request, responses);
    if (ids)
        json_object_set_new(answer, "createdIds", ids);
    char *text = json_dumps(answer, JSON_COMPACT);
    json_decref(answer);
    json_decref(request);
    return text;
}

#endif
