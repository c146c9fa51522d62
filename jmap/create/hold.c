#include "jmap/create/hold.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/create/hold_answer.h"
#include "jmap/create/hold_caller.h"
#include "jmap/create/hold_collapse.h"
#include "jmap/create/hold_continuation.h"
#include "jmap/create/hold_flights.h"
#include "jmap/create/hold_history.h"
#include "jmap/create/hold_late.h"
#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_lookup.h"
#include "jmap/create/hold_main.h"
#include "jmap/create/hold_moves.h"
#include "jmap/create/hold_record.h"
#include "jmap/create/hold_resends.h"
#include "jmap/create/hold_settle.h"
#include "jmap/create/hold_state.h"
#include "jmap/create/hold_verdict.h"

/*
 * What happens between a create's arrival and its answer, in this order. Where what was found out
 * may be past all begins again, with the first phase (PHASE_AGAIN, PHASE_ANEW).
 */
static const struct phase {
    enum phase_step (*begin)(struct hold *hold);
    enum phase_step (*feed)(struct hold *hold, unsigned status, const char *body, size_t len);
    /* No answer came; NULL: feed() with status 0. */
    enum phase_step (*fail)(struct hold *hold, const char *why);
    enum phase_step (*woken)(struct hold *hold);
    void (*describe)(const struct hold *hold, struct hold_request *request); /* what is asked */
    bool (*makes)(const struct hold *hold, size_t i); /* whether that makes a task for a create */
    /* It is late for a write, as the domains may be others': NULL where it fails then. */
    enum phase_step (*overtaken)(struct hold *hold);
    bool reads;  /* it asks for nothing that could be too late */
    bool yields; /* its domains may be others' while there is no room for it at the server */
    bool acts;   /* it has no place where one only observes */
} phases[] = {
    /* Waits for the server, whether it lets the caller create: hold_caller.h. */
    {.begin = hold_begin_proof,
     .feed = hold_feed_proof,
     .describe = hold_describe_proof,
     .reads = true,
     .yields = true},
    /* Waits for other requests that are deciding on one of its domains. */
    {.begin = hold_begin_flights, .woken = hold_wake_flights},
    /* Waits for other replicas that are. */
    {.begin = hold_begin_leases, .woken = hold_wake_leases},
    /* Waits for the server, about its domains. */
    {.begin = hold_begin_lookup,
     .feed = hold_feed_lookup,
     .fail = hold_fail_lookup,
     .describe = hold_describe_lookup,
     .reads = true,
     .yields = true},
    /* Waits for the server, about domains that it may have to decide about later. */
    {.begin = hold_begin_history,
     .feed = hold_feed_history,
     .fail = hold_fail_history,
     .describe = hold_describe_history,
     .reads = true,
     .yields = true},
    /* Waits for the server, with the client's own request. */
    {.begin = hold_begin_main,
     .feed = hold_feed_main,
     .describe = hold_describe_main,
     .makes = hold_main_makes,
     .overtaken = hold_overtake_main,
     .yields = true},
    /* Waits for the server, about domains that the request itself may have changed. */
    {.begin = hold_begin_late,
     .feed = hold_feed_late,
     .describe = hold_describe_late,
     .acts = true},
    /* Waits for the server, moving queued tasks. */
    {.begin = hold_begin_moves, .feed = hold_feed_moves, .makes = hold_moves_make, .acts = true},
    /* Waits for the server, with creates that are forwarded after all. */
    {.begin = hold_begin_resends,
     .feed = hold_feed_resends,
     .makes = hold_resends_make,
     .acts = true},
    /* Waits for the server, tidying up the domains' other tasks. */
    {.begin = hold_begin_collapse,
     .feed = hold_feed_collapse,
     .describe = hold_describe_collapse,
     .acts = true},
    /* Waits for nothing: all is settled, by hold_settle.h. */
    {.begin = hold_begin_settling},
    /* Waits for a hold of its own on the calls that were cut off. */
    {.begin = hold_begin_continuation, .feed = hold_feed_continuation},
};

#define PHASES (sizeof phases / sizeof *phases)

static const struct phase *phase_of(const struct hold *hold)
{
    static const struct phase over = {.reads = true};

    return hold->phase < PHASES ? &phases[hold->phase] : &over;
}

static bool read_anew(struct hold *hold);
static enum hold_step open_continuation(struct hold *hold);

/* The phase's, or the first from there on that has its place here. PHASES: all is over. */
static enum phase_step begin_phase(struct hold *hold, size_t phase)
{
    while (phase < PHASES && phases[phase].acts && hold->context->settings->observe)
        phase++;
    hold->phase = phase;
    hold->makes = phase_of(hold)->makes;
    return phase < PHASES ? phases[phase].begin(hold) : PHASE_NEXT;
}

