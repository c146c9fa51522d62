#include "jmap/wire/own_request.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "jmap/wire/object_id.h"

void own_request_clear(struct own_request *request)
{
    json_decref(request->calls);
    json_decref(request->response);
    free(request->body);
    *request = (struct own_request){0};
}

void own_request_begin(struct own_request *request)
{
    json_decref(request->calls);
    request->calls = json_array();
    request->incomplete = !request->calls;
}

void own_request_add(struct own_request *request, const char *method, json_t *arguments,
                     const char *call_id)
{
    if (json_array_append_new(request->calls, json_pack("[s, o, s]", method, arguments, call_id)))
        request->incomplete = true;
}

bool own_request_finish(struct own_request *request)
{
    json_t *root = json_pack("{s:[s, s], s:O}", "using", "urn:ietf:params:jmap:core",
                             "urn:stalwart:jmap", "methodCalls", request->calls);

    free(request->body);
    request->body = root && !request->incomplete ? json_text_write(root, JSON_COMPACT) : NULL;
    request->len = request->body ? strlen(request->body) : 0;
    json_decref(root);
    return request->body != NULL;
}

void own_request_add_found(struct own_request *request, const char *method, const char *query,
                           const char *query_id, json_t *properties, const char *call_id)
{
    own_request_add(request, method,
                    json_pack("{s:{s:s, s:s, s:s}, s:o*}", "#ids", "resultOf", query_id, "name",
                              query, "path", "/ids", "properties", properties),
                    call_id);
}

size_t own_request_count(const struct own_request *request)
{
    return json_array_size(request->calls);
}

const char *own_request_read_resource(struct own_request *request, unsigned status,
                                      const char *body, size_t len, bool *no_memory)
{
    *no_memory = false;
    json_decref(request->response);
    request->response = NULL;
    if (status == 0)
        return "the server did not answer";
    if (status == 401)
        return "the server does not know the credential";
    if (status == 429)
        return "the server limits the credential's requests";
    if (status != 200)
        return "the server did not answer with 200";
    request->response = json_text_read(body, len, JSON_ALLOW_NUL, NULL, no_memory);
    if (*no_memory)
        return "out of memory";
    return request->response ? NULL : "the server's answer is not JSON";
}

const char *own_request_read(struct own_request *request, unsigned status, const char *body,
                             size_t len)
{
    bool no_memory;
    const char *error = own_request_read_resource(request, status, body, len, &no_memory);

    if (error)
        return error;
    return json_is_array(json_object_get(request->response, "methodResponses"))
               ? NULL
               : "the server's answer is not one";
}

static const json_t *response_to(const struct own_request *request, const char *call_id)
{
    size_t i;
    json_t *response;

    json_array_foreach(json_object_get(request->response, "methodResponses"), i, response)
    {
        const char *id = json_string_value(json_array_get(response, 2));
        if (id && strcmp(id, call_id) == 0)
            return response;
    }
    return NULL;
}

static bool is_error(const json_t *response)
{
    const char *name = json_string_value(json_array_get(response, 0));

    return name && strcmp(name, "error") == 0;
}

json_t *own_request_answer(const struct own_request *request, const char *call_id)
{
    const json_t *response = response_to(request, call_id);

    return is_error(response) ? NULL : json_array_get(response, 1);
}

const char *own_request_error(const struct own_request *request, const char *call_id)
{
    const json_t *response = response_to(request, call_id);

    return is_error(response) ? own_request_string(json_array_get(response, 1), "type") : NULL;
}

json_t *own_request_list(const struct own_request *request, const char *call_id)
{
    return json_object_get(own_request_answer(request, call_id), "list");
}

bool own_request_goes_on(const json_t *answer, size_t asked)
{
    size_t count = json_array_size(json_object_get(answer, "ids"));
    json_int_t limit = json_integer_value(json_object_get(answer, "limit"));

    return count > 0 && (count >= asked || (limit > 0 && count >= (size_t)limit));
}

/* A get answers with a list, a query with ids. */
static bool has_shape_of(const json_t *response, const char *method)
{
    const char *member = strstr(method, "/get") ? "list" : "ids";

    return json_is_array(json_object_get(json_array_get(response, 1), member));
}

