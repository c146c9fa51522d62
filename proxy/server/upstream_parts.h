#ifndef RENEWGATE_PROXY_SERVER_UPSTREAM_PARTS_H
#define RENEWGATE_PROXY_SERVER_UPSTREAM_PARTS_H

/*
 * What the parts of the server's side share; nobody else includes it.
 *
 *     upstream.c             transfers, from start to end: what becomes of one that fails, and when
 *     upstream_request.c     what goes out
 *     upstream_answer.c      what comes in, by proxy/http/answer_parser.h
 *     upstream_connection.c  connections that are kept, and their events
 *     upstream_connect.c     libcurl, which makes connections
 *     upstream_names.c       the look-up of the server's name, one for all that wait for it
 *     upstream_wire.c        bytes, plain or through TLS
 *     upstream_tls.c         TLS of kept connections, past libcurl
 */

#include <curl/curl.h>
#include <openssl/ssl.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "proxy/base/buffer.h"
#include "proxy/http/answer_parser.h"
#include "proxy/server/upstream.h"

/* One receive, and one send of a stream. */
#define BLOCK_SIZE ((size_t)65536)
/* What goes into one TLS record. */
#define RECORD_SIZE ((size_t)16384)

LIST_HEAD(transfer_list, transfer);
LIST_HEAD(connection_list, connection);
TAILQ_HEAD(connection_queue, connection);

struct watched; /* upstream_connect.c */

/* upstream_names.c */
struct names {
    bool needed; /* the server has a name, not an address */
    CURL *easy;  /* looks it up now; or NULL */
    bool found;  /* by it */
    monotonic_time known_until;
    unsigned long look_ups;          /* that have ended */
    struct connection_queue waiting; /* for the one under way, in the order of coming */
    char error[CURL_ERROR_SIZE];     /* libcurl's words */
};

struct upstream {
    struct upstream_settings settings;
    struct loop *loop;
    char *authority;    /* the server's own, for requests that name no host */
    monotonic_time now; /* when it last ran */
    monotonic_time due; /* no transfer's time is up before */
    struct transfer_list live;
    struct transfer_list ready;   /* those of them that have something to do, */
    struct transfer_list running; /* and those of these that have their turn */
    struct connection_list idle;  /* the newest first */
    size_t idle_count;
    struct connection_list closed; /* to be freed once no event can be theirs */

    CURLM *multi;
    CURLU *url;                    /* settings.url, parsed once; with the name that TLS is to see */
    struct curl_slist *connect_to; /* where that name is found; or NULL */
    CURLSH *share;
    monotonic_time timer; /* libcurl's */
    size_t connecting;    /* handles that libcurl is to tell of */
    struct names names;
    struct watched **watched; /* by file number */
    size_t watched_count;
    BIO_METHOD *bytes_of_tls; /* upstream_tls.c's */

    char block[BLOCK_SIZE];
    char record[RECORD_SIZE];
};

/*
 * A connection to the server: one that libcurl is making, a transfer's, or an idle one. Registered
 * with the loop once, for edges: what they told and what has been used up of it is kept here.
 */
struct connection {
    struct loop_source source;
    struct upstream *upstream;
    LIST_ENTRY(connection) entry; /* in upstream->idle or ->closed */
    struct transfer *transfer;    /* whose it is; NULL: idle */
    CURL *easy;                   /* while it is made, and for as long as it lives with TLS */
    SSL *tls;                     /* the handle's, once bytes go past libcurl; else NULL */
    int file;                     /* -1 before it is open */
    bool connecting;              /* by libcurl */
    bool waits_for_name;          /* in names.waiting, for this look-up */
    unsigned long look_up;
    TAILQ_ENTRY(connection) name_entry;
    monotonic_time connect_due; /* when it must have been made */
    bool open;
    bool kept; /* has served a request before */
    bool readable;
    bool drained; /* its file is known to have nothing to read, though TLS may hold some */
    bool writable;
    bool hung_up; /* the server has ended it; there may be something to read */
    bool ended;   /* nor is there anything any more below its TLS */
    monotonic_time idle_since;
    char error[CURL_ERROR_SIZE]; /* libcurl's words */
};

