#ifndef RENEWGATE_PROXY_RELAY_HOLDING_H
#define RENEWGATE_PROXY_RELAY_HOLDING_H

/*
 * Drives one hold (jmap/create/hold.h). Its look-ups, moves and resends are requests of the gate's
 * own to the API endpoint; its waits end with a message, be it for another's flight or for a slot
 * at the server; what it decides is told to the log and the metrics. The owner does the rest: it
 * sends the client's own request on the way it came, feeds back the answer, and answers the client.
 *
 *     holding_open()  false: nothing to hold
 *     holding_start() -> send()     the owner sends, then holding_feed() or holding_fail()
 *                     -> decided()  the owner takes holding_answer()
 *     holding_close() at any time, but not from within send()
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/create/hold.h"
#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/clients/downstream.h"
#include "proxy/base/mailbox.h"
#include "proxy/relay/api_client.h"
#include "proxy/server/request_slot.h"
#include "proxy/server/upstream.h"

struct worker_context; /* proxy/relay/worker_context.h */

struct holding_handler {
    /*
     * The client's own request goes to the server now; the bytes are borrowed until the answer is
     * fed. Called again where the server had no slot for it. False when memory ran out: then there
     * will be no answer.
     */
    bool (*send)(void *user, const char *body, size_t len);
    /* The last call: holding_answer() is there. */
    void (*decided)(void *user);
};

/* Whose request it is. All borrowed for the holding's lifetime. */
struct holding_owner {
    struct worker_context *context;
    const struct request_head *request_head; /* what its look-ups are made in the name of */
    struct arena *arena;
    monotonic_time began; /* when the request came */
    const struct holding_handler *handler;
    void *user;
};

enum holding_wait {
    HOLDING_FOR_ANSWER, /* to what was asked */
    HOLDING_FOR_FLIGHT, /* another's, or another replica's lease */
    HOLDING_FOR_SLOT,   /* at the server, for `asked` */
};

/* Must stay where it is while it is open. Zeroed, it is closed. */
struct holding {
    struct holding_owner owner;
    struct hold_context hold_context;
    struct hold *hold; /* NULL: closed */
    enum holding_wait waits;
    struct hold_request asked;
    struct api_client client; /* for requests of the gate's own */
    monotonic_time asked_at;
    int64_t looked; /* nanoseconds, for all that `is_lookup` */
    struct mailbox_message wake;
    /* Of the caller and of the gate itself: taken before a flight, and kept to the end. */
    struct request_slot slots[2]; /* by enum hold_credential */
    bool waited_out;              /* it has waited for room at the server for as long as it may */
};

/*
 * Opens a hold on a request's body, which is borrowed until holding_close(). False where there is
 * nothing to hold: the bytes then go on unchanged.
 */
bool holding_open(struct holding *holding, const struct holding_owner *owner, const char *body,
                  size_t len);

/* Begins; may call the handler from within, as the other verbs may. */
void holding_start(struct holding *holding);

/* The answer to the client's own request, whole. */
void holding_feed(struct holding *holding, unsigned status, const char *body, size_t len);

/* There will be no answer to it. */
void holding_fail(struct holding *holding, enum upstream_failure failure);

/*
 * Whether others may wait for what comes of the request, so that even its client must not end it.
 */
bool holding_is_committed(const struct holding *holding);

/* After decided() only. Bytes are the hold's own, until holding_close(). */
struct hold_answer holding_answer(const struct holding *holding);

/* Gives the hold's flights to whoever waits, and calls off what is under way; allowed twice. */
void holding_close(struct holding *holding);

#endif
