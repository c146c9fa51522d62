#include "proxy/relay/holding.h"

#include <string.h>

#include "jmap/wire/problem.h"
#include "proxy/server/callers.h"
#include "proxy/relay/worker_context.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/server/service_credential.h"
#include "proxy/relay/report.h"

/* Why a look-up has failed. */
#define NO_MEMORY "there was no memory for a look-up"

/* What becomes of a request that the hold asks for. */
enum asking {
    ASKING_WAITS, /* for its answer, or for a slot to be sent in */
    ASKING_RESTS, /* the credential does */
    ASKING_NO_TIME,
    ASKING_NO_MEMORY,
};

static void drive(struct holding *holding, enum hold_step step);
static const char *authorization(const struct holding *holding);
static bool wait_for_room(struct holding *holding);
static enum hold_step asking_failed(struct holding *holding, enum upstream_failure failure);

/* ---- what the hold calls ---- */

static wall_time holding_now(void *user)
{
    const struct holding *holding = user;
    return server_clock_now(&holding->owner.context->gate->clock);
}

/* From any thread, with the flights locked. */
static void holding_wake(void *user)
{
    struct holding *holding = user;
    mailbox_post(holding->owner.context->mailbox, &holding->wake);
}

static void holding_on_slot(void *user)
{
    holding_wake(user);
}

static struct request_slot *asked_slot(struct holding *holding)
{
    return &holding->slots[holding->asked.credential];
}

static void holding_on_woken(void *user)
{
    struct holding *holding = user;
    enum holding_wait waited = holding->waits;
    if (waited == HOLDING_FOR_SLOT && asked_slot(holding)->waiting)
        return;
    holding->waits = HOLDING_FOR_ANSWER;
    if (waited == HOLDING_FOR_FLIGHT)
        drive(holding, hold_woken(holding->hold));
    else if (waited == HOLDING_FOR_SLOT)
        drive(holding, hold_recheck(holding->hold));
}

static void reported(void *user, const struct hold_report *decision)
{
    const struct holding_owner *owner = &((struct holding *)user)->owner;
    report_decision(owner->context->gate, owner->request_head, owner->began, decision);
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
    report_change(owner->context->gate, owner->request_head, change);
}

/* ---- requests of the gate's own ---- */

/* Where the server has too many of the caller's requests already, it goes again later. */
static void answered(struct holding *holding, unsigned status, const char *body, size_t len)
{
    if (problem_is_too_many_requests(status, body, len) && wait_for_room(holding))
        return;
    enum hold_step step = hold_feed(holding->hold, status, body, len);
    api_answer_clear(&holding->client.answer);
    drive(holding, step);
}

static void holding_on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct holding *holding = user;
    const struct holding_owner *owner = &holding->owner;
    const struct api_answer *answer = &holding->client.answer;
    if (holding->asked.is_lookup) {
        int64_t took = monotonic_elapsed(holding->asked_at, clock_monotonic());
        metrics_count_lookup(owner->context->gate->metrics, took);
        holding->looked += took;
    }
    if (failure == UPSTREAM_FINE) {
        answered(holding, answer->status, buffer_content(&answer->content), answer->content.len);
        return;
    }
    report_failure(owner->context->gate, owner->request_head, failure, detail);
    drive(holding, asking_failed(holding, failure));
}

/* Each answer may come in time, and there be no end of them. */
static bool has_looked_enough(const struct holding *holding)
{
    const struct config *config = holding->owner.context->gate->config;
    return holding->asked.is_lookup &&
           holding->looked >= config->idle_timeout_ms * NANOSECONDS_PER_MILLISECOND;
}

static enum asking ask_server(struct holding *holding)
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
    switch (api_client_send(&holding->client, &request, owner->request_head,
                            asked->credential == HOLD_AS_SERVICE)) {
    case API_SENT:
        return ASKING_WAITS;
    case API_CREDENTIAL_RESTS:
        return ASKING_RESTS;
    case API_NO_MEMORY:
        break;
    }
    return ASKING_NO_MEMORY;
}

static enum asking ask_for_owner(const struct holding_owner *owner,
                                 const struct hold_request *asked)
{
    return owner->handler->send(owner->user, asked->body, asked->len) ? ASKING_WAITS
                                                                      : ASKING_NO_MEMORY;
}

static enum asking send_asked(struct holding *holding)
{
    enum asking asking = ASKING_NO_TIME;
    if (holding->asked.keep_headers)
        asking = ask_for_owner(&holding->owner, &holding->asked);
    else if (!has_looked_enough(holding))
        asking = ask_server(holding);
    if (asking == ASKING_WAITS)
        hold_sent(holding->hold);
    return asking;
}

