#include "proxy/relay/holding.h"

#include <string.h>

#include "jmap/wire/problem.h"
#include "proxy/server/callers.h"
#include "proxy/relay/worker_context.h"
#include "proxy/http/outgoing.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/server/service_credential.h"
#include "proxy/relay/report.h"

static void drive(struct holding *holding, enum hold_step step);
static const char *authorization(const struct holding *holding);
static bool wait_for_room(struct holding *holding);
static enum hold_step asking_failed(struct holding *holding, enum upstream_failure failure);

/* ---- what the hold calls ---- */

static wall_time now(void *user)
{
    const struct holding *holding = user;
    return server_clock_now(&holding->owner.context->gate->clock);
}

/* From any thread, with the flights locked. */
static void wake(void *user)
{
    struct holding *holding = user;
    mailbox_post(holding->owner.context->mailbox, &holding->wake);
}

static void on_turn(void *user)
{
    wake(user);
}

static struct turn *asked_turn(struct holding *holding)
{
    return &holding->turns[holding->asked.credential];
}

static void on_woken(void *user)
{
    struct holding *holding = user;
    enum holding_wait waited = holding->waits;
    if (waited == HOLDING_FOR_TURN && asked_turn(holding)->waiting)
        return;
    holding->waits = HOLDING_FOR_ANSWER;
    if (waited == HOLDING_FOR_FLIGHT)
        drive(holding, hold_woken(holding->hold));
    else if (waited == HOLDING_FOR_TURN)
        drive(holding, hold_recheck(holding->hold));
}

static void reported(void *user, const struct hold_report *decision)
{
    const struct holding_owner *owner = &((struct holding *)user)->owner;
    report_decision(owner->context->gate, owner->arrival, owner->began, decision);
}

static void caller_noted(void *user, bool may_create)
{
    const struct holding *holding = user;
    callers_note(holding->owner.context->gate->callers, authorization(holding), may_create,
                 clock_monotonic());
}

static void changed(void *user, const struct queue_change *change)
{
    const struct holding_owner *owner = &((struct holding *)user)->owner;
    report_change(owner->context->gate, owner->arrival, change);
}

/* ---- requests of the gate's own ---- */

static bool on_head(void *user, const struct upstream_head *head)
{
    struct holding *holding = user;
    struct gate *gate = holding->owner.context->gate;
    server_clock_note(&gate->clock, &head->fields);
    if (holding->service != NULL)
        report_credential_answer(gate, holding->service, head->status);
    holding->answer.status = head->status;
    return true;
}

static enum data_result on_data(void *user, const char *bytes, size_t len)
{
    return api_answer_take(&((struct holding *)user)->answer, bytes, len);
}

/* Where the server has too many of the caller's requests already, it goes again later. */
static void answered(struct holding *holding, unsigned status, const char *body, size_t len)
{
    if (problem_is_crowd(status, body, len) && wait_for_room(holding))
        return;
    enum hold_step step = hold_feed(holding->hold, status, body, len);
    api_answer_clear(&holding->answer);
    drive(holding, step);
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct holding *holding = user;
    const struct holding_owner *owner = &holding->owner;
    holding->transfer = NULL;
    if (holding->asked.is_lookup)
        metrics_count_lookup(owner->context->gate->metrics,
                             monotonic_elapsed(holding->asked_at, clock_monotonic()));
    struct api_answer *answer = &holding->answer;
    if (failure == UPSTREAM_FINE && api_answer_ends(answer)) {
        answered(holding, answer->status, buffer_content(&answer->content), answer->content.len);
        return;
    }
    if (answer->no_room) {
        failure = UPSTREAM_MEMORY;
        detail = API_ANSWER_NO_ROOM;
    }
    report_failure(owner->context->gate, owner->arrival, failure, detail);
    drive(holding, asking_failed(holding, failure));
}

static const struct transfer_handler transfer_handler = {
    .head = on_head,
    .data = on_data,
    .done = on_done,
};

/* Takes the gate's own credential where it is to be used. False where it cannot be. */
static bool take_credential(struct holding *holding)
{
    const struct holding_owner *owner = &holding->owner;
    holding->service = NULL;
    if (holding->asked.credential != HOLD_AS_SERVICE)
        return true;
    enum service_credential_taken taken = service_credential_take(
        owner->context->gate->credential, clock_monotonic(), owner->arena, &holding->service);
    holding->credential_rests = taken == SERVICE_CREDENTIAL_RESTS;
    return taken == SERVICE_CREDENTIAL_TAKEN;
}

/* False when memory runs out, or the credential rests. */
static bool ask_server(struct holding *holding)
{
    const struct holding_owner *owner = &holding->owner;
    const struct config *config = owner->context->gate->config;
    const struct hold_request *asked = &holding->asked;
    struct upstream_request request = api_call(asked->is_session, asked->body, asked->len);
    request.once = !asked->is_lookup;
    request.repeatable = asked->is_lookup;
    request.whole = true;
    request.timeout_ms = asked->is_lookup ? config->lookup_timeout_ms : 0;
    request.arena = owner->arena;
    holding->asked_at = clock_monotonic();
    api_answer_clear(&holding->answer);
    if (!take_credential(holding))
        return false;
    const struct own_name own = {holding->service, owner->context->gate->own_address};
    if (outgoing_lookup_fields(owner->arrival, holding->service != NULL ? &own : NULL, owner->arena,
                               &request.fields))
        holding->transfer =
            transfer_start(owner->context->upstream, &request, &transfer_handler, holding);
    return holding->transfer != NULL;
}

