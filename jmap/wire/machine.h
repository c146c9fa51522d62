#ifndef RENEWGATE_JMAP_WIRE_MACHINE_H
#define RENEWGATE_JMAP_WIRE_MACHINE_H

/*
 * Work that needs the server, as a machine without I/O: it says what to send next and is fed the
 * answer, until it is done. Whoever drives it decides how it is sent (proxy/jobs/job.h).
 */

#include <stdbool.h>
#include <stddef.h>

enum machine_step {
    MACHINE_SEND, /* order(), then feed() */
    MACHINE_WAIT, /* for another's work on the same thing; its creator hears of the end */
    MACHINE_DONE,
};

/* What a machine without I/O wants sent. Bytes are its own, until it is fed. */
struct machine_order {
    bool is_session; /* GET /jmap/session in place of a POST to the API */
    bool once;       /* must not be sent again where no answer came */
    bool is_awaited; /* creates wait for what comes of it */
    unsigned tries;  /* so many are enough; 0: as many as the driver makes */
    const char *body;
    size_t len;
};

/* The verbs of a kind of machine; `self` is one of them. */
struct machine {
    enum machine_step (*step)(const void *self);
    struct machine_order (*order)(const void *self); /* valid until the next feed */
    /* A response, whole; status 0 where none came. */
    void (*feed)(void *self, unsigned status, const char *body, size_t len);
};

#endif
