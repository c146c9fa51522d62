#ifndef RENEWGATE_PROXY_RELAY_API_CLIENT_H
#define RENEWGATE_PROXY_RELAY_API_CLIENT_H

/*
 * Requests of the gate's own to the server's API, one at a time, and their answers, whole. What an
 * answer shows beside its content, the server's time and whether it takes the gate's own
 * credential, is noted here.
 */

#include <stdbool.h>

#include "proxy/relay/gate.h"
#include "proxy/server/api_call.h"
#include "proxy/server/upstream.h"

struct request_head; /* proxy/http/request_head.h */

/* Its members are its own, but for `transfer` and `answer`. */
struct api_client {
    struct transfer *transfer; /* NULL: nothing is under way */
    struct api_answer answer;  /* the last one; its status is 0 where there is none */
    int64_t retry_after;       /* what it asks for, in seconds; or 0 */

    struct gate *gate;
    struct upstream *upstream;
    const char *credential; /* the gate's own, if it went with that; in the request's arena */
    /* `failure` is UPSTREAM_FINE where there is an answer. */
    void (*done)(void *user, enum upstream_failure failure, const char *detail);
    void *user;
};

enum api_sent {
    API_SENT,
    API_NO_MEMORY,
    API_CREDENTIAL_RESTS, /* what it was answered last is the answer to all: 401 */
};

/* `budget_client`: whose share of the budget answers take. The rest is borrowed. */
void api_client_open(struct api_client *client, struct gate *gate, struct upstream *upstream,
                     const char *budget_client,
                     void (*done)(void *user, enum upstream_failure failure, const char *detail),
                     void *user);

/*
 * Sends what api_call() has made, with an arena that outlives it; its fields are written here.
 * `request_head`: in whose name, or NULL; `as_service`: with the gate's own credential, else with
 * that.
 */
enum api_sent api_client_send(struct api_client *client, struct upstream_request *request,
                              const struct request_head *request_head, bool as_service);

/* Calls off what is under way, without done(), and frees the answer. Allowed twice. */
void api_client_clear(struct api_client *client);

#endif
