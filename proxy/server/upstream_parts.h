#ifndef RENEWGATE_PROXY_SERVER_UPSTREAM_PARTS_H
#define RENEWGATE_PROXY_SERVER_UPSTREAM_PARTS_H

/*
 * What the parts of the server's side share; nobody else includes it.
 *
 *     upstream.c          libcurl's multi handle and its transfers, from start to end
 *     upstream_sockets.c  what libcurl wants to be watched, in the worker's loop
 *     upstream_request.c  a request, as libcurl is to send it
 *     upstream_answer.c   answers, as libcurl hands them over
 */

#include <curl/curl.h>

#include "proxy/server/upstream.h"

#define SPARE_HANDLES 32

struct watched;

struct upstream {
    struct upstream_settings settings;
    struct loop *loop;
    CURLM *multi;
    CURLU *url; /* settings.url, parsed once */
    monotonic_time timer;
    struct watched **watched; /* by file number */
    size_t watched_count;
    struct transfer *live;
    bool tunnels_ended; /* a live transfer is TRANSFER_TUNNEL_ENDED */
    bool keeps_handles;
    CURL *spare[SPARE_HANDLES];
    size_t spare_count;
};

/* Progress of the answer. */
enum transfer_state {
    TRANSFER_BEFORE_HEAD, /* waits for a status line */
    TRANSFER_IN_HEAD,
    TRANSFER_IN_BODY,
    TRANSFER_TUNNEL,       /* an upgraded connection */
    TRANSFER_TUNNEL_ENDED, /* the server has closed it */
};

struct transfer {
    struct upstream *upstream;
    struct transfer *next; /* in upstream->live */
    struct transfer *previous;
    CURL *easy;
    struct arena *arena; /* the request's */
    const struct transfer_handler *handler;
    void *user;
    enum transfer_state state;
    bool asks_upgrade;
    int paused; /* CURLPAUSE_* */
    bool out_of_memory;
    bool once;
    bool repeatable;
    bool whole;
    unsigned attempts;
    const char *fault;       /* why the gate itself gave up, in words; or NULL */
    monotonic_time progress; /* when bytes last went either way */
    struct upstream_head head;
    size_t head_len; /* bytes of all heads so far */
    size_t field_capacity;
    char error[CURL_ERROR_SIZE];
};

/* upstream_sockets.c: what libcurl calls; `user` is the upstream. */
int upstream_on_socket(CURL *easy, curl_socket_t file, int what, void *user, void *unused);
curl_socket_t upstream_open_connection(void *user, curlsocktype purpose,
                                       struct curl_sockaddr *address);
int upstream_close_connection(void *user, curl_socket_t file);

void upstream_forget_sockets(struct upstream *upstream);

/* upstream_request.c: everything that libcurl is to know. False when memory runs out. */
bool transfer_write_request(struct transfer *transfer, const struct upstream_request *request);

/* upstream_answer.c: what libcurl calls; `user` is the transfer. */
size_t transfer_on_header(char *line, size_t one, size_t size, void *user);
size_t transfer_on_data(char *bytes, size_t one, size_t len, void *user);
size_t transfer_on_pull(char *into, size_t one, size_t max, void *user);

void transfer_end_pause_of_sending(struct transfer *transfer);

#endif
