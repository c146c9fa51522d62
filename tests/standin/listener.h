/*
 * libmicrohttpd behind one function: a whole request in, a whole answer out. One thread for each
 * connection, so that an answer may take its time.
 */
#ifndef STANDIN_LISTENER_H
#define STANDIN_LISTENER_H

#include <jansson.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/standin/clock.h"

#define LISTENER_BODY_MAX (64 << 20)

struct request {
    struct MHD_Connection *connection;
    char *target;        /* as it came */
    const char *method;  /* until the answer is given */
    const char *version; /* HTTP/1.1 */
    char *body;          /* NUL-terminated; only the first max_body bytes */
    size_t len;          /* of what was kept */
    size_t room;
    size_t received;
    bool begun;
    struct listener *listener;
};

#define ANSWER_HEADERS 8

struct answer {
    unsigned status;
    char *body; /* owned */
    size_t len;
    const char *headers[ANSWER_HEADERS][2];
    size_t header_count;
    char retry_after[CLOCK_TEXT];  /* room for that field's value */
    struct MHD_Response *response; /* instead of body: a stream or an upgrade */
    bool close;                    /* no answer at all */
    bool truncate;                 /* half of the body, then the end */
};

struct listener {
    struct MHD_Daemon *daemon;
    unsigned port;
    size_t max_body; /* what of a body is kept; 0: all */
    void (*answer)(struct request *request, struct answer *answer);
    bool (*admits)(void); /* or NULL: who connects is let in */
};

/* address: 127.0.0.1:8080; port 0 asks for any. false after a line on stderr. */
bool listener_start(struct listener *listener, const char *address);
void listener_stop(struct listener *listener);

const char *request_header(const struct request *request, const char *name);
/* [[name, value], ...] as they came. */
json_t *request_headers(const struct request *request);

/* Of texts that live as long as the answer. */
void answer_header(struct answer *answer, const char *name, const char *value);
/* Takes json over. */
void answer_json(struct answer *answer, unsigned status, const char *content_type, json_t *json);

#endif