static const char *fault_of(const struct own_request *request, const json_t *call, bool *forbidden)
{
    const char *call_id = json_string_value(json_array_get(call, 2));
    const json_t *response = response_to(request, call_id), *method = json_array_get(call, 0);

    if (!response)
        return "the server left a look-up unanswered";
    if (json_equal(json_array_get(response, 0), method))
        return has_shape_of(response, json_string_value(method))
                   ? NULL
                   : "the server's answer to a look-up has no list";
    const char *type = own_request_error(request, call_id);
    *forbidden = type && strcmp(type, "forbidden") == 0;
    return *forbidden ? "the credential may not read what is needed"
                      : "the server refused a look-up";
}

const char *own_request_fault(const struct own_request *request, bool *forbidden)
{
    const char *fault = NULL;
    size_t i;
    json_t *call;

    *forbidden = false;
    json_array_foreach(request->calls, i, call)
    {
        if (!fault)
            fault = fault_of(request, call, forbidden);
    }
    return fault;
}

size_t own_request_a_call(size_t allowed)
{
    return allowed < OWN_REQUEST_IDS ? allowed : OWN_REQUEST_IDS;
}

bool own_request_is_too_large(const struct own_request *request)
{
    size_t i;
    json_t *response;

    json_array_foreach(json_object_get(request->response, "methodResponses"), i, response)
    {
        const char *type = own_request_string(json_array_get(response, 1), "type");
        if (is_error(response) && type && strcmp(type, "requestTooLarge") == 0)
            return true;
    }
    return false;
}

bool own_request_is_running(const json_t *refusal)
{
    const char *why = own_request_string(refusal, "description");

    return why && strstr(why, "currently being processed");
}

const char *own_request_string(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}

json_t *own_request_id_set(const json_t *ids)
{
    json_t *set = json_object(), *id;
    size_t i;

    json_array_foreach(ids, i, id)
    {
        if (json_is_string(id) && json_object_set(set, json_string_value(id), id) != 0) {
            json_decref(set);
            return NULL;
        }
    }
    return set;
}

wall_time own_request_time(const json_t *object, const char *member, wall_time otherwise)
{
    const char *text = own_request_string(object, member);

    if (text)
        wall_time_parse(text, &otherwise);
    return otherwise;
}

static bool read_task(const json_t *object, const char *wanted_type, wall_time now,
                      struct renewal_task *out, const char **domain_id)
{
    const char *id = own_request_string(object, "id"), *type = own_request_string(object, "@type");
    const json_t *status = json_object_get(object, "status");
    const json_t *attempts = json_object_get(status, "attemptNumber");
    const json_t *in_all = json_object_get(status, "failedAttemptNumber");
    const char *state = own_request_string(status, "@type");

    *domain_id = own_request_string(object, "domainId");
    if (!*domain_id || strlen(*domain_id) >= OBJECT_ID_SIZE || !id ||
        strlen(id) >= OBJECT_ID_SIZE || !state || !type || strcmp(type, wanted_type) != 0)
        return false;
    *out = renewal_task_waiting(id, own_request_time(status, "due", WALL_TIME_FOREVER), now);
    out->state = task_state_read(state);
    out->failed_at = own_request_time(status, "failedAt", now);
    out->failure_reason = own_request_string(status, "failureReason");
    out->restarted = json_is_integer(attempts) && json_integer_value(attempts) == 0;
    out->attempts = json_integer_value(attempts ? attempts : in_all);
    out->due = renewal_task_due(out, now);
    return true;
}

bool own_request_task(const json_t *object, wall_time now, struct renewal_task *out,
                      const char **domain_id)
{
    return read_task(object, "AcmeRenewal", now, out, domain_id);
}

bool own_request_dns_task(const json_t *object, wall_time now, struct renewal_task *out,
                          const char **domain_id)
{
    return json_is_true(json_object_get(object, "onSuccessRenewCertificate")) &&
           read_task(object, "DnsManagement", now, out, domain_id);
}