/* ---- slots ---- */

static const char *authorization(const struct holding *holding)
{
    const struct field *own = field_find(&holding->owner.request_head->fields, "Authorization");
    return own == NULL ? NULL : own->value;
}

static bool take_slot(struct holding *holding)
{
    struct request_slot *slot = asked_slot(holding);
    const struct holding_owner *owner = &holding->owner;
    if (slot->caller != NULL)
        return true;
    const char *credential =
        holding->asked.credential == HOLD_AS_SERVICE
            ? service_credential_name(owner->context->gate->credential, owner->arena)
            : authorization(holding);
    return request_slot_take(owner->context->slots, slot, credential == NULL ? "" : credential);
}

/* Nobody waits for it while it waits itself, unless it has begun to change something. */
static void stand_back(struct holding *holding)
{
    holding->waits = HOLDING_FOR_SLOT;
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
    holding->waited_out =
        holding->waited_out || !request_slot_wait(context->slots, asked_slot(holding), patience);
    if (!holding->waited_out)
        stand_back(holding);
    return !holding->waited_out;
}

/* Sends what the hold asks for, now or when it has a slot. */
static enum asking holding_ask(struct holding *holding)
{
    holding->asked = hold_request(holding->hold);
    if (take_slot(holding))
        return send_asked(holding);
    stand_back(holding);
    return ASKING_WAITS;
}

/* What was sent gets no answer. */
static enum hold_step asking_failed(struct holding *holding, enum upstream_failure failure)
{
    if (failure == UPSTREAM_RESOLVE || failure == UPSTREAM_CONNECT || failure == UPSTREAM_TLS)
        hold_unsent(holding->hold);
    return hold_feed_failure(holding->hold, failure == UPSTREAM_MEMORY
                                                ? NO_MEMORY
                                                : "the server did not answer a look-up");
}

/* It was not even sent. While the credential rests, its answer is the one it got last. */
static enum hold_step not_asked(struct holding *holding, enum asking asking)
{
    switch (asking) {
    case ASKING_RESTS:
        return hold_feed(holding->hold, 401, "", 0);
    case ASKING_NO_TIME:
        return hold_feed_failure(holding->hold, "the look-ups took too long");
    default:
        return hold_feed_failure(holding->hold, NO_MEMORY);
    }
}

/* Does what the hold says until something has to be waited for. */
static void drive(struct holding *holding, enum hold_step step)
{
    enum asking asking;
    while (step == HOLD_SEND && (asking = holding_ask(holding)) != ASKING_WAITS)
        step = not_asked(holding, asking);
    if (step == HOLD_WAIT)
        holding->waits = HOLDING_FOR_FLIGHT;
    else if (step == HOLD_DONE)
        holding->owner.handler->decided(holding->owner.user);
}

/* ---- the owner's side ---- */

static bool forced(const struct request_head *request_head)
{
    const struct field *field = field_find(&request_head->fields, "Renewgate-Force");
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
                         .snapshots = gate->snapshots,
                         .forced = forced(owner->request_head),
                         .caller_noted = caller_noted,
                         .now = holding_now,
                         .wake = holding_wake,
                         .report = reported,
                         .changed = changed,
                         .user = holding},
        .wake = {.open = holding_on_woken, .user = holding},
        .slots = {[HOLD_AS_CALLER] = {.go = holding_on_slot, .user = holding},
                  [HOLD_AS_SERVICE] = {.go = holding_on_slot, .user = holding}},
    };
    holding->hold_context.stranger =
        !callers_know(gate->callers, authorization(holding), holding->owner.began);
    api_client_open(&holding->client, owner->context->gate, owner->context->upstream,
                    owner->request_head->peer, holding_on_done, holding);
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

bool holding_is_committed(const struct holding *holding)
{
    return holding->hold != NULL && hold_is_committed(holding->hold);
}

struct hold_answer holding_answer(const struct holding *holding)
{
    return hold_answer(holding->hold);
}

void holding_close(struct holding *holding)
{
    if (holding->hold == NULL)
        return;
    api_client_clear(&holding->client);
    request_slot_end(holding->owner.context->slots, &holding->slots[HOLD_AS_CALLER]);
    request_slot_end(holding->owner.context->slots, &holding->slots[HOLD_AS_SERVICE]);
    hold_close(holding->hold);
    mailbox_withdraw(holding->owner.context->mailbox, &holding->wake);
    *holding = (struct holding){0};
}
