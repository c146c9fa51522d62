#ifndef RENEWGATE_PROXY_CLIENTS_DOWNSTREAM_PARTS_H
#define RENEWGATE_PROXY_CLIENTS_DOWNSTREAM_PARTS_H

/*
 * What the parts of the clients' side share; nobody else includes it.
 *
 *     downstream.c          libmicrohttpd's daemon, from start to stop, and its turns
 *     downstream_client.c   connections: whose they are, and how long a head may take
 *     downstream_request.c  requests: from the head to the end, and the waiting in between
 *     downstream_answer.c   answers: through libmicrohttpd, and past it where it has no way
 *     downstream_upgrade.c  connections that have become the handler's
 */

#include <gnutls/abstract.h>
#include <microhttpd.h>

#include "proxy/http/request_id.h"
#include "proxy/clients/downstream.h"

/* How long nothing comes from a client before its presence is looked after. */
#define PATIENCE_NANOSECONDS NANOSECONDS_PER_SECOND

/* How long an answer that is expected soon is asked for. */
#define ASKING_MILLISECONDS 50

struct downstream {
    struct MHD_Daemon *daemon;
    struct acceptor *acceptor; /* NULL while libmicrohttpd accepts by itself */
    struct loop *loop;
    struct loop_source source;
    struct keypair_store *keypairs;
    const struct network_list *trusted;
    struct request_ids ids;
    const struct downstream_handler *handler;
    void *user;
    bool needs_run;
    bool has_answers;   /* for requests that wait without being suspended */
    monotonic_time now; /* when its latest run began */
    size_t asked_count; /* requests that wait without being suspended */
    bool more_body;     /* of a request is probably there to be read */
    bool busy;          /* the latest run may have left something to do at once */
    bool draining;
    bool ending; /* no request is taken any more */
    monotonic_time due;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    size_t max_connections;
    bool makes_room;
    struct client *clients; /* the latest first */
    size_t client_count;
    struct metrics *metrics;
    struct client_request *requests;
    size_t request_count;
    struct arena_spares spares; /* of requests' arenas */
    size_t upgraded_limit;
    size_t upgraded_count; /* requests with a file of their own */
    bool upgraded_ended;   /* one of them was aborted */
    size_t paired_count;   /* upgraded requests with a pair */
    bool clients_left;     /* one with a pair has, see upgrades_hand_on_leaving() */
};

/* One connection's own. */
struct client {
    struct downstream *downstream;
    struct client *next; /* in downstream->clients */
    struct client *previous;
    struct MHD_Connection *connection;
    /* Since when the next request's head is waited for; MONOTONIC_NEVER during a request. */
    monotonic_time waits_since;
    monotonic_time head_due; /* when it must have come, likewise */
    struct keypair *keypair; /* that its TLS uses; NULL without TLS */
    char peer[NETWORK_ADDRESS_TEXT_SIZE];
    bool is_trusted; /* what it says of whom it speaks for is believed */
    bool makes_room; /* it has been ended for others, and may take a moment to be gone */
    char *target;
    size_t target_len;
    size_t target_capacity;
};

struct client_request {
    struct downstream *downstream;
    struct client_request *next; /* in downstream->requests */
    struct client_request *previous;
    struct MHD_Connection *connection;
    struct arena arena;
    struct request_head request_head;
    void *object;
    bool body_ended;
    bool in_head; /* head() is being called */
    bool ready;
    bool awaits_leave; /* to send its body; suspended meanwhile */
    bool queued;       /* libmicrohttpd has the answer */
    bool corked;       /* the answer leaves when libmicrohttpd has written all of it */
    bool answered;     /* while the body still came */
    bool aborted;
    bool suspended;
    bool soon;              /* client_request_expect_soon() */
    unsigned asked;         /* how often in vain, while it waits without being suspended; else 0 */
    monotonic_time touched; /* when it began to wait, or its body last came */
    struct loop_source watch;
    bool watched;                              /* its socket is in the loop */
    bool gone;                                 /* gone() was called */
    struct MHD_UpgradeResponseHandle *upgrade; /* the connection is the handler's */
    int file;    /* an upgraded connection that libmicrohttpd knows no more; else -1 */
    bool paired; /* libmicrohttpd passes on what belongs to the handler */
    int pair;    /* the handler's end of the pair that stands for a connection with TLS; else -1 */
    bool left;   /* that connection's client has left */
};

/* downstream_client.c; the callbacks are libmicrohttpd's */

/* -1 where there is none. */
int connection_socket(struct MHD_Connection *connection);

/* A gnutls_session_t; NULL without TLS. */
void *connection_tls_session(struct MHD_Connection *connection);

/* NULL where memory had run out when it came. */
struct client *connection_client(struct MHD_Connection *connection);

void connection_keep_alive(int file);
void connection_notify(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code);
void *connection_take_target(void *user, const char *target, struct MHD_Connection *connection);
int connection_show_nothing(gnutls_session_t session, const gnutls_datum_t *authorities,
                            int authority_count, const gnutls_pk_algorithm_t *algorithms,
                            int algorithm_count, gnutls_pcert_st **certificates,
                            unsigned int *certificate_count, gnutls_privkey_t *key);

/* The next request's head is waited for, or is no more. */
void client_begin_wait(struct client *client, monotonic_time now, int64_t timeout_ms);
void client_end_wait(struct client *client);

/*
 * libmicrohttpd misses the end of a connection that came together with the last bytes of it: it
 * waits for an edge that has been. If the client has closed it, and all that it sent is read, this
 * makes libmicrohttpd look again.
 */
void connection_look_after(struct MHD_Connection *connection);

/* Cuts those whose head takes too long, and finds those that have left before it was whole. */
void clients_look_after(struct downstream *downstream, monotonic_time now);

/* Ends the idle ones; those whose next request has begun to come are not idle. */
void clients_shut_idle(struct downstream *downstream);

/* downstream_request.c; the callbacks are libmicrohttpd's */

enum MHD_Result request_access(void *user, struct MHD_Connection *connection, const char *url,
                               const char *method, const char *version, const char *upload,
                               size_t *upload_len, void **context);
void request_completed(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_RequestTerminationCode code);

/* Finds those whose client has left. */
void requests_look_after(struct downstream *downstream, monotonic_time now);

void client_request_destroy(struct client_request *client_request);

/* Until client_request_resume(), libmicrohttpd leaves the connection alone. */
void client_request_suspend(struct client_request *client_request);

void client_request_end_watch(struct client_request *client_request);

/* downstream_answer.c */

/* Asks the handler for the answer and gives it to libmicrohttpd; MHD_NO breaks off. */
enum MHD_Result client_request_queue_answer(struct client_request *client_request);

/* libmicrohttpd has written the answer. */
void client_request_uncork(struct client_request *client_request);

/* downstream_upgrade.c; the callback is libmicrohttpd's */

void upgrade_begin(void *user, struct MHD_Connection *connection, void *context, const char *early,
                   size_t early_len, MHD_socket file, struct MHD_UpgradeResponseHandle *upgrade);
void upgrade_end(struct client_request *client_request);
void upgrades_hand_on_leaving(struct downstream *downstream);
void upgrades_destroy_ended(struct downstream *downstream);

#endif
