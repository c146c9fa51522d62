/*
 * JMAP: from the bytes of a request to the document that answers it. The methods themselves are in
 * task_methods.c and registry_methods.c; what they share is here.
 */
#ifndef STANDIN_API_H
#define STANDIN_API_H

#include "tests/standin/store.h"
#include "tests/standin/traffic.h"

struct api_call {
    const struct user *user;
    json_t *args;  /* references resolved; not owned by the method */
    json_t *error; /* set by a method that returns NULL */
    uint64_t account_id;
};

/* A parsed request. */
struct api_request {
    json_t *calls;
    json_t *created_ids; /* NULL when the client sent none */
    bool using_core;
};

enum api_refusal { API_GOOD, API_NOT_REQUEST, API_TOO_MANY_CALLS, API_TOO_LARGE };

/* On API_GOOD the request is to be cleared. */
enum api_refusal api_parse(enum version version, const char *body, size_t len,
                           struct api_request *request);
void api_request_clear(struct api_request *request);

/* Runs the batch; store.lock is held. faults: NULL, or what was asked to go wrong. */
json_t *api_run(const struct api_request *request, const struct user *user,
                const struct fault *fault);

/* {"type": ..., "description": ...}; an empty description is left out. */
json_t *api_error(const char *type, const char *description);
/* Puts an error into the call and returns NULL. */
json_t *api_fail(struct api_call *call, const char *type, const char *description);
/* A set error with the property it is about: property may be NULL, description too. */
json_t *set_error(const char *type, const char *description, const char *property);

/* {"accountId": ...} */
json_t *api_response(const struct api_call *call);
/* A member that is left out when it is empty. Takes value over. */
void put_unless_empty(json_t *object, const char *key, json_t *value);

/* The shared part of every /get: goes through ids (or, where there are none, through all, oldest
 * first) and keeps the properties asked for. find returns NULL when there is no such object. */
typedef json_t *find_object(uint64_t id, bool with_everything);
json_t *api_get(struct api_call *call, find_object *find, const struct ordered *all);

/* The numbers that page a query. */
struct paging {
    bool has_position, has_limit, has_anchor, has_offset, calculate_total;
    json_int_t position, limit, offset;
    uint64_t anchor;
};
/* Results of a query, built the way the server builds them. */
struct paged {
    struct paging paging;
    json_int_t limit, to_skip, index, from;
    bool anchor_found;
    json_t *ids;
    json_t *response;
};
void paging_read(const json_t *args, struct paging *paging);
void paged_start(struct paged *paged, const struct api_call *call, const struct paging *paging,
                 json_int_t total);
/* false: enough. */
bool paged_add(struct paged *paged, uint64_t id);
/* The response, or NULL with the call's error set. */
json_t *paged_finish(struct paged *paged, struct api_call *call);

/* Walks a filter; visit gets property, operator ("", "LessThan", ...) and value, and returns false
 * when it cannot take them. The call's error is set when false is returned. */
typedef bool filter_visit(const char *property, const char *op, const json_t *value, void *with);
bool api_filter(struct api_call *call, filter_visit *visit, void *with);
/* The first comparator: its property ("" for none) and direction. */
const char *api_sort(const struct api_call *call, bool *ascending);

json_t *task_get(struct api_call *call);
json_t *task_query(struct api_call *call);
json_t *task_set(struct api_call *call);
json_t *domain_get(struct api_call *call);
json_t *domain_query(struct api_call *call);
json_t *domain_set(struct api_call *call);
json_t *provider_get(struct api_call *call);
json_t *provider_query(struct api_call *call);
json_t *provider_set(struct api_call *call);
json_t *settings_get(struct api_call *call);
json_t *settings_set(struct api_call *call);
json_t *http_get(struct api_call *call);
json_t *node_get(struct api_call *call);
json_t *certificate_get(struct api_call *call);
json_t *certificate_query(struct api_call *call);
json_t *certificate_set(struct api_call *call);

#endif
