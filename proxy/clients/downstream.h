#ifndef RENEWGATE_PROXY_CLIENTS_DOWNSTREAM_H
#define RENEWGATE_PROXY_CLIENTS_DOWNSTREAM_H

/*
 * The clients' side of one worker: its listening socket, its connections, and the requests on
 * them, one at a time on each. Bodies are streams in both directions with back-pressure. Nothing
 * here knows what the bytes mean.
 *
 * Handlers are called from downstream_run(), downstream_drain() and downstream_destroy(), but for
 * gone(), which the loop's events call, and answer(), which client_request_ready() may call as
 * well.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/base/loop.h"
#include "proxy/clients/keypair.h"
#include "proxy/http/answer.h"
#include "proxy/http/request_head.h"

struct downstream;
struct client_request;
struct metrics; /* proxy/telemetry/metrics.h */

enum content_result {
    CONTENT_BYTES,
    CONTENT_LATER, /* nothing now: client_request_resume() when there is */
    CONTENT_END,
    CONTENT_FAIL, /* the connection is broken off, so that the client sees it is not whole */
};

struct downstream_handler {
    /* A request has come; returns the handler's object for it, or NULL to break off. */
    void *(*head)(void *user, struct client_request *client_request,
                  const struct request_head *request_head);
    /* The next of its body; returns how much was taken. Fewer than len: client_request_resume()
     * later. */
    size_t (*body)(void *object, const char *bytes, size_t len);
    void (*body_end)(void *object);
    /*
     * What to answer, from client_request_ready() on; asked for again where it could not go out
     * yet. False: break off.
     */
    bool (*answer)(void *object, struct answer *out);
    enum content_result (*content)(void *object, char *into, size_t max, size_t *len);
    /* The client seems to have left while nothing could be sent to it; called once at most. */
    void (*gone)(void *object);
    /*
     * The answer was ANSWER_UPGRADE: the connection's bytes are to be had from `file`, a socket
     * that must not be closed; `early` are those that came already. client_request_abort() ends it.
     */
    void (*upgraded)(void *object, int file, const char *early, size_t len);
    /* The last call: answered or broken off. The request and its arena are gone after it. */
    void (*closed)(void *object);
};

struct downstream_settings {
    unsigned max_connections;
    bool makes_room;       /* the oldest connection ends for the next one, when there are so many */
    unsigned max_upgraded; /* beside them */
    int64_t header_timeout_ms; /* for a connection's first request head, whole */
    int64_t idle_timeout_ms; /* between bytes, and from one request to the next one's whole head */
    size_t max_head;         /* of a request; see VALIDATION_ANSWER_ROOM */
    bool proxy_protocol;     /* connections begin with a PROXY header, and come from `trusted` */
    const struct log *log;   /* borrowed */
    struct metrics *metrics; /* counts the connections; borrowed */
    struct keypair_store *keypairs;     /* TLS with these, NULL: none; borrowed */
    struct passthrough *passthrough;    /* for a CA's challenges among TLS; or NULL; borrowed */
    const struct network_list *trusted; /* whose forwarding fields are believed; borrowed */
};

/* Whether a request's cookies must fit, too: see VALIDATION_COOKIE_ROOM. */
bool downstream_copies_cookies(void);

/*
 * Takes over `listener`, a bound and listening socket, and closes it in the end. NULL when it
 * cannot be started (`listener` is then closed). The loop must outlive it.
 */
struct downstream *downstream_create(const struct downstream_settings *settings, int listener,
                                     struct loop *loop, const struct downstream_handler *handler,
                                     void *user);

/* Breaks off what is left. NULL is allowed. */
void downstream_destroy(struct downstream *downstream);

/* When downstream_run() must be called at the latest. */
monotonic_time downstream_due(const struct downstream *downstream);

void downstream_run(struct downstream *downstream, monotonic_time now);

/* Looks for clients that have left, and for those whose head takes too long; once a second. */
void downstream_tick(struct downstream *downstream);

/* Accepts nothing more, and ends every connection: idle ones now, others with their answer. */
void downstream_drain(struct downstream *downstream);

/* Breaks off every request. */
void downstream_abort(struct downstream *downstream);

/* How many connections are, with those whose request has yet to come. */
size_t downstream_open_connections(const struct downstream *downstream);

/* How many requests are open. */
size_t downstream_open_requests(const struct downstream *downstream);

/* What belongs to the request, and dies with it. */
struct arena *client_request_arena(struct client_request *client_request);

/*
 * The answer can be asked for. In head() that ends the request early, with its body unread. Later
 * on, a whole answer goes out at once, and the connection ends with it, if the client still sends;
 * where that cannot be, and for a stream, it waits until the body has been taken.
 */
void client_request_ready(struct client_request *client_request);

/*
 * Whether the body may come (Expect: 100-continue) is not known yet. In head() only. Until
 * client_request_give_leave() or client_request_ready() the client is told nothing; after a second
 * it gets leave all the same.
 */
void client_request_withhold_leave(struct client_request *client_request);

/* The body may come. For whoever does not wait for leave, this does nothing. */
void client_request_give_leave(struct client_request *client_request);

/*
 * The answer is likely to be ready within a moment. Until that has passed, a client that breaks its
 * connection ends the request at once, without gone().
 */
void client_request_expect_soon(struct client_request *client_request);

/*
 * An answer before the answer (1xx) goes out at once, or, to a client that cannot read one, not at
 * all. Not from within a handler of the downstream's.
 */
void client_request_interim(struct client_request *client_request, unsigned status,
                            const struct field_list *fields);

/* Goes on after a short body() or CONTENT_LATER. */
void client_request_resume(struct client_request *client_request);

/*
 * Whether there is room for another upgraded connection; an ANSWER_UPGRADE without breaks it off.
 */
bool client_request_may_upgrade(const struct client_request *client_request);

/*
 * Upgraded connections only: nothing more is written to it. False where its end cannot be told to
 * the client but by client_request_abort(), which lets what has been written go out first.
 */
bool client_request_end(struct client_request *client_request);

/* Breaks the connection off. */
void client_request_abort(struct client_request *client_request);

#endif
