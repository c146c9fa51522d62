#ifndef RENEWGATE_PROXY_TELEMETRY_METRICS_H
#define RENEWGATE_PROXY_TELEMETRY_METRICS_H

/*
 * The process's counters, counted by all threads without locks, and their text for Prometheus.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "jmap/tidy/queue_change.h"
#include "policy/outcome.h"
#include "policy/wall_time.h"
#include "proxy/base/buffer.h"
#include "proxy/server/upstream.h"

enum metrics_lock {
    METRICS_LOCK_NONE, /* there is no lock server */
    METRICS_LOCK_LOST,
    METRICS_LOCK_IN_USE,
};

/* Requests that the gate would not hold. */
enum metrics_refusal {
    METRICS_NO_ROOM,  /* for its bytes, or for what they are once parsed */
    METRICS_TOO_MUCH, /* to be parsed at all */
    METRICS_REFUSALS,
};

#define METRICS_METHODS 9 /* eight known ones and "other" */
#define METRICS_CLASSES 6 /* of statuses: none, 1xx to 5xx */
#define METRICS_BUCKETS 12

typedef atomic_uint_fast64_t counter;

struct metrics {
    counter decisions[OUTCOMES];
    counter forwards;
    counter changes[QUEUE_ACTIONS];
    counter sweeps;
    counter failed_sweeps;
    counter skipped_domains;
    counter sweep_milliseconds;
    atomic_int_fast64_t last_sweep; /* when the last one ended well, in seconds; 0: none has */
    counter lookups;
    counter lookup_buckets[METRICS_BUCKETS + 1]; /* each for itself; the last for all above */
    counter lookup_nanoseconds;
    counter refused[METRICS_REFUSALS];
    counter requests[METRICS_METHODS];
    counter responses[METRICS_METHODS][METRICS_CLASSES];
    counter received_bytes; /* of clients' bodies */
    counter sent_bytes;
    counter connections;
    atomic_int_fast64_t open_connections;
    counter lost_log_lines;
    counter upstream_errors[UPSTREAM_FAILURES];
    counter credential_refusals;
    counter unreadable_tasks;
    counter lock_failures;
    counter lock_waits;
    atomic_int lock; /* enum metrics_lock */
    atomic_int_fast64_t in_flight;
    atomic_int_fast64_t websockets;
};

/* A decision; `reached` when the create went to the server as a real one. */
void metrics_count_decision(struct metrics *metrics, enum outcome outcome, bool reached);

void metrics_count_change(struct metrics *metrics, enum queue_action action);

/* A domain that a sweep passed over. */
void metrics_count_skip(struct metrics *metrics);

/* A sweep that ended at `now`. */
void metrics_count_sweep(struct metrics *metrics, bool fine, int64_t nanoseconds, wall_time now);

void metrics_count_refusal(struct metrics *metrics, enum metrics_refusal refusal);

void metrics_count_request(struct metrics *metrics, const char *method);

/* How a request ended; `status` 0 where its client got no whole answer. */
void metrics_count_response(struct metrics *metrics, const char *method, unsigned status);

/* Bytes of bodies, from clients and to them. */
void metrics_count_received(struct metrics *metrics, size_t len);
void metrics_count_sent(struct metrics *metrics, size_t len);

void metrics_connection_opened(struct metrics *metrics);
void metrics_connection_closed(struct metrics *metrics);

void metrics_count_lookup(struct metrics *metrics, int64_t nanoseconds);

void metrics_count_upstream_failure(struct metrics *metrics, enum upstream_failure failure);

void metrics_count_unreadable_task(struct metrics *metrics);

void metrics_count_credential_refusal(struct metrics *metrics);

/* What the lock server was asked and did not do; a domain that another replica has; whether it is
 * in use. */
void metrics_count_lock_failure(struct metrics *metrics);
void metrics_count_lock_wait(struct metrics *metrics);
void metrics_set_lock_in_use(struct metrics *metrics, bool in_use);

/* A line of the log that standard error did not take. */
void metrics_count_lost_line(struct metrics *metrics);

void metrics_exchange_began(struct metrics *metrics);
void metrics_exchange_ended(struct metrics *metrics);

void metrics_websocket_opened(struct metrics *metrics);
void metrics_websocket_closed(struct metrics *metrics);

/* What stands above a metric. False when memory runs out. */
bool metrics_render_head(struct buffer *out, const char *name, const char *type, const char *help);

/* Appends the text exposition format; false when memory runs out. */
bool metrics_render(const struct metrics *metrics, struct buffer *out);

#endif