/* Goes on with what a phase makes of an event, until something is to be sent or waited for. */
static enum hold_step advance(struct hold *hold, enum phase_step step)
{
    while (hold->phase < PHASES) {
        switch (step) {
        case PHASE_SEND:
            return hold->step = HOLD_SEND;
        case PHASE_WAIT:
            return hold->step = HOLD_WAIT;
        case PHASE_NEXT:
            step = begin_phase(hold, hold->phase + 1);
            break;
        case PHASE_AGAIN:
            step = begin_phase(hold, 0);
            break;
        case PHASE_ANEW:
            step = read_anew(hold) ? PHASE_AGAIN : PHASE_GIVE_UP;
            break;
        case PHASE_PART:
            return open_continuation(hold);
        case PHASE_GIVE_UP:
            hold->own_body = hold_no_memory;
            hold->phase = PHASES;
            break;
        }
    }
    hold->makes = NULL;
    return hold->step = HOLD_DONE;
}

/* Stands for a hold for which there was no memory. */
static struct hold exhausted = {
    .phase = PHASES,
    .step = HOLD_DONE,
    .own_body = hold_no_memory,
};

/* Opening. */

/* Reads what the request asks for. False when memory ran out. */
static bool prepare(struct hold *hold)
{
    hold->verdicts = calloc(hold->request.count + 1, sizeof *hold->verdicts);
    return hold->verdicts && hold_cut(hold) && hold_list_domains(hold);
}

/* Decisions stand in the request. */
static bool read_anew(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++)
        verdict_give_time(hold, &hold->domains[i]);
    hold_leave_flights(hold);
    hold_drop_lookup(hold);
    hold_drop_history(hold);
    request_clear(&hold->request);
    json_decref(hold->continuation.calls);
    free(hold->domains);
    free(hold->verdicts);
    batch_clear(&hold->batch);
    hold->continuation.calls = NULL;
    hold->domains = NULL;
    hold->verdicts = NULL;
    hold->domain_count = 0;
    hold->lookup_error = NULL;
    hold->written = hold->has_placeholders = false;
    enum request_kind kind = request_parse(hold->body, hold->len, &hold->request);
    hold->changed = hold->request.repeated_keys || hold->request.without_due;
    return kind == REQUEST_HELD && prepare(hold);
}

/* `whole`: what it continues, of whose caller it knows what that one does; or NULL. */
static struct hold *open_part(const struct hold_context *context, const char *body, size_t len,
                              const struct hold *whole)
{
    bool observe = context->settings->observe;
    struct jmap_request request;
    enum request_kind kind = request_parse(body, len, &request);

    if (kind == REQUEST_PASSES || (observe && request.count == 0)) {
        request_clear(&request);
        return NULL;
    }
    struct hold *hold = kind == REQUEST_NO_MEMORY ? NULL : calloc(1, sizeof *hold);
    if (!hold) {
        request_clear(&request);
        return observe ? NULL : &exhausted;
    }
    hold->context = context;
    hold->body = body;
    hold->len = len;
    hold->unreadable = kind == REQUEST_UNREADABLE;
    hold->request = request;
    hold->changed = request.repeated_keys || request.without_due;
    hold->caller.known = whole ? whole->caller.known : !context->stranger;
    hold->caller.unauthorized = whole && whole->caller.unauthorized;
    hold->continuation.cuts = whole ? whole->continuation.cuts + 1 : 0;
    if (!prepare(hold)) {
        hold_close(hold);
        return observe ? NULL : &exhausted;
    }
    advance(hold, PHASE_AGAIN);
    return hold;
}

struct hold *hold_open(const struct hold_context *context, const char *body, size_t len)
{
    return open_part(context, body, len, NULL);
}

/* The hold on what was cut off. */

/* It has made a step; at its end its answer is joined to the first one. */
static enum hold_step follow(struct hold *hold, enum hold_step step)
{
    struct hold *part = hold->continuation.hold;

    if (part->continuation.is_written) {
        /* It has written what is left by itself. */
        free(hold->out);
        hold->out = NULL;
        hold->out_len = 0;
        part->body = NULL;
    }
    if (step != HOLD_DONE)
        return hold->step = step;
    enum phase_step joined = hold_join_continuation(
        hold, part->has_answer && !part->own_body ? part->answer.root : NULL);
    hold_close(part);
    hold->continuation.hold = NULL;
    return advance(hold, joined);
}

/* On what is being sent; where there is nothing to decide it goes as it is. */
static enum hold_step open_continuation(struct hold *hold)
{
    hold->continuation.hold = open_part(hold->context, hold->out, hold->out_len, hold);
    return hold->continuation.hold ? follow(hold, hold_step(hold->continuation.hold))
                                   : (hold->step = HOLD_SEND);
}

/* The driver's side. */

enum hold_step hold_step(const struct hold *hold)
{
    return hold->step;
}

struct hold_request hold_request(const struct hold *hold)
{
    struct hold_request request = {
        .credential = HOLD_AS_CALLER,
        .body = hold->out,
        .len = hold->out_len,
    };

    if (hold->continuation.hold) {
        /* All goes in the gate's own requests: the answer's head is the first one's. */
        request = hold_request(hold->continuation.hold);
        request.keep_headers = false;
    } else if (phase_of(hold)->describe) {
        phase_of(hold)->describe(hold, &request);
    }
    return request;
}

