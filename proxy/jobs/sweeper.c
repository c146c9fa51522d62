#include "proxy/jobs/sweeper.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "jmap/queue/sweep.h"
#include "proxy/base/clock.h"
#include "proxy/jobs/job.h"
#include "proxy/base/mailbox.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/jobs/survey.h"
#include "proxy/server/service_credential.h"

/* How often a request is made before the sweep is given up. */
#define TRIES_MAX 9

struct sweeper {
    struct gate *gate;
    struct sweeper_handler handler;
    struct job job;
    struct mailbox mailbox;
    struct sweep_context context;
    struct sweep *sweep;      /* the one under way, or NULL */
    struct sweep_place place; /* where the next begins */
    int64_t changes;
    int64_t skipped;
    unsigned sweeps_refused, surveys_refused; /* at which refusal one was told last; 0: at none */
    struct mailbox_message wake;
    struct mailbox_message stop;
    bool stopping;
    pthread_t thread;
};

/* ---- what the sweep calls ---- */

static wall_time sweeper_now(void *user)
{
    const struct sweeper *sweeper = user;
    return server_clock_now(&sweeper->gate->clock);
}

/* From any thread, with the flights locked. */
static void sweeper_wake(void *user)
{
    struct sweeper *sweeper = user;
    mailbox_post(&sweeper->mailbox, &sweeper->wake);
}

static void sweeper_on_woken(void *user)
{
    struct sweeper *sweeper = user;
    if (sweeper->sweep != NULL && sweep_machine.step(sweeper->sweep) == MACHINE_WAIT)
        sweep_woken(sweeper->sweep);
}

static void changed(void *user, const struct queue_change *change)
{
    struct sweeper *sweeper = user;
    sweeper->changes++;
    sweeper->handler.changed(sweeper->handler.user, change);
}

static void skipped(void *user, const struct sweep_skip *skip)
{
    struct sweeper *sweeper = user;
    sweeper->skipped++;
    metrics_count_skip(sweeper->gate->metrics);
    sweeper->handler.skipped(sweeper->handler.user, skip);
}

static void sweeper_on_stop(void *user)
{
    struct sweeper *sweeper = user;
    sweeper->stopping = true;
}

/* ---- one sweep ---- */

const char *sweeper_sweep(struct sweeper *sweeper)
{
    sweeper->changes = 0;
    sweeper->skipped = 0;
    sweeper->sweep = sweep_create(&sweeper->context);
    if (sweeper->sweep == NULL)
        return "out of memory";
    job_run(&sweeper->job, &sweep_machine, sweeper->sweep, &sweeper->stopping);
    const char *error = sweeper->stopping ? "stopped" : sweep_error(sweeper->sweep);
    sweep_destroy(sweeper->sweep);
    sweeper->sweep = NULL;
    mailbox_withdraw(&sweeper->mailbox, &sweeper->wake);
    return error;
}

/* ---- the thread ---- */

/*
 * Of several replicas one sweeps. False where that is another; `lease` is NULL where nobody knows.
 */
static bool take_lease(struct sweeper *sweeper, struct lease **lease)
{
    struct replica_lock *replicas = sweeper->gate->replicas;
    *lease = replicas != NULL ? replica_lock_take(replicas, "sweep", sweeper_wake, sweeper) : NULL;
    while (*lease != NULL && !sweeper->stopping &&
           replica_lock_state(replicas, *lease) == LEASE_WAITING)
        job_run_round(&sweeper->job, MONOTONIC_NEVER);
    return !sweeper->stopping &&
           (*lease == NULL || replica_lock_state(replicas, *lease) != LEASE_OTHERS);
}

/*
 * Whether something that was given up is worth a line: while the credential rests, each sweep and
 * each survey ends as the last one did.
 */
static bool is_news(struct sweeper *sweeper, const char *error, unsigned *told)
{
    const struct service_credential_state state =
        service_credential_state(sweeper->gate->credential, clock_monotonic());
    unsigned refusals = error != NULL && state.rests ? state.refusals : 0;
    bool news = refusals == 0 || refusals != *told;
    *told = refusals;
    return news;
}

