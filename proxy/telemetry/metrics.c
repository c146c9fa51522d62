#include "proxy/telemetry/metrics.h"

#include <inttypes.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/version.h"

static const char *const refusal_names[METRICS_REFUSALS] = {
    [METRICS_NO_ROOM] = "no_room",
    [METRICS_TOO_MUCH] = "too_much",
};

/* Methods are counted by name only where the set stays small: clients can invent any. */
static const char *const method_names[METRICS_METHODS] = {
    "GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PROPFIND", "REPORT", "other",
};

/* "none" is for those whose client got no whole answer. */
static const char *const class_names[METRICS_CLASSES] = {
    "none", "1xx", "2xx", "3xx", "4xx", "5xx",
};

/* Upper bounds of the look-up histogram, in milliseconds. */
static const unsigned bucket_limits[METRICS_BUCKETS] = {
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000,
};

static void metrics_count(counter *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint64_t value(const counter *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_count_decision(struct metrics *metrics, enum outcome outcome, bool reached)
{
    if (outcome < OUTCOMES)
        metrics_count(&metrics->decisions[outcome]);
    if (reached)
        metrics_count(&metrics->forwards);
}

void metrics_count_change(struct metrics *metrics, enum queue_action action)
{
    metrics_count(&metrics->changes[action]);
}

void metrics_count_skip(struct metrics *metrics)
{
    metrics_count(&metrics->skipped_domains);
}

void metrics_count_sweep(struct metrics *metrics, bool fine, int64_t nanoseconds, wall_time now)
{
    metrics_count(fine ? &metrics->sweeps : &metrics->failed_sweeps);
    atomic_fetch_add_explicit(&metrics->sweep_milliseconds,
                              (uint64_t)(nanoseconds / NANOSECONDS_PER_MILLISECOND),
                              memory_order_relaxed);
    if (fine)
        atomic_store_explicit(&metrics->last_sweep, now.seconds, memory_order_relaxed);
}

void metrics_count_refusal(struct metrics *metrics, enum metrics_refusal refusal)
{
    metrics_count(&metrics->refused[refusal]);
}

static size_t method_index(const char *method)
{
    size_t i = 0;
    while (i < METRICS_METHODS - 1 && strcmp(method_names[i], method) != 0)
        i++;
    return i;
}

void metrics_count_request(struct metrics *metrics, const char *method)
{
    metrics_count(&metrics->requests[method_index(method)]);
}

void metrics_count_response(struct metrics *metrics, const char *method, unsigned status)
{
    unsigned class = status / 100 < METRICS_CLASSES ? status / 100 : 0;
    metrics_count(&metrics->responses[method_index(method)][class]);
}

void metrics_count_received(struct metrics *metrics, size_t len)
{
    atomic_fetch_add_explicit(&metrics->received_bytes, len, memory_order_relaxed);
}

void metrics_count_sent(struct metrics *metrics, size_t len)
{
    atomic_fetch_add_explicit(&metrics->sent_bytes, len, memory_order_relaxed);
}

void metrics_connection_opened(struct metrics *metrics)
{
    metrics_count(&metrics->connections);
    atomic_fetch_add_explicit(&metrics->open_connections, 1, memory_order_relaxed);
}

void metrics_connection_closed(struct metrics *metrics)
{
    atomic_fetch_sub_explicit(&metrics->open_connections, 1, memory_order_relaxed);
}

void metrics_count_lookup(struct metrics *metrics, int64_t nanoseconds)
{
    size_t i = 0;
    while (i < METRICS_BUCKETS && nanoseconds > bucket_limits[i] * NANOSECONDS_PER_MILLISECOND)
        i++;
    metrics_count(&metrics->lookups);
    metrics_count(&metrics->lookup_buckets[i]);
    atomic_fetch_add_explicit(&metrics->lookup_nanoseconds, (uint64_t)nanoseconds,
                              memory_order_relaxed);
}

void metrics_count_upstream_failure(struct metrics *metrics, enum upstream_failure failure)
{
    metrics_count(&metrics->upstream_errors[failure]);
}

void metrics_count_lost_line(struct metrics *metrics)
{
    metrics_count(&metrics->lost_log_lines);
}

void metrics_count_unreadable_task(struct metrics *metrics)
{
    metrics_count(&metrics->unreadable_tasks);
}

void metrics_count_credential_refusal(struct metrics *metrics)
{
    metrics_count(&metrics->credential_refusals);
}

void metrics_count_lock_failure(struct metrics *metrics)
{
    metrics_count(&metrics->lock_failures);
}

void metrics_count_lock_wait(struct metrics *metrics)
{
    metrics_count(&metrics->lock_waits);
}

void metrics_set_lock_in_use(struct metrics *metrics, bool in_use)
{
    atomic_store(&metrics->lock, in_use ? METRICS_LOCK_IN_USE : METRICS_LOCK_LOST);
}

void metrics_exchange_began(struct metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->in_flight, 1, memory_order_relaxed);
}

void metrics_exchange_ended(struct metrics *metrics)
{
    atomic_fetch_sub_explicit(&metrics->in_flight, 1, memory_order_relaxed);
}

void metrics_websocket_opened(struct metrics *metrics)
{
    atomic_fetch_add_explicit(&metrics->websockets, 1, memory_order_relaxed);
}

void metrics_websocket_closed(struct metrics *metrics)
{
    atomic_fetch_sub_explicit(&metrics->websockets, 1, memory_order_relaxed);
}

bool metrics_render_head(struct buffer *out, const char *name, const char *type, const char *help)
{
    return buffer_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static bool render_single(struct buffer *out, const char *name, const char *help,
                          const counter *counter)
{
    return metrics_render_head(out, name, "counter", help) &&
           buffer_format(out, "%s %" PRIu64 "\n", name, value(counter));
}

/* A counter a label value; `names[i]` NULL is passed over. */
static bool render_labelled(struct buffer *out, const char *name, const char *label,
                            const char *help, const char *const *names, const counter *counters,
                            size_t count)
{
    bool fine = metrics_render_head(out, name, "counter", help);
    for (size_t i = 0; fine && i < count; i++) {
        if (names[i] != NULL)
            fine = buffer_format(out, "%s{%s=\"%s\"} %" PRIu64 "\n", name, label, names[i],
                                 value(&counters[i]));
    }
    return fine;
}

static bool render_lookup_seconds(const struct metrics *metrics, struct buffer *out)
{
    static const char name[] = "renewgate_lookup_seconds";
    bool fine = metrics_render_head(out, name, "histogram", "Time that a look-up took.");
    uint64_t sum = 0;
    for (size_t i = 0; fine && i < METRICS_BUCKETS; i++) {
        sum += value(&metrics->lookup_buckets[i]);
        fine = buffer_format(out, "%s_bucket{le=\"%u.%03u\"} %" PRIu64 "\n", name,
                             bucket_limits[i] / 1000, bucket_limits[i] % 1000, sum);
    }
    sum += value(&metrics->lookup_buckets[METRICS_BUCKETS]);
    uint64_t nanoseconds = value(&metrics->lookup_nanoseconds);
    return fine && buffer_format(out,
                                 "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %" PRIu64 ".%09" PRIu64
                                 "\n%s_count %" PRIu64 "\n",
                                 name, sum, name, nanoseconds / (uint64_t)NANOSECONDS_PER_SECOND,
                                 nanoseconds % (uint64_t)NANOSECONDS_PER_SECOND, name, sum);
}

/* Nothing where there is no lock server. */
static bool render_lock(const struct metrics *metrics, struct buffer *out)
{
    int lock = atomic_load(&metrics->lock);
    if (lock == METRICS_LOCK_NONE)
        return true;
    return metrics_render_head(out, "renewgate_lock_in_use", "gauge",
                               "Whether the lock server that replicas share is in use.") &&
           buffer_format(out, "renewgate_lock_in_use %d\n", lock == METRICS_LOCK_IN_USE) &&
           render_single(out, "renewgate_lock_failures_total",
                         "Times that the lock server could not be reached or failed.",
                         &metrics->lock_failures) &&
           render_single(out, "renewgate_lock_waits_total",
                         "Domains that had to be waited for because another replica decided.",
                         &metrics->lock_waits);
}

static bool render_sweeps(const struct metrics *metrics, struct buffer *out)
{
    uint64_t milliseconds = value(&metrics->sweep_milliseconds);
    return metrics_render_head(out, "renewgate_sweeps_total", "counter",
                               "Sweeps by how they ended.") &&
           buffer_format(out,
                         "renewgate_sweeps_total{result=\"done\"} %" PRIu64
                         "\nrenewgate_sweeps_total{result=\"failed\"} %" PRIu64 "\n",
                         value(&metrics->sweeps), value(&metrics->failed_sweeps)) &&
           render_single(out, "renewgate_sweep_domains_skipped_total",
                         "Domains that a sweep passed over, since the server had no good answer.",
                         &metrics->skipped_domains) &&
           metrics_render_head(out, "renewgate_sweep_seconds_total", "counter",
                               "Time that sweeps took.") &&
           buffer_format(out, "renewgate_sweep_seconds_total %" PRIu64 ".%03" PRIu64 "\n",
                         milliseconds / 1000, milliseconds % 1000) &&
           metrics_render_head(out, "renewgate_last_sweep_timestamp_seconds", "gauge",
                               "When the last sweep was done; 0 before the first.") &&
           buffer_format(out, "renewgate_last_sweep_timestamp_seconds %" PRIdFAST64 "\n",
                         atomic_load(&metrics->last_sweep));
}

static bool render_responses(const struct metrics *metrics, struct buffer *out)
{
    static const char name[] = "renewgate_responses_total";
    bool fine =
        metrics_render_head(out, name, "counter", "Ended requests by method and class of status.");
    for (size_t method = 0; method < METRICS_METHODS; method++) {
        for (size_t class = 0; class < METRICS_CLASSES; class ++)
            fine = fine && buffer_format(out, "%s{method=\"%s\",class=\"%s\"} %" PRIu64 "\n", name,
                                         method_names[method], class_names[class],
                                         value(&metrics->responses[method][class]));
    }
    return fine;
}

static bool render_clients(const struct metrics *metrics, struct buffer *out)
{
    return render_responses(metrics, out) &&
           render_single(out, "renewgate_received_bytes_total",
                         "Bytes of requests' bodies that clients sent.",
                         &metrics->received_bytes) &&
           render_single(out, "renewgate_sent_bytes_total",
                         "Bytes of answers' bodies that went to clients.", &metrics->sent_bytes) &&
           render_single(out, "renewgate_connections_total", "Connections that clients made.",
                         &metrics->connections) &&
           metrics_render_head(out, "renewgate_connections_open", "gauge",
                               "Clients' connections that are open now.") &&
           buffer_format(out, "renewgate_connections_open %" PRIdFAST64 "\n",
                         atomic_load(&metrics->open_connections));
}

bool metrics_render(const struct metrics *metrics, struct buffer *out)
{
    const char *outcomes[OUTCOMES], *actions[QUEUE_ACTIONS], *failures[UPSTREAM_FAILURES];
    for (size_t i = 0; i < OUTCOMES; i++)
        outcomes[i] = outcome_name((enum outcome)i);
    for (size_t i = 0; i < QUEUE_ACTIONS; i++)
        actions[i] = queue_action_name((enum queue_action)i);
    for (size_t i = 0; i < UPSTREAM_FAILURES; i++)
        failures[i] = i == UPSTREAM_FINE ? NULL : upstream_failure_name((enum upstream_failure)i);
    return render_labelled(out, "renewgate_decisions_total", "outcome",
                           "Held creates by what became of them.", outcomes, metrics->decisions,
                           OUTCOMES) &&
           render_single(out, "renewgate_forwards_total",
                         "Held creates that went to the server as real ones.",
                         &metrics->forwards) &&
           render_labelled(out, "renewgate_queue_changes_total", "action",
                           "Queued tasks that were tidied up, by how.", actions, metrics->changes,
                           QUEUE_ACTIONS) &&
           render_sweeps(metrics, out) &&
           render_single(out, "renewgate_unreadable_tasks_total",
                         "Tasks that the server cannot read for anyone, passed over.",
                         &metrics->unreadable_tasks) &&
           render_single(out, "renewgate_lookup_requests_total",
                         "Requests that the gate made to look something up.", &metrics->lookups) &&
           render_lookup_seconds(metrics, out) &&
           render_labelled(out, "renewgate_requests_total", "method", "Requests by method.",
                           method_names, metrics->requests, METRICS_METHODS) &&
           render_clients(metrics, out) &&
           render_labelled(out, "renewgate_requests_refused_total", "reason",
                           "Requests that the gate would not hold, by why.", refusal_names,
                           metrics->refused, METRICS_REFUSALS) &&
           render_labelled(out, "renewgate_upstream_errors_total", "kind",
                           "Requests to the server that failed, by how.", failures,
                           metrics->upstream_errors, UPSTREAM_FAILURES) &&
           render_single(out, "renewgate_log_lines_lost_total",
                         "Lines of the log that standard error did not take.",
                         &metrics->lost_log_lines) &&
           render_lock(metrics, out) &&
           metrics_render_head(out, "renewgate_exchanges_in_flight", "gauge",
                               "Requests that are being answered now.") &&
           buffer_format(out, "renewgate_exchanges_in_flight %" PRIdFAST64 "\n",
                         atomic_load(&metrics->in_flight)) &&
           metrics_render_head(out, "renewgate_websockets_open", "gauge",
                               "WebSockets that are open now.") &&
           buffer_format(out, "renewgate_websockets_open %" PRIdFAST64 "\n",
                         atomic_load(&metrics->websockets)) &&
           metrics_render_head(out, "renewgate_build_info", "gauge", "The gate's version.") &&
           buffer_format(out, "renewgate_build_info{version=\"%s\"} 1\n", RENEWGATE_VERSION);
}