void hold_sent(struct hold *hold)
{
    if (hold->continuation.hold)
        hold_sent(hold->continuation.hold);
    hold->under_way = true;
    hold_remember_sent(hold);
}

void hold_unsent(struct hold *hold)
{
    if (hold->continuation.hold)
        hold_unsent(hold->continuation.hold);
    if (hold->under_way)
        hold_forget_sent(hold);
    hold->under_way = false;
}

/* What goes with nothing to make in it is nothing yet. */
bool hold_is_committed(const struct hold *hold)
{
    return hold->has_answer || (hold->under_way && hold_request(hold).keep_headers &&
                                !(hold->caller.unauthorized && hold->caller.rehearses));
}

bool hold_stand_back(struct hold *hold)
{
    if (hold->continuation.hold)
        return hold_stand_back(hold->continuation.hold);
    if (!phase_of(hold)->yields)
        return false;
    for (size_t i = 0; i < hold->domain_count && !hold->stood_back; i++)
        hold->stood_back = hold->domains[i].place.flight || hold->domains[i].lease;
    hold_leave_flights(hold);
    return true;
}

static enum phase_step come_back(struct hold *hold)
{
    hold->stood_back = false;
    if (hold->written && !hold->has_answer)
        return PHASE_ANEW;
    hold_start_over(hold);
    return PHASE_AGAIN;
}

enum hold_step hold_recheck(struct hold *hold)
{
    if (hold->continuation.hold)
        return follow(hold, hold_recheck(hold->continuation.hold));
    if (hold->stood_back)
        return advance(hold, come_back(hold));
    if (hold->continuation.is_written || phase_of(hold)->reads || hold_owns_domains(hold))
        return hold->step;
    return phase_of(hold)->overtaken
               ? advance(hold, phase_of(hold)->overtaken(hold))
               : hold_feed_failure(hold, "the lock that replicas share was lost");
}

enum hold_step hold_woken(struct hold *hold)
{
    if (hold->continuation.hold)
        return follow(hold, hold_woken(hold->continuation.hold));
    /* A task that the other had made is due now, which is later than when this hold was opened. */
    hold_note_time(hold);
    return phase_of(hold)->woken ? advance(hold, phase_of(hold)->woken(hold)) : hold->step;
}

enum hold_step hold_feed(struct hold *hold, unsigned status, const char *body, size_t len)
{
    if (hold->continuation.hold) {
        hold->under_way = false;
        return follow(hold, hold_feed(hold->continuation.hold, status, body, len));
    }
    if (!phase_of(hold)->feed)
        return hold->step;
    enum phase_step step = phase_of(hold)->feed(hold, status, body, len);

    hold->under_way = false;
    return advance(hold, step);
}

enum hold_step hold_feed_failure(struct hold *hold, const char *why)
{
    if (hold->continuation.hold) {
        hold->under_way = false;
        return follow(hold, hold_feed_failure(hold->continuation.hold, why));
    }
    if (!phase_of(hold)->fail)
        return hold_feed(hold, 0, NULL, 0);
    enum phase_step step = phase_of(hold)->fail(hold, why);

    hold->under_way = false;
    return advance(hold, step);
}

struct hold_answer hold_answer(const struct hold *hold)
{
    if (hold->own_body)
        return (struct hold_answer){.own_status = 503,
                                    .own_type = "application/problem+json",
                                    .body = hold->own_body,
                                    .len = strlen(hold->own_body)};
    return (struct hold_answer){
        .as_received = !hold->text,
        .body = hold->text,
        .len = hold->text_len,
    };
}

/* It is closed while the server may be doing what was asked. */
static void leave_unknown(struct hold *hold)
{
    hold_lose_answer(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (verdict_is_unknown(hold, &hold->domains[i]))
            hold_release(hold, &hold->domains[i]);
    }
    verdict_settle_twins(hold);
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_UNKNOWN)
            hold_report_verdict(hold, i);
    }
}

static void settle_times(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++)
        verdict_settle_time(hold, &hold->domains[i]);
}

void hold_close(struct hold *hold)
{
    if (!hold || hold == &exhausted)
        return;
    if (hold->under_way && hold->makes)
        leave_unknown(hold);
    settle_times(hold);
    hold_leave_flights(hold);
    hold_close(hold->continuation.hold);
    hold_drop_lookup(hold);
    hold_drop_late(hold);
    hold_drop_collapse(hold);
    hold_drop_history(hold);
    answer_clear(&hold->answer);
    answer_clear(&hold->resent);
    answer_clear(&hold->caller.proof);
    request_clear(&hold->request);
    json_decref(hold->sent);
    json_decref(hold->continuation.calls);
    json_decref(hold->continuation.meanings);
    batch_clear(&hold->batch);
    free(hold->domains);
    free(hold->verdicts);
    free(hold->text);
    free(hold->caller.rehearsal);
    free(hold->out);
    free(hold);
}