struct transfer {
    struct upstream *upstream;
    LIST_ENTRY(transfer) entry;       /* in upstream->live */
    LIST_ENTRY(transfer) ready_entry; /* in upstream->ready or ->running, if is_ready */
    bool is_ready;
    struct arena *arena; /* the request's; the transfer itself lives there too */
    const struct transfer_handler *handler;
    void *user;
    struct connection *connection;

    /* What is asked, from the request. */
    bool is_head;
    bool once;
    bool any_issuer;
    bool repeatable;
    bool whole;
    bool identity;
    enum body_kind body_kind;
    struct iovec head;
    struct iovec body;  /* BODY_WHOLE */
    size_t told_length; /* BODY_STREAM */

    /* What is still to go out. */
    struct iovec parts[2];
    size_t part_count;
    struct buffer unsent; /* pulled, and not taken by the connection */
    size_t left;          /* of told_length, not pulled */
    bool last_pulled;     /* of BODY_CHUNKS: the last one is among the parts, or has gone out */
    bool sends;           /* there is more, here or to be pulled */
    bool pull_waits;      /* until transfer_resume() */
    bool sent_any;        /* of this attempt */
    bool send_broken;     /* nothing more can be sent */
    bool tried_before;    /* this is the second attempt */

    /* What has come in. */
    struct answer_parser parser;
    bool has_head;
    bool answered;      /* all of it has come */
    bool surplus;       /* and more than that */
    bool data_waits;    /* until transfer_resume() */
    struct buffer held; /* what came and could not be passed on */
    size_t held_data;   /* how much of its beginning is content that the parser has given */

    size_t untaken;          /* wire_untaken(), a tick ago */
    monotonic_time progress; /* when bytes last went either way */
    monotonic_time deadline;
};

/* ---- upstream.c ---- */

/* It has something to do in the next run. */
void transfer_mark(struct transfer *transfer);

/* Its connection is there. */
void transfer_connected(struct transfer *transfer);

/* There is none to be had. `detail` is borrowed. */
void transfer_not_connected(struct transfer *transfer, enum upstream_failure failure,
                            const char *detail);

/* ---- upstream_request.c ---- */

/* Writes the head. False when memory runs out. */
bool transfer_write_head(struct transfer *transfer, const struct upstream_request *request);

/* Begins to send from the start. */
void transfer_rewind(struct transfer *transfer);

enum sending {
    SENDING_LATER, /* the connection takes no more, or nothing is there to be pulled */
    SENDING_AGAIN, /* there is more, but others are to have their turn */
    SENDING_DONE,
    SENDING_BROKEN, /* the connection takes nothing any more */
    SENDING_FAILED, /* the one who gives the body has failed */
    SENDING_MEMORY,
};

enum sending transfer_send(struct transfer *transfer);

/* ---- upstream_answer.c ---- */

enum receiving {
    RECEIVING_LATER,
    RECEIVING_AGAIN,  /* as above */
    RECEIVING_DONE,   /* the answer is complete */
    RECEIVING_CLOSED, /* the connection ended, and the answer was not complete */
    RECEIVING_FAULT,  /* it is not proper; the parser says why not */
    RECEIVING_FAILED, /* the one who takes it has failed */
    RECEIVING_MEMORY,
};

enum receiving transfer_receive(struct transfer *transfer);

/* ---- upstream_connection.c ---- */

/*
 * An idle connection, the newest; NULL where there is none. For what can be sent only `once`, it is
 * looked at unless it was used a moment ago.
 */
struct connection *connection_take(struct upstream *upstream, bool once);

/* A new one, which libcurl begins to make; the transfer is told. NULL when memory runs out. */
struct connection *connection_create(struct upstream *upstream, struct transfer *transfer);

/* libcurl has made it. False when it cannot be watched. */
bool connection_opened(struct connection *connection);

/* There may be something to read. */
void connection_expect_bytes(struct connection *connection);

/* A transfer is done with it. */
void connection_keep(struct connection *connection);
void connection_close(struct connection *connection);

/* Closes those that have been idle for too long. */
void connections_look_after(struct upstream *upstream);

/* Frees those that have been closed; not from within the loop's events. */
void connections_free_closed(struct upstream *upstream);

