#ifndef RENEWGATE_JMAP_CREATE_HOLD_H
#define RENEWGATE_JMAP_CREATE_HOLD_H

/*
 * One request with held creates, from its bytes to the bytes of its answer, without I/O: the hold
 * says what it waits for, its driver does it and feeds back what came of it.
 *
 *     hold_open()  ->  HOLD_SEND    send hold_request(), say hold_sent(), then hold_feed() or
 *                                   hold_feed_failure()
 *                      HOLD_WAIT    a domain is another's; hold_woken() once the waker was called
 *                      HOLD_DONE    answer with hold_answer(); then hold_close()
 *
 * One hold belongs to one thread; only flights and the lock are shared between threads.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/create/hold_context.h"

struct hold;

/*
 * What to answer. `as_received`: the response to the client's own request goes on as it is, byte
 * for byte. Otherwise its status and header fields stay and `body` replaces the content; where the
 * gate answers by itself (`own_status` not 0) that is the status.
 */
struct hold_answer {
    bool as_received;
    unsigned own_status;
    const char *own_type; /* content type with own_status */
    const char *body;
    size_t len;
};

/*
 * Opens a hold on a request's body, which is borrowed until hold_close(). NULL when there is
 * nothing to decide: the bytes then go on unchanged. Where memory runs out the hold is one that is
 * HOLD_DONE with a 503; in observe mode NULL.
 */
struct hold *hold_open(const struct hold_context *context, const char *body, size_t len);

enum hold_step hold_step(const struct hold *hold);

/* HOLD_SEND only. */
struct hold_request hold_request(const struct hold *hold);

/*
 * HOLD_SEND only: what is asked is on its way. From here until it is answered, or hold_unsent()
 * says that nothing of it has reached the server, the server may be doing it.
 */
void hold_sent(struct hold *hold);
void hold_unsent(struct hold *hold);

/* Whether the client's request is being carried out: what comes of it may be others' to know. */
bool hold_is_committed(const struct hold *hold);

/*
 * HOLD_SEND only: what is asked has to wait until the server has room for it, and nothing of it was
 * done. Its domains are others' meanwhile. False where they are not: it has begun to change them.
 */
bool hold_stand_back(struct hold *hold);

/*
 * HOLD_SEND only: what is asked could not be sent at once, and can be now. It may have become too
 * late for a write; hold_request() says anew what to send.
 */
enum hold_step hold_recheck(struct hold *hold);

/* The response to hold_request(), whole; the bytes are borrowed during the call. */
enum hold_step hold_feed(struct hold *hold, unsigned status, const char *body, size_t len);

/*
 * No response came, or nothing was sent: `why`, in words, static, is the reason of a look-up that
 * has failed. The driver itself answers 502 or 504 when keep_headers was set.
 */
enum hold_step hold_feed_failure(struct hold *hold, const char *why);

/* HOLD_WAIT only: the waker was called. */
enum hold_step hold_woken(struct hold *hold);

/* HOLD_DONE only. */
struct hold_answer hold_answer(const struct hold *hold);

/* Ends the hold in any state and gives its flights to whoever waits. NULL is allowed. */
void hold_close(struct hold *hold);

#endif
