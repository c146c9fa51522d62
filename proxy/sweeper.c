#include "proxy/sweeper.h"

#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "jmap/sweep.h"
#include "proxy/clock.h"
#include "proxy/loop.h"
#include "proxy/mailbox.h"
#include "proxy/outgoing.h"
#include "proxy/replica_lock.h"
#include "proxy/upstream.h"

#define API_TARGET "/jmap/"
#define SESSION_TARGET "/jmap/session"
#define TICK_MILLISECONDS 1000
#define ANSWER_LIMIT ((size_t)64 << 20)
/* How long it stands back, doubled each time, and how often before it gives the sweep up. */
#define FIRST_PAUSE_MILLISECONDS INT64_C(250)
#define LONGEST_PAUSE_MILLISECONDS INT64_C(60000)
#define TRIES_MAX 9

struct sweeper {
    struct gate *gate;
    struct sweeper_handler handler;
    struct loop loop;
    struct mailbox mailbox;
    struct upstream *upstream;
    struct sweep_context context;
    struct sweep *sweep; /* the one under way, or NULL */
    struct transfer *transfer;
    struct arena arena; /* the transfer's */
    unsigned status;
    struct buffer content;
    struct sweep_request asked;
    monotonic_time may_ask; /* not before */
    unsigned tries;         /* of what is asked now, that came to nothing */
    int64_t changes;
    struct letter wake;
    struct letter stop;
    bool stopping;
    monotonic_time tick;
    pthread_t thread;
};

/* ---- what the sweep calls ---- */

static wall_time now(void *user)
{
    const struct sweeper *sweeper = user;
    return server_clock_now(&sweeper->gate->clock);
}

/* From any thread, with the flights locked. */
static void wake(void *user)
{
    struct sweeper *sweeper = user;
    mailbox_post(&sweeper->mailbox, &sweeper->wake);
}

static void on_woken(void *user)
{
    struct sweeper *sweeper = user;
    if (sweeper->sweep != NULL && sweep_step(sweeper->sweep) == SWEEP_WAIT)
        sweep_woken(sweeper->sweep);
}

static void changed(void *user, const struct hold_change *change)
{
    struct sweeper *sweeper = user;
    sweeper->changes++;
    sweeper->handler.changed(sweeper->handler.user, change);
}

static void on_stop(void *user)
{
    struct sweeper *sweeper = user;
    sweeper->stopping = true;
}

/* ---- its requests ---- */

static bool on_head(void *user, const struct upstream_head *head)
{
    struct sweeper *sweeper = user;
    server_clock_note(&sweeper->gate->clock, &head->fields);
    sweeper->status = head->status;
    return true;
}

static enum data_result on_data(void *user, const char *bytes, size_t len)
{
    struct buffer *content = &((struct sweeper *)user)->content;
    if (len > ANSWER_LIMIT - content->len)
        return DATA_FAIL;
    return buffer_append(content, bytes, len) ? DATA_TAKEN : DATA_FAIL;
}

static enum pull_result on_pull(void *user, char *into, size_t max, size_t *len)
{
    (void)user;
    (void)into;
    (void)max;
    (void)len;
    return PULL_FAIL; /* its requests are whole */
}

static bool is_worth_another_try(const struct sweeper *sweeper)
{
    bool failed = sweeper->status == 0 || sweeper->status == 429 || sweeper->status >= 500;
    return failed && !sweeper->asked.once && sweeper->tries + 1 < TRIES_MAX;
}

static int64_t pause_milliseconds(const struct sweeper *sweeper)
{
    int64_t pause = FIRST_PAUSE_MILLISECONDS << (sweeper->tries - 1);
    return pause < LONGEST_PAUSE_MILLISECONDS ? pause : LONGEST_PAUSE_MILLISECONDS;
}

static void answered(struct sweeper *sweeper)
{
    int64_t gap = 1000 / (int64_t)sweeper->gate->config->sweep_rate;
    if (is_worth_another_try(sweeper)) {
        sweeper->tries++;
        gap += pause_milliseconds(sweeper);
    } else {
        sweeper->tries = 0;
        sweep_feed(sweeper->sweep, sweeper->status, buffer_content(&sweeper->content),
                   sweeper->content.len);
    }
    sweeper->may_ask = monotonic_after(clock_monotonic(), gap);
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct sweeper *sweeper = user;
    sweeper->transfer = NULL;
    if (failure != UPSTREAM_FINE) {
        sweeper->status = 0;
        metrics_count_upstream_failure(sweeper->gate->metrics, failure);
        log_event(sweeper->gate->log, LOG_LEVEL_WARN, "request of a sweep failed",
                  log_text("kind", upstream_failure_name(failure)), log_text("detail", detail));
    }
    answered(sweeper);
}