static bool send_asked(struct holding *holding)
{
    const struct holding_owner *owner = &holding->owner;
    const struct hold_request *asked = &holding->asked;
    bool is_own = asked->keep_headers;
    bool sent =
        is_own ? owner->handler->send(owner->user, asked->body, asked->len) : ask_server(holding);
    if (sent)
        hold_sent(holding->hold);
    holding->own_sent = hold_is_committed(holding->hold);
    return sent;
}

/* ---- turns ---- */

static const char *authorization(const struct holding *holding)
{
    const struct field *own = field_find(&holding->owner.arrival->fields, "Authorization");
    return own == NULL ? NULL : own->value;
}

static bool take_turn(struct holding *holding)
{
    struct turn *turn = asked_turn(holding);
    const struct holding_owner *owner = &holding->owner;
    const char *credential =
        holding->asked.credential == HOLD_AS_SERVICE
            ? service_credential_name(owner->context->gate->credential, owner->arena)
            : authorization(holding);
    return turn->caller != NULL ||
           turn_take(owner->context->turns, turn, credential == NULL ? "" : credential);
}

/* Nobody waits for it while it waits itself, unless it has begun to change something. */
static void stand_back(struct holding *holding)
{
    holding->waits = HOLDING_FOR_TURN;
    hold_stand_back(holding->hold);
}

/* The server had none for what was asked. False where it has waited for long enough. */
static bool wait_for_room(struct holding *holding)
{
    const struct worker_context *context = holding->owner.context;
    const struct config *config = context->gate->config;
    bool is_first = holding->asked.is_lookup || holding->asked.keep_headers;
    int64_t patience = is_first ? config->idle_timeout_ms : config->flight_timeout_ms;
    hold_unsent(holding->hold);
    if (holding->asked.keep_headers)
        holding->own_sent = false;
    holding->waited_out =
        holding->waited_out || !turn_wait(context->turns, asked_turn(holding), patience);
    if (!holding->waited_out)
        stand_back(holding);
    return !holding->waited_out;
}

/* Sends what the hold asks for, now or when it is its turn; false where that cannot be. */
static bool ask(struct holding *holding)
{
    holding->asked = hold_request(holding->hold);
    if (take_turn(holding))
        return send_asked(holding);
    stand_back(holding);
    return true;
}

/* What was asked gets no answer. While the credential rests, it is the one it got last. */
static enum hold_step asking_failed(struct holding *holding, enum upstream_failure failure)
{
    bool rests = holding->credential_rests;
    holding->credential_rests = false;
    if (failure == UPSTREAM_RESOLVE || failure == UPSTREAM_CONNECT || failure == UPSTREAM_TLS)
        hold_unsent(holding->hold);
    return rests ? hold_feed(holding->hold, 401, "", 0) : hold_feed_failure(holding->hold);
}

/* Does what the hold says until something has to be waited for. */
static void drive(struct holding *holding, enum hold_step step)
{
    while (step == HOLD_SEND && !ask(holding))
        step = asking_failed(holding, UPSTREAM_MEMORY);
    if (step == HOLD_WAIT)
        holding->waits = HOLDING_FOR_FLIGHT;
    else if (step == HOLD_DONE)
        holding->owner.handler->decided(holding->owner.user);
}

/* ---- the owner's side ---- */

static bool forced(const struct arrival *arrival)
{
    const struct field *field = field_find(&arrival->fields, "Renewgate-Force");
    return field != NULL && strcmp(field->value, "1") == 0;
}

bool holding_open(struct holding *holding, const struct holding_owner *owner, const char *body,
                  size_t len)
{
    const struct gate *gate = owner->context->gate;
    *holding = (struct holding){
        .owner = *owner,
        .hold_context = {.settings = &gate->config->hold,
                         .flights = gate->flights,
                         .lock = replica_lock_domains(gate->replicas),
                         .memory = gate->memory,
                         .sightings = gate->sightings,
                         .forced = forced(owner->arrival),
                         .caller_noted = caller_noted,
                         .now = now,
                         .wake = wake,
                         .report = reported,
                         .changed = changed,
                         .user = holding},
        .wake = {.open = on_woken, .user = holding},
        .turns = {[HOLD_AS_CALLER] = {.go = on_turn, .user = holding},
                  [HOLD_AS_SERVICE] = {.go = on_turn, .user = holding}},
    };
    holding->hold_context.stranger =
        !callers_know(gate->callers, authorization(holding), holding->owner.began);
    api_answer_open(&holding->answer, gate->budget, owner->arrival->peer);
    holding->hold = hold_open(&holding->hold_context, body, len);
    return holding->hold != NULL;
}

void holding_start(struct holding *holding)
{
    drive(holding, hold_step(holding->hold));
}

void holding_feed(struct holding *holding, unsigned status, const char *body, size_t len)
{
    answered(holding, status, body, len);
}

void holding_fail(struct holding *holding, enum upstream_failure failure)
{
    drive(holding, asking_failed(holding, failure));
}

struct hold_answer holding_answer(const struct holding *holding)
{
    return hold_answer(holding->hold);
}

void holding_close(struct holding *holding)
{
    if (holding->hold == NULL)
        return;
    transfer_cancel(holding->transfer);
    turn_end(holding->owner.context->turns, &holding->turns[HOLD_AS_CALLER]);
    turn_end(holding->owner.context->turns, &holding->turns[HOLD_AS_SERVICE]);
    hold_close(holding->hold);
    mailbox_withdraw(holding->owner.context->mailbox, &holding->wake);
    api_answer_clear(&holding->answer);
    *holding = (struct holding){0};
}
