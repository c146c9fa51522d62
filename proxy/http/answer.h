#ifndef RENEWGATE_PROXY_HTTP_ANSWER_H
#define RENEWGATE_PROXY_HTTP_ANSWER_H

/*
 * What a client is answered, as the clients' side (proxy/clients/downstream.h) takes it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/http/field.h"

enum answer_kind {
    ANSWER_EMPTY,   /* no content, whatever Content-Length says: HEAD, 204, 304 */
    ANSWER_WHOLE,   /* body and len */
    ANSWER_STREAM,  /* asked for by content(); len bytes or LENGTH_UNKNOWN */
    ANSWER_UPGRADE, /* 101, and the connection becomes the handler's: upgraded() */
};

struct answer {
    unsigned status;
    struct field_list fields; /* end-to-end ones; borrowed during the call */
    enum answer_kind kind;
    const char *body; /* borrowed until closed() */
    size_t len;
    bool close; /* the connection ends with it */
};

#endif