static const struct transfer_handler transfer_handler = {
    .head = on_head,
    .data = on_data,
    .pull = on_pull,
    .done = on_done,
};

static void ask(struct sweeper *sweeper)
{
    const struct config *config = sweeper->gate->config;
    sweeper->asked = sweep_request(sweeper->sweep);
    sweeper->status = 0;
    buffer_clear(&sweeper->content);
    arena_clear(&sweeper->arena);
    struct upstream_request request = {
        .method = sweeper->asked.is_session ? "GET" : "POST",
        .target = sweeper->asked.is_session ? SESSION_TARGET : API_TARGET,
        .body_kind = sweeper->asked.is_session ? BODY_NONE : BODY_WHOLE,
        .body = sweeper->asked.body,
        .len = sweeper->asked.len,
        .once = sweeper->asked.once,
        .timeout_ms = config->lookup_timeout_ms,
        .arena = &sweeper->arena,
    };
    if (outgoing_own_fields(config->service_authorization, &sweeper->arena, &request.fields))
        sweeper->transfer = transfer_start(sweeper->upstream, &request, &transfer_handler, sweeper);
    if (sweeper->transfer == NULL)
        answered(sweeper);
}

/* ---- the loop ---- */

static bool is_past(monotonic_time time)
{
    return time.nanoseconds <= clock_monotonic().nanoseconds;
}

