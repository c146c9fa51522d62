#ifndef RENEWGATE_JMAP_QUEUE_CLEARING_H
#define RENEWGATE_JMAP_QUEUE_CLEARING_H

/*
 * The end of a sweep, without I/O: of the Failed tasks that were listed, those are destroyed that
 * only say that no renewal was due, or what a newer one says. In a dry run they are told alone.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/inventory.h"
#include "jmap/queue/sweep_context.h"
#include "jmap/wire/own_request.h"

/* Its members are its own, but for `request` and `error`. Zeroed before its beginning. */
struct clearing {
    struct own_request request;
    const char *error; /* why it ended before its end, in words; static. Or NULL */
    const struct sweep_context *context;
    const struct inventory *inventory;
    size_t most;        /* tasks a request */
    size_t done, asked; /* tasks of the inventory that were gone through, with this request */
};

/* Both are borrowed until it ends. True where there is something to send: `request`. */
bool clearing_begin(struct clearing *clearing, const struct sweep_context *context,
                    const struct inventory *inventory);

/* A response, whole; status 0 where none came. True where there is more to send. */
bool clearing_feed(struct clearing *clearing, unsigned status, const char *body, size_t len);

void clearing_end(struct clearing *clearing);

#endif