static void sweep_and_tell(struct sweeper *sweeper)
{
    monotonic_time began = clock_monotonic();
    const char *error = sweeper_sweep(sweeper);
    int64_t elapsed = monotonic_elapsed(began, clock_monotonic());
    if (sweeper->stopping)
        return;
    metrics_count_sweep(sweeper->gate->metrics, error == NULL, elapsed, clock_wall());
    if (!is_news(sweeper, error, &sweeper->sweeps_refused))
        return;
    log_event(sweeper->gate->log, error == NULL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              error == NULL ? "sweep done" : "sweep given up", log_text("error", error),
              log_number("changes", sweeper->changes), log_number("skipped", sweeper->skipped),
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

static void survey_and_tell(struct sweeper *sweeper)
{
    monotonic_time began = clock_monotonic();
    size_t domains = 0;
    const char *error = survey_run(sweeper->gate, &sweeper->job, &sweeper->stopping, &domains);
    if (sweeper->stopping || !is_news(sweeper, error, &sweeper->surveys_refused))
        return;
    log_event(sweeper->gate->log, error == NULL ? LOG_LEVEL_INFO : LOG_LEVEL_WARN,
              error == NULL ? "survey done" : "survey given up", log_text("error", error),
              log_number("domains", (int64_t)domains),
              log_number("milliseconds", monotonic_elapsed(began, clock_monotonic()) /
                                             NANOSECONDS_PER_MILLISECOND));
}

int64_t sweeper_sweep_interval_ms(const struct config *config)
{
    bool may = config->service_authorization != NULL && !config->hold.observe;
    return may ? config->sweep_interval_ms : 0;
}

int64_t sweeper_survey_interval_ms(const struct config *config)
{
    return config->service_authorization != NULL ? config->survey_interval_ms : 0;
}

/* What is done again and again. */
struct duty {
    int64_t interval_ms; /* 0: never */
    void (*perform)(struct sweeper *sweeper);
    monotonic_time next;
};

/*
 * Somewhere between so many tenths of the interval and a fifth of it more, so that gates do not
 * march in step.
 */
static monotonic_time jittered(int64_t interval_ms, int64_t tenths)
{
    monotonic_time now = clock_monotonic();
    int64_t spread = interval_ms / 5 + 1;
    return monotonic_after(now, interval_ms * tenths / 10 + now.nanoseconds % spread);
}

/* Both soon, so that what is looked at after a start is there. */
static void sweeper_begin(struct duty *sweeps, struct duty *surveys)
{
    int64_t a = sweeps->interval_ms, b = surveys->interval_ms;
    monotonic_time soon = jittered(a > 0 && (b == 0 || a < b) ? a : b, 1);
    sweeps->next = a > 0 ? soon : MONOTONIC_NEVER;
    surveys->next = b > 0 ? soon : MONOTONIC_NEVER;
}

static void *sweeper_run(void *user)
{
    struct sweeper *sweeper = user;
    const struct config *config = sweeper->gate->config;
    struct duty sweeps = {.interval_ms = sweeper_sweep_interval_ms(config),
                          .perform = sweep_in_turn};
    struct duty surveys = {.interval_ms = sweeper_survey_interval_ms(config),
                           .perform = survey_and_tell};
    sweeper_begin(&sweeps, &surveys);
    while (!sweeper->stopping) {
        struct duty *next = surveys.next.nanoseconds < sweeps.next.nanoseconds ? &surveys : &sweeps;
        if (monotonic_reached(next->next, clock_monotonic())) {
            next->perform(sweeper);
            next->next = jittered(next->interval_ms, 9);
        } else {
            job_run_round(&sweeper->job, next->next);
        }
    }
    return NULL;
}

bool sweeper_start(struct sweeper *sweeper)
{
    sweeper->context.remembers = true;
    errno = pthread_create(&sweeper->thread, NULL, sweeper_run, sweeper);
    return errno == 0;
}

void sweeper_stop(struct sweeper *sweeper)
{
    mailbox_post(&sweeper->mailbox, &sweeper->stop);
    pthread_join(sweeper->thread, NULL);
}

/* ---- its beginning and end ---- */

static bool open_world(struct sweeper *sweeper)
{
    static const struct job_settings settings = {
        .is_sweep = true,
        .tries_max = TRIES_MAX,
        .unanswered = TRIES_MAX,
    };
    return job_open(&sweeper->job, sweeper->gate, &settings) &&
           mailbox_open(&sweeper->mailbox, &sweeper->job.loop);
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
        .job = {.loop = {.epoll = -1}},
        .mailbox = {.event = -1},
        .context = {.settings = &gate->config->hold,
                    .flights = gate->flights,
                    .memory = gate->memory,
                    .snapshots = gate->snapshots,
                    .lock = replica_lock_domains(gate->replicas),
                    .dry_run = dry_run,
                    .now = sweeper_now,
                    .wake = sweeper_wake,
                    .changed = changed,
                    .skipped = skipped,
                    .place = &sweeper->place,
                    .user = sweeper},
        .wake = {.open = sweeper_on_woken, .user = sweeper},
        .stop = {.open = sweeper_on_stop, .user = sweeper},
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
    mailbox_close(&sweeper->mailbox);
    job_close(&sweeper->job);
    free(sweeper);
}
