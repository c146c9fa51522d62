#ifndef RENEWGATE_PROXY_SERVER_UPSTREAM_H
#define RENEWGATE_PROXY_SERVER_UPSTREAM_H

/*
 * The server's side of one worker: requests to the server, many at a time, over connections that
 * are kept. Bodies are streams in both directions with back-pressure. Nothing here knows what the
 * bytes mean.
 *
 * A kept connection may be closed by the server just as a request is written into it. The request
 * is then sent again, once, if nothing of it had gone out or its method is idempotent (RFC 9110,
 * section 9.2.2, and IANA's registry of methods).
 *
 * Handlers are called from upstream_run() and upstream_tick() only.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/http/field.h"
#include "proxy/server/trust.h"
#include "proxy/base/loop.h"

struct upstream;
struct transfer;

enum upstream_failure {
    UPSTREAM_FINE,
    UPSTREAM_RESOLVE, /* the server's name has no address */
    UPSTREAM_CONNECT,
    UPSTREAM_TLS,
    UPSTREAM_TIMEOUT,
    UPSTREAM_BROKEN, /* it closed the connection, or what it said is not HTTP */
    UPSTREAM_MEMORY, /* the gate's own lack of memory */
    UPSTREAM_FAILURES,
};

/* "resolve", "connect" and so on; also for the metrics. */
const char *upstream_failure_name(enum upstream_failure failure);

/* All borrowed for the upstream's lifetime. */
struct upstream_settings {
    const char *url; /* scheme and authority */
    struct trust trust;
    int64_t connect_timeout_ms;
    int64_t idle_timeout_ms; /* longest silence before the answer's head, and within one that is
                                `whole` */
    size_t head_limit;       /* bytes of all heads of an answer, interim ones too */
};

enum body_kind {
    BODY_NONE,
    BODY_WHOLE,  /* body and len */
    BODY_STREAM, /* pulled; len bytes */
    BODY_CHUNKS, /* pulled; nobody knows how many bytes */
    /*
     * None, but the connection may become a tunnel: with status 101, which no other request takes,
     * data() and pull() get the raw bytes of both ways, and either end of it is done().
     */
    BODY_UPGRADE,
};

/* Everything is borrowed until the transfer ends. */
struct upstream_request {
    const char *method;
    const char *target;       /* goes out as it is */
    struct field_list fields; /* all end-to-end; Content-Length may be among them */
    enum body_kind body_kind;
    const char *body;
    size_t len;
    /* Whether it may be sent again where a kept connection turns out to be closed: */
    bool once;       /* never: it gets a connection of its own, which cannot be closed already */
    bool repeatable; /* yes, whatever its method says */
    bool whole;      /* nobody gets any of the answer before its end, so silence in it counts */
    /*
     * The answer's content is read here, so none is wanted with a content coding, whatever the
     * client takes (RFC 9110, section 12.5.3). A 200 that has one all the same is no answer.
     */
    bool identity;
    /*
     * For what is public anyway: an https:// server may show a certificate that is out of date, or
     * of an unknown issuer, as long as the name is right. It gets a connection of its own.
     */
    bool any_issuer;
    int64_t timeout_ms;  /* for the whole transfer; 0: none */
    struct arena *arena; /* takes the answer's head among other things; outlives the transfer */
};

/* The head of an answer. Lives in the request's arena. */
struct upstream_head {
    unsigned status;
    struct field_list fields; /* as they came, hop-by-hop ones too */
};

enum pull_result {
    PULL_BYTES,
    PULL_LATER, /* nothing now: transfer_resume() when there is */
    PULL_END,
    PULL_FAIL,
};

enum data_result {
    DATA_TAKEN,
    DATA_LATER, /* nothing was taken; it comes again after transfer_resume() */
    DATA_FAIL,
};

struct transfer_handler {
    /* An answer before the answer (1xx); NULL: passed over. */
    void (*interim)(void *user, const struct upstream_head *head);
    /* False: give up. */
    bool (*head)(void *user, const struct upstream_head *head);
    enum data_result (*data)(void *user, const char *bytes, size_t len);
    /* NULL where no body is pulled. */
    enum pull_result (*pull)(void *user, char *into, size_t max, size_t *len);
    /* The last call; the transfer is gone when it returns. `detail` is borrowed. */
    void (*done)(void *user, enum upstream_failure failure, const char *detail);
};

/* NULL when memory or files run out. The loop must outlive the upstream. */
struct upstream *upstream_create(const struct upstream_settings *settings, struct loop *loop);

/* No transfer may be left. NULL is allowed. */
void upstream_destroy(struct upstream *upstream);

/* When upstream_run() must be called at the latest. */
monotonic_time upstream_due(const struct upstream *upstream);

/* Does what is due by `now`, and what the loop's events have called for. */
void upstream_run(struct upstream *upstream, monotonic_time now);

/* Looks for transfers whose server has been silent for too long; about once a second. */
void upstream_tick(struct upstream *upstream);

/* NULL when memory runs out; done() is then not called. */
struct transfer *transfer_start(struct upstream *upstream, const struct upstream_request *request,
                                const struct transfer_handler *handler, void *user);

/* Calls another's handler from now on; its head() is not called any more. */
void transfer_hand_over(struct transfer *transfer, const struct transfer_handler *handler,
                        void *user);

/* False once nothing more of the body is pulled: it is through, or the server does not want it. */
bool transfer_takes_body(const struct transfer *transfer);

/* Goes on after PULL_LATER or DATA_LATER. */
void transfer_resume(struct transfer *transfer);

/* Ends a transfer without done(). Not from within a handler. NULL is allowed. */
void transfer_cancel(struct transfer *transfer);

#endif
