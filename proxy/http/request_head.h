#ifndef RENEWGATE_PROXY_HTTP_REQUEST_HEAD_H
#define RENEWGATE_PROXY_HTTP_REQUEST_HEAD_H

/*
 * The head of a client's request, as the clients' side (proxy/clients/downstream.h) has read it.
 */

#include <stddef.h>

#include "proxy/http/field.h"
#include "proxy/http/forwarding.h"

/* A request's head. Lives as long as the request. */
struct request_head {
    const char *method;
    const char *version; /* "1.1" or "1.0" */
    const char *target;  /* as the client wrote it */
    size_t target_len;
    struct field_list fields; /* in their order, as the client wrote them */
    const char *peer;         /* the client's address, without the port; from.client */
    const char *id;           /* proxy/http/request_id.h */
    struct forwarding from;
};

#endif
