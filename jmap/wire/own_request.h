#ifndef RENEWGATE_JMAP_WIRE_OWN_REQUEST_H
#define RENEWGATE_JMAP_WIRE_OWN_REQUEST_H

/*
 * JMAP requests of the gate's own, written and their responses read: what look-ups and the machines
 * that tidy up have in common.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy/renewal_task.h"

/* Limits of the server's session object, kept well below. */
enum {
    OWN_REQUEST_IDS = 400,  /* in one get or set call; 500 allowed */
    OWN_REQUEST_CALLS = 10, /* 16 allowed */
};

/* One request, and then the response to it. Zeroed before its first use. */
struct own_request {
    json_t *calls; /* being written */
    bool incomplete;
    char *body; /* what is to be sent */
    size_t len;
    json_t *response; /* owns every string that was read from it */
};

void own_request_clear(struct own_request *request);

/* Begins a new request; the last response stays until the next is read. */
void own_request_begin(struct own_request *request);

/* Adds a call; the arguments are taken over. */
void own_request_add(struct own_request *request, const char *method, json_t *arguments,
                     const char *call_id);

/* Writes `body`; false when memory ran out, at this or at any call. */
bool own_request_finish(struct own_request *request);

/* Adds a call for the objects that a query of the same request finds; `properties` NULL for all. */
void own_request_add_found(struct own_request *request, const char *method, const char *query,
                           const char *query_id, json_t *properties, const char *call_id);

/* How many calls have been added. */
size_t own_request_count(const struct own_request *request);

/* Reads a response, whole. NULL when it is one, else why not, in words; static. */
const char *own_request_read(struct own_request *request, unsigned status, const char *body,
                             size_t len);

/* The same for a resource that is no API response: any JSON is one. */
const char *own_request_read_resource(struct own_request *request, unsigned status,
                                      const char *body, size_t len, bool *no_memory);

/*
 * NULL where every call was answered by its own method, a get with a list and a query with ids;
 * else why not, in words; static. `forbidden` says whether the credential lacks a permission.
 */
const char *own_request_fault(const struct own_request *request, bool *forbidden);

/* The arguments of the response to a call; NULL where there is none, or an error. Borrowed. */
json_t *own_request_answer(const struct own_request *request, const char *call_id);

/* The objects that answer a get; NULL where there is none, or an error. Borrowed. */
json_t *own_request_list(const struct own_request *request, const char *call_id);

/*
 * Whether the list of a query goes on behind the ids of this answer to it. If there are fewer than
 * were asked for it ends with them, unless the server lists no more at a time: then it says how
 * many it lists (RFC 8620, section 5.5).
 */
bool own_request_goes_on(const json_t *answer, size_t asked);

/* The type of the method-level error that a call got, or NULL. Borrowed. */
const char *own_request_error(const struct own_request *request, const char *call_id);

/* How many objects go into one call, where the server takes so many. */
size_t own_request_a_call(size_t allowed);

/* Whether a call was refused for naming more objects than the server takes in one (RFC 8620,
 * sections 5.1 and 5.3). */
bool own_request_is_too_large(const struct own_request *request);

/* Whether a task is not changed since it runs, by why not (recording set-update-due). */
bool own_request_is_running(const json_t *refusal);

/* A member that is a string, or NULL. */
const char *own_request_string(const json_t *object, const char *member);

/* A new object whose keys are the array's strings, to find one among many; NULL: no memory. */
json_t *own_request_id_set(const json_t *ids);

/* A member that is a time; `otherwise` where it is none. */
wall_time own_request_time(const json_t *object, const char *member, wall_time otherwise);

/*
 * Reads an AcmeRenewal from its object; false where it is none, or no task that can be understood.
 * Strings are the object's. `seen` is set to `now`.
 */
bool own_request_task(const json_t *object, wall_time now, struct renewal_task *out,
                      const char **domain_id);

/* The same of a DnsManagement that ends with a renewal. */
bool own_request_dns_task(const json_t *object, wall_time now, struct renewal_task *out,
                          const char **domain_id);

#endif
