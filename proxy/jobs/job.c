#include "proxy/jobs/job.h"

#include <limits.h>
#include <stdio.h>

#include "proxy/base/clock.h"

#define TICK_MILLISECONDS 1000
/* How long it stands back, doubled each time. */
#define FIRST_PAUSE_MILLISECONDS INT64_C(250)
#define LONGEST_PAUSE_MILLISECONDS INT64_C(60000)
/* How long at most because the server asks for it, and how long while others wait as well. */
#define LONGEST_ASKED_SECONDS INT64_C(300)
#define LONGEST_AWAITED_MILLISECONDS INT64_C(1000)

/* ---- its requests ---- */

static bool has_failed(const struct job *job)
{
    unsigned status = job->client.answer.status;
    return status == 0 || status == 429 || status >= 500;
}

static bool is_worth_another_try(const struct job *job)
{
    const struct machine_order *order = &job->order;
    unsigned most =
        job->client.answer.status == 0 ? job->settings.unanswered : job->settings.tries_max;
    most = order->tries > 0 && order->tries < most ? order->tries : most;
    bool too_long = order->is_awaited && job->asked_pause > LONGEST_AWAITED_MILLISECONDS;
    return has_failed(job) && !order->once && !too_long && job->tries + 1 < most;
}

static int64_t pause_milliseconds(const struct job *job)
{
    int64_t pause = FIRST_PAUSE_MILLISECONDS << (job->tries - 1);
    return pause < LONGEST_PAUSE_MILLISECONDS ? pause : LONGEST_PAUSE_MILLISECONDS;
}

static void tell_asked_pause(const struct job *job)
{
    if (job->asked_pause == 0)
        return;
    const struct job_watcher *watcher = &job->settings.watcher;
    if (watcher->waits != NULL)
        watcher->waits(watcher->user, job->asked_pause);
    if (job->settings.is_sweep)
        log_event(job->gate->log, LOG_LEVEL_WARN, "the server wants a sweep to wait",
                  log_number("status", job->client.answer.status),
                  log_number("milliseconds", job->asked_pause));
}

static void answered(struct job *job)
{
    int64_t gap = 1000 / (int64_t)job->gate->config->sweep_rate, pause = job->asked_pause;
    tell_asked_pause(job);
    if (is_worth_another_try(job)) {
        job->tries++;
        int64_t own = pause_milliseconds(job);
        pause = own > pause ? own : pause;
    } else {
        job->tries = 0;
        const struct api_answer *answer = &job->client.answer;
        job->machine->feed(job->self, answer->status, buffer_content(&answer->content),
                           answer->content.len);
    }
    api_answer_clear(&job->client.answer);
    job->may_ask = monotonic_after(clock_monotonic(), gap + pause);
}

static void job_on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct job *job = user;
    int64_t asked = has_failed(job) ? job->client.retry_after : 0;
    job->asked_pause = (asked < LONGEST_ASKED_SECONDS ? asked : LONGEST_ASKED_SECONDS) * 1000;
    if (failure != UPSTREAM_FINE) {
        snprintf(job->detail, sizeof job->detail, "%s", detail != NULL ? detail : "");
        metrics_count_upstream_failure(job->gate->metrics, failure);
        if (job->settings.is_sweep)
            log_event(job->gate->log, LOG_LEVEL_WARN, "request of a sweep failed",
                      log_text("kind", upstream_failure_name(failure)), log_text("detail", detail));
    }
    answered(job);
}

static void job_ask(struct job *job)
{
    const struct config *config = job->gate->config;
    const struct job_watcher *watcher = &job->settings.watcher;
    if (watcher->asks != NULL)
        watcher->asks(watcher->user);
    job->order = job->machine->order(job->self);
    job->asked_pause = 0;
    job->detail[0] = '\0';
    job->requests++;
    arena_clear(&job->arena);
    struct upstream_request request =
        api_call(job->order.is_session, job->order.body, job->order.len);
    request.once = job->order.once;
    request.timeout_ms = config->lookup_timeout_ms;
    request.arena = &job->arena;
    enum api_sent sent = api_client_send(&job->client, &request, NULL, true);
    if (sent == API_CREDENTIAL_RESTS)
        job->client.answer.status = 401;
    if (sent != API_SENT)
        answered(job);
}

/* ---- the loop ---- */

void job_run_round(struct job *job, monotonic_time until)
{
    until = monotonic_earlier(until, upstream_due(job->upstream));
    until = monotonic_earlier(until, job->tick);
    int64_t milliseconds = monotonic_milliseconds_until(clock_monotonic(), until);
    loop_wait(&job->loop, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
    upstream_run(job->upstream, clock_monotonic());
    if (monotonic_reached(job->tick, clock_monotonic())) {
        job->tick = monotonic_after(clock_monotonic(), TICK_MILLISECONDS);
        upstream_tick(job->upstream);
    }
}

void job_run(struct job *job, const struct machine *machine, void *self, const bool *stopping)
{
    job->machine = machine;
    job->self = self;
    job->tries = 0;
    while (!(stopping != NULL && *stopping) && machine->step(self) != MACHINE_DONE) {
        bool asks = machine->step(self) == MACHINE_SEND && job->client.transfer == NULL;
        if (asks && monotonic_reached(job->may_ask, clock_monotonic())) {
            job_ask(job);
            asks = false;
        }
        if (machine->step(self) != MACHINE_DONE)
            job_run_round(job, asks ? job->may_ask : MONOTONIC_NEVER);
    }
    api_client_clear(&job->client);
    arena_clear(&job->arena);
}

/* ---- its beginning and end ---- */

bool job_open(struct job *job, struct gate *gate, const struct job_settings *settings)
{
    const struct config *config = gate->config;
    const struct upstream_settings upstream = config_upstream(config);
    *job = (struct job){.loop = {.epoll = -1}, .gate = gate, .settings = *settings};
    if (!loop_open(&job->loop))
        return false;
    job->upstream = upstream_create(&upstream, &job->loop);
    api_client_open(&job->client, gate, job->upstream, "", job_on_done, job);
    return job->upstream != NULL;
}

void job_close(struct job *job)
{
    upstream_destroy(job->upstream);
    loop_close(&job->loop);
}
