#ifndef RENEWGATE_PROXY_JOBS_JOB_H
#define RENEWGATE_PROXY_JOBS_JOB_H

/*
 * Drives a machine without I/O that works through the server with the gate's own credential, over a
 * loop and connections of its own: one request after another, no more than RENEWGATE_SWEEP_RATE a
 * second. Where the server has had enough (429), fails (5xx) or does not answer, it stands back,
 * longer each time and no shorter than the server asks for (Retry-After, five minutes at most), and
 * in the end feeds the machine what there was: at once where others wait for the answer and the
 * server wants to be left alone for more than a second. It is left alone even so.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/wire/machine.h"
#include "proxy/base/arena.h"
#include "proxy/relay/api_client.h"
#include "proxy/relay/gate.h"
#include "proxy/base/loop.h"
#include "proxy/server/upstream.h"

/* Who watches how it goes on; each may be NULL. */
struct job_watcher {
    void (*asks)(void *user);
    void (*waits)(void *user, int64_t milliseconds); /* the server asks for that */
    void *user;
};

struct job_settings {
    bool is_sweep;       /* its requests that get no answer are told in the log */
    unsigned tries_max;  /* of a request, above 0 */
    unsigned unanswered; /* of these, how many without any answer, above 0 */
    struct job_watcher watcher;
};

#define JOB_DETAIL_SIZE 256

/* Its members are its own, but for those that are named here. */
struct job {
    struct loop loop; /* for what else its owner waits for */
    unsigned long requests;
    char detail[JOB_DETAIL_SIZE]; /* why the last request got no answer, in words; or "" */

    struct gate *gate;
    struct job_settings settings;
    struct upstream *upstream;
    const struct machine *machine; /* the one under way, and its object */
    void *self;
    struct api_client client;
    struct arena arena;  /* of the request under way */
    int64_t asked_pause; /* milliseconds that its answer asks for, or 0 */
    struct machine_order order;
    monotonic_time may_ask; /* not before */
    unsigned tries;         /* of what is asked now, that came to nothing */
    monotonic_time tick;
};

/* False when memory or files run out; job_close() is then still needed. */
bool job_open(struct job *job, struct gate *gate, const struct job_settings *settings);
void job_close(struct job *job);

/* Until the machine is done, or `stopping` (NULL: never) is set from within the loop. */
void job_run(struct job *job, const struct machine *machine, void *self, const bool *stopping);

/* One round of the loop: waits, until `until` at most, and does what is due then. */
void job_run_round(struct job *job, monotonic_time until);

#endif
