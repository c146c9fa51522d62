#include "proxy/jobs/errand.h"

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

static bool has_failed(const struct errand *errand)
{
    unsigned status = errand->client.answer.status;
    return status == 0 || status == 429 || status >= 500;
}

static bool is_worth_another_try(const struct errand *errand)
{
    const struct machine_order *order = &errand->order;
    unsigned most = errand->client.answer.status == 0 ? errand->settings.unanswered
                                                      : errand->settings.tries_max;
    most = order->tries > 0 && order->tries < most ? order->tries : most;
    bool too_long = order->is_awaited && errand->asked_pause > LONGEST_AWAITED_MILLISECONDS;
    return has_failed(errand) && !order->once && !too_long && errand->tries + 1 < most;
}

static int64_t pause_milliseconds(const struct errand *errand)
{
    int64_t pause = FIRST_PAUSE_MILLISECONDS << (errand->tries - 1);
    return pause < LONGEST_PAUSE_MILLISECONDS ? pause : LONGEST_PAUSE_MILLISECONDS;
}

static void tell_asked_pause(const struct errand *errand)
{
    if (errand->asked_pause == 0)
        return;
    const struct errand_watcher *watcher = &errand->settings.watcher;
    if (watcher->waits != NULL)
        watcher->waits(watcher->user, errand->asked_pause);
    if (errand->settings.is_sweep)
        log_event(errand->gate->log, LOG_LEVEL_WARN, "the server wants a sweep to wait",
                  log_number("status", errand->client.answer.status),
                  log_number("milliseconds", errand->asked_pause));
}

static void answered(struct errand *errand)
{
    int64_t gap = 1000 / (int64_t)errand->gate->config->sweep_rate, pause = errand->asked_pause;
    tell_asked_pause(errand);
    if (is_worth_another_try(errand)) {
        errand->tries++;
        int64_t own = pause_milliseconds(errand);
        pause = own > pause ? own : pause;
    } else {
        errand->tries = 0;
        const struct api_answer *answer = &errand->client.answer;
        errand->machine->feed(errand->self, answer->status, buffer_content(&answer->content),
                              answer->content.len);
    }
    api_answer_clear(&errand->client.answer);
    errand->may_ask = monotonic_after(clock_monotonic(), gap + pause);
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct errand *errand = user;
    int64_t asked = has_failed(errand) ? errand->client.retry_after : 0;
    errand->asked_pause = (asked < LONGEST_ASKED_SECONDS ? asked : LONGEST_ASKED_SECONDS) * 1000;
    if (failure != UPSTREAM_FINE) {
        snprintf(errand->detail, sizeof errand->detail, "%s", detail != NULL ? detail : "");
        metrics_count_upstream_failure(errand->gate->metrics, failure);
        if (errand->settings.is_sweep)
            log_event(errand->gate->log, LOG_LEVEL_WARN, "request of a sweep failed",
                      log_text("kind", upstream_failure_name(failure)), log_text("detail", detail));
    }
    answered(errand);
}

static void errand_ask(struct errand *errand)
{
    const struct config *config = errand->gate->config;
    const struct errand_watcher *watcher = &errand->settings.watcher;
    if (watcher->asks != NULL)
        watcher->asks(watcher->user);
    errand->order = errand->machine->order(errand->self);
    errand->asked_pause = 0;
    errand->detail[0] = '\0';
    errand->requests++;
    arena_clear(&errand->arena);
    struct upstream_request request =
        api_call(errand->order.is_session, errand->order.body, errand->order.len);
    request.once = errand->order.once;
    request.timeout_ms = config->lookup_timeout_ms;
    request.arena = &errand->arena;
    enum api_sent sent = api_client_send(&errand->client, &request, NULL, true);
    if (sent == API_CREDENTIAL_RESTS)
        errand->client.answer.status = 401;
    if (sent != API_SENT)
        answered(errand);
}

/* ---- the loop ---- */

void errand_run_round(struct errand *errand, monotonic_time until)
{
    until = monotonic_earlier(until, upstream_due(errand->upstream));
    until = monotonic_earlier(until, errand->tick);
    int64_t milliseconds = monotonic_milliseconds_until(clock_monotonic(), until);
    loop_wait(&errand->loop, milliseconds > INT_MAX ? INT_MAX : (int)milliseconds);
    upstream_run(errand->upstream, clock_monotonic());
    if (monotonic_reached(errand->tick, clock_monotonic())) {
        errand->tick = monotonic_after(clock_monotonic(), TICK_MILLISECONDS);
        upstream_tick(errand->upstream);
    }
}

void errand_run(struct errand *errand, const struct machine *machine, void *self,
                const bool *stopping)
{
    errand->machine = machine;
    errand->self = self;
    errand->tries = 0;
    while (!(stopping != NULL && *stopping) && machine->step(self) != MACHINE_DONE) {
        bool asks = machine->step(self) == MACHINE_SEND && errand->client.transfer == NULL;
        if (asks && monotonic_reached(errand->may_ask, clock_monotonic())) {
            errand_ask(errand);
            asks = false;
        }
        if (machine->step(self) != MACHINE_DONE)
            errand_run_round(errand, asks ? errand->may_ask : MONOTONIC_NEVER);
    }
    api_client_clear(&errand->client);
    arena_clear(&errand->arena);
}

/* ---- its beginning and end ---- */

bool errand_open(struct errand *errand, struct gate *gate, const struct errand_settings *settings)
{
    const struct config *config = gate->config;
    const struct upstream_settings upstream = config_upstream(config);
    *errand = (struct errand){.loop = {.epoll = -1}, .gate = gate, .settings = *settings};
    if (!loop_open(&errand->loop))
        return false;
    errand->upstream = upstream_create(&upstream, &errand->loop);
    api_client_open(&errand->client, gate, errand->upstream, "", on_done, errand);
    return errand->upstream != NULL;
}

void errand_close(struct errand *errand)
{
    upstream_destroy(errand->upstream);
    loop_close(&errand->loop);
}
