#include "proxy/jobs/errand.h"

#include <limits.h>
#include <stdio.h>

#include "policy/refusal.h"
#include "proxy/base/clock.h"
#include "proxy/http/outgoing.h"
#include "proxy/server/service_credential.h"
#include "proxy/relay/report.h"

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
    return errand->answer.status == 0 || errand->answer.status == 429 ||
           errand->answer.status >= 500;
}

/* By the clock that has just been set by the same answer. */
static int64_t asked_pause(const struct errand *errand, const struct field_list *fields)
{
    const struct field *field = field_find(fields, "Retry-After");
    int64_t seconds;
    if (field == NULL ||
        !retry_after_parse(field->value, server_clock_now(&errand->gate->clock), &seconds))
        return 0;
    return (seconds < LONGEST_ASKED_SECONDS ? seconds : LONGEST_ASKED_SECONDS) * 1000;
}

static bool on_head(void *user, const struct upstream_head *head)
{
    struct errand *errand = user;
    server_clock_note(&errand->gate->clock, &head->fields);
    report_credential_answer(errand->gate, errand->credential, head->status);
    errand->answer.status = head->status;
    errand->asked_pause = has_failed(errand) ? asked_pause(errand, &head->fields) : 0;
    return true;
}

static enum data_result on_data(void *user, const char *bytes, size_t len)
{
    return api_answer_take(&((struct errand *)user)->answer, bytes, len);
}

static bool is_worth_another_try(const struct errand *errand)
{
    const struct machine_order *order = &errand->order;
    unsigned most =
        errand->answer.status == 0 ? errand->settings.unanswered : errand->settings.tries_max;
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
                  log_number("status", errand->answer.status),
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
        const struct api_answer *answer = &errand->answer;
        errand->machine->feed(errand->self, answer->status, buffer_content(&answer->content),
                              answer->content.len);
    }
    api_answer_clear(&errand->answer);
    errand->may_ask = monotonic_after(clock_monotonic(), gap + pause);
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct errand *errand = user;
    errand->transfer = NULL;
    if (failure == UPSTREAM_FINE && !api_answer_ends(&errand->answer))
        failure = UPSTREAM_MEMORY;
    if (errand->answer.no_room) {
        failure = UPSTREAM_MEMORY;
        detail = API_ANSWER_NO_ROOM;
    }
    if (failure != UPSTREAM_FINE) {
        errand->answer.status = 0;
        errand->asked_pause = 0;
        snprintf(errand->detail, sizeof errand->detail, "%s", detail != NULL ? detail : "");
        metrics_count_upstream_failure(errand->gate->metrics, failure);
        if (errand->settings.is_sweep)
            log_event(errand->gate->log, LOG_LEVEL_WARN, "request of a sweep failed",
                      log_text("kind", upstream_failure_name(failure)), log_text("detail", detail));
    }
    answered(errand);
}

static const struct transfer_handler transfer_handler = {
    .head = on_head,
    .data = on_data,
    .done = on_done,
};

/* While the credential rests, what was last answered is the answer to all. */
static void start_transfer(struct errand *errand, struct upstream_request *request)
{
    enum service_credential_taken taken = service_credential_take(
        errand->gate->credential, clock_monotonic(), &errand->arena, &errand->credential);
    if (taken == SERVICE_CREDENTIAL_RESTS)
        errand->answer.status = 401;
    const struct own_name own = {errand->credential, errand->gate->own_address};
    if (taken == SERVICE_CREDENTIAL_TAKEN &&
        outgoing_own_fields(&own, &errand->arena, &request->fields))
        errand->transfer = transfer_start(errand->upstream, request, &transfer_handler, errand);
}

static void ask(struct errand *errand)
{
    const struct config *config = errand->gate->config;
    const struct errand_watcher *watcher = &errand->settings.watcher;
    if (watcher->asks != NULL)
        watcher->asks(watcher->user);
    errand->order = errand->machine->order(errand->self);
    errand->asked_pause = 0;
    errand->detail[0] = '\0';
    errand->requests++;
    api_answer_clear(&errand->answer);
    arena_clear(&errand->arena);
    struct upstream_request request =
        api_call(errand->order.is_session, errand->order.body, errand->order.len);
    request.once = errand->order.once;
    request.timeout_ms = config->lookup_timeout_ms;
    request.arena = &errand->arena;
    start_transfer(errand, &request);
    if (errand->transfer == NULL)
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
        bool asks = machine->step(self) == MACHINE_SEND && errand->transfer == NULL;
        if (asks && monotonic_reached(errand->may_ask, clock_monotonic())) {
            ask(errand);
            asks = false;
        }
        if (machine->step(self) != MACHINE_DONE)
            errand_run_round(errand, asks ? errand->may_ask : MONOTONIC_NEVER);
    }
    transfer_cancel(errand->transfer);
    errand->transfer = NULL;
    api_answer_clear(&errand->answer);
    arena_clear(&errand->arena);
}

/* ---- its beginning and end ---- */

bool errand_open(struct errand *errand, struct gate *gate, const struct errand_settings *settings)
{
    const struct config *config = gate->config;
    const struct upstream_settings upstream = config_upstream(config);
    *errand = (struct errand){.loop = {.epoll = -1}, .gate = gate, .settings = *settings};
    api_answer_open(&errand->answer, gate->budget, "");
    if (!loop_open(&errand->loop))
        return false;
    errand->upstream = upstream_create(&upstream, &errand->loop);
    return errand->upstream != NULL;
}

void errand_close(struct errand *errand)
{
    upstream_destroy(errand->upstream);
    loop_close(&errand->loop);
}
