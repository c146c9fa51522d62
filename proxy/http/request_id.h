#ifndef RENEWGATE_PROXY_HTTP_REQUEST_ID_H
#define RENEWGATE_PROXY_HTTP_REQUEST_ID_H

/*
 * By what a request is known in the log: the X-Request-Id of a trusted proxy, which has it in its
 * own log, else a number of the gate's.
 */

#include <stdbool.h>

#include "proxy/base/arena.h"
#include "proxy/base/clock.h"
#include "proxy/http/field.h"

/* Makes ids; one thread's. */
struct request_ids {
    uint32_t beginning; /* tells two processes and two workers apart */
    uint64_t count;
};

struct request_ids request_ids_begin(monotonic_time now);

/*
 * Where the connection is trusted, what came, if that is 1 to 128 visible ASCII characters; else
 * one that is made: "5f3a01c2-1a", the arena's. NULL when memory runs out.
 */
const char *request_id_of(struct request_ids *ids, bool is_trusted,
                          const struct field_list *received, struct arena *arena);

#endif