/* ---- upstream_connect.c ---- */

/* False when memory or files run out. */
bool connect_prepare(struct upstream *upstream);
void connect_clear(struct upstream *upstream);

/*
 * Begins to make it, once the server's name is known; its transfer will be told. False when memory
 * runs out.
 */
bool connect_begin(struct connection *connection);

/* The same, with the name known. */
bool connect_start(struct connection *connection);

/* Where the server is, and how its name is looked up. */
void connect_set_server(const struct upstream *upstream, CURL *easy);

/* Lets a handle that is set up begin. Without memory it is gone: false, and NULL in its place. */
bool connect_add(struct upstream *upstream, CURL **easy);

/* Ends a handle, whatever has become of it. */
void connect_drop(struct upstream *upstream, CURL *easy);

/* Gives libcurl's handle back, and with it the connection that it has, if any. */
void connect_end(struct connection *connection);

/* Runs libcurl's timers and tells transfers of the connections that have been made. */
void connect_run(struct upstream *upstream);

/* ---- upstream_names.c ---- */

/*
 * The system's resolver cannot be called off, and each look-up is a thread of libcurl's. So there
 * is one at a time, which belongs to no request: connections that need the name wait for it, each
 * until its own time is up, and what is found is every connection's for a minute.
 */

/*
 * So long libcurl keeps what it has found: longer than it is taken for known here. Not -1, "for
 * ever", by which libcurl 8.14 forgets everything with the next handle that ends.
 */
#define NAMES_CACHED_SECONDS 3600L

/* Once the URL is there. False when memory runs out. */
bool names_prepare(struct upstream *upstream);
void names_clear(struct upstream *upstream);

/* Also where there is no name. */
bool names_are_known(const struct upstream *upstream);

/* A connection has failed: the server's address may have changed. */
void names_doubt(struct upstream *upstream);

/* connect_start() will be called, or the transfer be told. False when memory runs out. */
bool names_wait(struct connection *connection);

/* Waits no more, if it has. */
void names_leave(struct connection *connection);

/* When the first one's time is up. */
monotonic_time names_due(const struct upstream *upstream);

/* Begins what has waited for a name that has been found, and ends what has waited too long. */
void names_run(struct upstream *upstream);

/* The look-up has ended in vain; `words` where libcurl has none of its own. */
void names_fail(struct upstream *upstream, enum upstream_failure failure, const char *words);

/* ---- upstream_wire.c ---- */

enum wire {
    WIRE_BYTES,
    WIRE_LATER,
    WIRE_END,    /* the server has ended the connection */
    WIRE_BROKEN, /* so it has, or it must be: a reset, or no proper TLS */
};

enum wire wire_receive(struct connection *connection, char *into, size_t size, size_t *len);

/* Up to two parts. `len`: how much of them has been taken. */
enum wire wire_send(struct connection *connection, const struct iovec *parts, size_t count,
                    size_t *len);

/* The same without TLS: what goes over the file. */
enum wire wire_receive_plain(struct connection *connection, char *into, size_t size, size_t *len);
enum wire wire_send_plain(struct connection *connection, const struct iovec *parts, size_t count,
                          size_t *len);

/* How much of what has been sent the server's end has not taken yet. */
size_t wire_untaken(const struct connection *connection);

/* ---- upstream_tls.c ---- */

/* False when memory runs out. */
bool tls_prepare(struct upstream *upstream);
void tls_clear(struct upstream *upstream);

/*
 * Lets the bytes of a connection with TLS go past libcurl, which looks through all of its
 * connections for each read and write. Not before the first answer: with that come the session
 * tickets, which are libcurl's. Where it cannot be, everything stays as it is.
 */
void tls_begin(struct connection *connection);

/* As those of upstream_wire.c, after tls_begin(). */
enum wire tls_receive(struct connection *connection, char *into, size_t size, size_t *len);
enum wire tls_send(struct connection *connection, const char *bytes, size_t size, size_t *len);

/* Whether there is something that has been taken from the file, and not given yet. */
bool tls_holds_bytes(const struct connection *connection);

/* Whether nothing has come, which costs less than to read it. */
bool tls_is_quiet(struct connection *connection);

#endif