/* One round: waits, until `until` at most, and does what is due then. */
static void run_round(struct sweeper *sweeper, monotonic_time until)
{
    until = monotonic_earlier(until, upstream_due(sweeper->upstream));
    until = monotonic_earlier(until, sweeper->tick);
    int64_t milliseconds = monotonic_milliseconds_until(clock_monotonic(), until);
    loop_wait(&sweeper->loop, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
    upstream_run(sweeper->upstream);
    if (is_past(sweeper->tick)) {
        sweeper->tick = monotonic_after(clock_monotonic(), TICK_MILLISECONDS);
        upstream_tick(sweeper->upstream);
    }
}

static void run_sweep(struct sweeper *sweeper)
{
    while (!sweeper->stopping && sweep_step(sweeper->sweep) != SWEEP_DONE) {
        bool asks = sweep_step(sweeper->sweep) == SWEEP_SEND && sweeper->transfer == NULL;
        if (asks && is_past(sweeper->may_ask)) {
            ask(sweeper);
            asks = false;
        }
        if (sweep_step(sweeper->sweep) != SWEEP_DONE)
            run_round(sweeper, asks ? sweeper->may_ask : MONOTONIC_NEVER);
    }
}

static void end_sweep(struct sweeper *sweeper)
{
    transfer_cancel(sweeper->transfer);
    sweeper->transfer = NULL;
    sweep_destroy(sweeper->sweep);
    sweeper->sweep = NULL;
    mailbox_withdraw(&sweeper->mailbox, &sweeper->wake);
    buffer_clear(&sweeper->content);
    arena_clear(&sweeper->arena);
}

const char *sweeper_sweep(struct sweeper *sweeper)
{
    sweeper->changes = 0;
    sweeper->tries = 0;
    sweeper->sweep = sweep_create(&sweeper->context);
    if (sweeper->sweep == NULL)
        return "out of memory";
    run_sweep(sweeper);
    const char *error = sweeper->stopping ? "stopped" : sweep_error(sweeper->sweep);
    end_sweep(sweeper);
    return error;
}

/* ---- the thread ---- */

/* Of several replicas one sweeps. False where that is another; `lease` is NULL where nobody knows.
 */
static bool take_lease(struct sweeper *sweeper, struct lease **lease)
{
    struct replica_lock *replicas = sweeper->gate->replicas;
    *lease = replicas != NULL ? replica_lock_take(replicas, "sweep", wake, sweeper) : NULL;
    while (*lease != NULL && !sweeper->stopping &&
           replica_lock_state(replicas, *lease) == LEASE_WAITING)
        run_round(sweeper, MONOTONIC_NEVER);
    return !sweeper->stopping &&
           (*lease == NULL || replica_lock_state(replicas, *lease) != LEASE_OTHERS);
}

static void sweep_and_tell(struct sweeper *sweeper)
{
    monotonic_time began = clock_monotonic();
    const char *error = sweeper_sweep(sweeper);
    int64_t elapsed = monotonic_elapsed(began, clock_monotonic());
    if (sweeper->stopping)
        return;
    metrics_count_sweep(sweeper->gate->metrics, error == NULL, elapsed, clock_wall());
    log_event(sweeper->gate->log, error == NULL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              error == NULL ? "sweep done" : "sweep given up", log_text("error", error),
              log_number("changes", sweeper->changes),
              log_number("milliseconds", elapsed / NANOSECONDS_PER_MILLISECOND));
}

static void sweep_in_turn(struct sweeper *sweeper)
{
    struct lease *lease;
    if (take_lease(sweeper, &lease))
        sweep_and_tell(sweeper);
    if (lease != NULL)
        replica_lock_give(sweeper->gate->replicas, lease);
}

/* Somewhere between that part of the interval and a fifth more, so that gates do not march in step.
 */
static int64_t jittered(const struct sweeper *sweeper, int64_t tenths)
{
    int64_t interval = sweeper->gate->config->sweep_interval_ms;
    int64_t spread = interval / 5 + 1;
    return interval * tenths / 10 + clock_monotonic().nanoseconds % spread;
}

static void *run(void *user)
{
    struct sweeper *sweeper = user;
    monotonic_time next = monotonic_after(clock_monotonic(), jittered(sweeper, 1));
    while (!sweeper->stopping) {
        if (is_past(next)) {
            sweep_in_turn(sweeper);
            next = monotonic_after(clock_monotonic(), jittered(sweeper, 9));
        } else {
            run_round(sweeper, next);
        }
    }
    return NULL;
}

bool sweeper_start(struct sweeper *sweeper)
{
    return pthread_create(&sweeper->thread, NULL, run, sweeper) == 0;
}

void sweeper_stop(struct sweeper *sweeper)
{
    mailbox_post(&sweeper->mailbox, &sweeper->stop);
    pthread_join(sweeper->thread, NULL);
}

/* ---- its beginning and end ---- */

static bool open_world(struct sweeper *sweeper)
{
    const struct config *config = sweeper->gate->config;
    const struct upstream_settings settings = {
        .url = config->upstream_url,
        .ca = config->upstream_ca,
        .tls_verify = config->upstream_tls_verify,
        .connect_timeout_ms = config->connect_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
    };
    if (!loop_open(&sweeper->loop) || !mailbox_open(&sweeper->mailbox, &sweeper->loop))
        return false;
    sweeper->upstream = upstream_create(&settings, &sweeper->loop);
    return sweeper->upstream != NULL;
}

struct sweeper *sweeper_create(struct gate *gate, bool dry_run,
                               const struct sweeper_handler *handler)
{
    struct sweeper *sweeper = calloc(1, sizeof *sweeper);
    if (sweeper == NULL)
        return NULL;
    *sweeper = (struct sweeper){
        .gate = gate,
        .handler = *handler,
        .loop = {.epoll = -1},
        .mailbox = {.event = -1},
        .context = {.settings = &gate->config->hold,
                    .flights = gate->flights,
                    .memory = gate->memory,
                    .sightings = gate->sightings,
                    .lock = replica_lock_domains(gate->replicas),
                    .dry_run = dry_run,
                    .now = now,
                    .wake = wake,
                    .changed = changed,
                    .user = sweeper},
        .wake = {.open = on_woken, .user = sweeper},
        .stop = {.open = on_stop, .user = sweeper},
    };
    if (open_world(sweeper))
        return sweeper;
    sweeper_destroy(sweeper);
    return NULL;
}

void sweeper_destroy(struct sweeper *sweeper)
{
    if (sweeper == NULL)
        return;
    upstream_destroy(sweeper->upstream);
    mailbox_close(&sweeper->mailbox);
    loop_close(&sweeper->loop);
    free(sweeper);
}
