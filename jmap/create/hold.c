#include "jmap/create/hold_parts.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static enum hold_step decide_all(struct hold *hold);
static enum hold_step judge_all(struct hold *hold);
static enum hold_step begin_anew(struct hold *hold);

enum hold_step hold_enter(struct hold *hold, enum phase phase, enum hold_step step)
{
    hold->phase = phase;
    return hold->step = step;
}

/* Stands for a hold for which there was no memory. */
static struct hold exhausted = {
    .phase = PHASE_DONE,
    .step = HOLD_DONE,
    .own_body = hold_no_memory,
};

enum hold_step hold_give_up(struct hold *hold)
{
    hold->own_body = hold_no_memory;
    return hold_enter(hold, PHASE_DONE, HOLD_DONE);
}

/* Opening. */

static int domain_order(const void *a, const void *b)
{
    return strcmp(((const struct domain *)a)->id, ((const struct domain *)b)->id);
}

wall_time hold_asked_time(const struct hold *hold, const struct held_create *create)
{
    return create->asked_now ? hold->now : wall_time_later(create->asked, hold->now);
}

struct domain *hold_domain_of(const struct hold *hold, const char *id)
{
    return bsearch(&(struct domain){.id = id}, hold->domains, hold->domain_count,
                   sizeof *hold->domains, domain_order);
}

/* A force counts as asked for after any certificate is due, so that all tasks are read. */
static wall_time lookup_asked(const struct hold *hold, const struct domain *domain)
{
    return hold_is_forced(hold) ? WALL_TIME_FOREVER : domain->asked;
}

/* Creates that name no time, or one in the past, ask for a renewal now; and now has moved on. */
void hold_note_time(struct hold *hold)
{
    hold->now = hold->context->now(hold->context->user);
    for (size_t i = 0; i < hold->domain_count; i++)
        hold->domains[i].asked = WALL_TIME_NEVER;
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        struct domain *domain = hold_domain_of(hold, create->domain);
        domain->asked = wall_time_later(domain->asked, hold_asked_time(hold, create));
    }
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (hold->domains[i].facts)
            hold->domains[i].facts->asked = lookup_asked(hold, &hold->domains[i]);
    }
}

/* Puts its creates of the one kind before those that it has already. */
static void list_creates(struct hold *hold, bool of_dns_task)
{
    for (size_t i = hold->request.count; i-- > 0;) {
        const struct held_create *create = &hold->request.creates[i];
        struct domain *domain = hold_domain_of(hold, create->domain);
        if (create->of_dns_task != of_dns_task)
            continue;
        hold->verdicts[i].next = domain->first;
        domain->first = i;
    }
}

static bool list_domains(struct hold *hold)
{
    const struct jmap_request *request = &hold->request;
    size_t count = request->count, kept = 0;

    hold->domains = calloc(count + 1, sizeof *hold->domains);
    if (!hold->domains)
        return false;
    for (size_t i = 0; i < count; i++)
        hold->domains[i] = (struct domain){.hold = hold,
                                           .id = request->creates[i].domain,
                                           .first = count,
                                           .refused_until = WALL_TIME_NEVER,
                                           .taken = WALL_TIME_NEVER};
    qsort(hold->domains, count, sizeof *hold->domains, domain_order);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(hold->domains[kept - 1].id, hold->domains[i].id) != 0)
            hold->domains[kept++] = hold->domains[i];
    }
    hold->domain_count = kept;
    list_creates(hold, true);
    list_creates(hold, false);
    hold_note_time(hold);
    return true;
}

bool hold_domain_is_reference(const struct domain *domain)
{
    return domain->id[0] == '#';
}

/* Flights. */

bool hold_removes(const struct hold *hold, const char *task_id)
{
    return batch_removes(&hold->batch, task_id);
}

/*
 * Whether what another request settled answers all of this one's creates for the domain too. Called
 * on the other's thread, while this hold waits.
 */
static bool result_serves(void *user, const struct flight_result *result)
{
    const struct domain *domain = user;
    const struct hold *hold = domain->hold;

    if (!result->settled || hold_removes(hold, result->id) ||
        batch_changes_after(&hold->batch, hold->request.creates[domain->first].call) ||
        (hold->context->forced && hold->context->settings->force_allowed && !result->forced))
        return false;
    for (size_t i = domain->first; i < hold->request.count; i = hold->verdicts[i].next) {
        const struct held_create *create = &hold->request.creates[i];
        if (create->asked_now != result->asked_now ||
            (!create->asked_now && !wall_time_equal(create->asked, result->asked)))
            return false;
    }
    return true;
}

/* On any thread. */
static void wake_up(void *user)
{
    const struct hold_context *context = ((const struct domain *)user)->hold->context;

    context->wake(context->user);
}

/* Takes the lead on every domain in turn, in ascending order; waits where another has it. */
static enum hold_step take_flights(struct hold *hold)
{
    for (; hold->next_flight < hold->domain_count; hold->next_flight++) {
        struct domain *domain = &hold->domains[hold->next_flight];
        if (hold_domain_is_reference(domain))
            continue;
        domain->place =
            (struct flight_place){.wake = wake_up, .serves = result_serves, .user = domain};
        switch (flight_join(hold->context->flights, domain->id, &domain->place)) {
        case FLIGHT_LEADING:
            break;
        case FLIGHT_WAITING:
            return hold_enter(hold, PHASE_FLIGHTS, HOLD_WAIT);
        case FLIGHT_NO_MEMORY:
            return hold_give_up(hold);
        }
    }
    return hold_take_leases(hold);
}

static enum hold_step flight_woken(struct hold *hold)
{
    struct domain *domain = &hold->domains[hold->next_flight];

    switch (flight_standing(hold->context->flights, &domain->place)) {
    case FLIGHT_WAITS:
        return hold->step;
    case FLIGHT_SERVED:
        domain->shared = true;
        break;
    case FLIGHT_OVERTIME:
        domain->alone = true;
        break;
    case FLIGHT_LEADS:
    case FLIGHT_OUT:
        break;
    }
    hold->next_flight++;
    return take_flights(hold);
}

enum hold_step hold_woken(struct hold *hold)
{
    if (hold->phase == PHASE_REST)
        return hold_wake_rest(hold);

    /* A task that the other had made is due now, which is later than when this hold was opened. */
    hold_note_time(hold);
    return hold->phase == PHASE_LEASES ? hold_lease_woken(hold) : flight_woken(hold);
}

/* What was known of the domains is past, and others may have decided about them since. */
static enum hold_step start_over(struct hold *hold)
{
    hold_leave_flights(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        hold->domains[i].facts = NULL;
        hold->domains[i].shared = hold->domains[i].alone = hold->domains[i].late = false;
    }
    hold->lookup_error = NULL;
    hold->next_flight = hold->next_lease = 0;
    hold_note_time(hold);
    return take_flights(hold);
}

/* Look-ups. */

struct lookup_domain hold_unknown(const struct hold *hold, const struct domain *domain)
{
    return (struct lookup_domain){
        .id = domain->id,
        .asked = lookup_asked(hold, domain),
        .with_dns_tasks = true,
        .scheduled = hold->context->settings->not_due == NOT_DUE_SCHEDULE,
    };
}

static bool list_facts(struct hold *hold)
{
    hold->fact_count = 0;
    if (!hold->facts)
        hold->facts = calloc(hold->domain_count, sizeof *hold->facts);
    if (!hold->facts)
        return false;
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (hold_domain_is_reference(domain) || domain->shared || domain->barred)
            continue;
        domain->refused_until = WALL_TIME_NEVER;
        domain->failure = NULL;
        domain->facts = &hold->facts[hold->fact_count++];
        *domain->facts = hold_unknown(hold, domain);
    }
    return true;
}

enum hold_step hold_lookup_ended(struct hold *hold, const char *error)
{
    hold->lookup_error = error;
    return decide_all(hold);
}

/* Not row 9, which forwards: that the gate has no memory must not cost an order. */
enum hold_step hold_lookup_exhausted(struct hold *hold)
{
    return hold->context->settings->observe ? hold_lookup_ended(hold, "out of memory")
                                            : hold_give_up(hold);
}

enum hold_step hold_start_lookup(struct hold *hold)
{
    lookup_destroy(hold->lookup);
    hold->lookup = NULL;
    if (!list_facts(hold))
        return hold_lookup_exhausted(hold);
    if (hold->fact_count == 0)
        return hold_lookup_ended(hold, NULL);
    if (hold->fact_count > HOLD_DOMAINS_MAX)
        return hold_lookup_ended(hold, "more domains than a request can have creates for");
    hold->lookup = lookup_create(hold->facts, hold->fact_count, hold->context->memory, hold->now);
    if (!hold->lookup)
        return hold_lookup_exhausted(hold);
    return hold_enter(hold, PHASE_LOOKUP, HOLD_SEND);
}

static enum hold_step feed_lookup(struct hold *hold, unsigned status, const char *body, size_t len)
{
    hold->under_way = false;
    /* The answer has told the server's time, perhaps for the first time. */
    hold_note_time(hold);
    lookup_set_now(hold->lookup, hold->now);

    enum lookup_state state = lookup_feed(hold->lookup, status, body, len);

    switch (state) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return hold->step = HOLD_SEND;
    case LOOKUP_DONE:
        return hold_lookup_ended(hold, NULL);
    case LOOKUP_FORBIDDEN:
        if (hold->credential == HOLD_AS_CALLER && hold->known &&
            hold->context->settings->has_service_credential) {
            hold->credential = HOLD_AS_SERVICE;
            hold_bar(hold);
            return hold_start_lookup(hold);
        }
        break;
    case LOOKUP_NO_MEMORY:
        return hold_lookup_exhausted(hold);
    case LOOKUP_FAILED:
        break;
    }
    return hold_lookup_ended(hold, lookup_error(hold->lookup));
}

/* The client's request. */

bool hold_is_forced(const struct hold *hold)
{
    return hold->context->forced && hold->context->settings->force_allowed;
}

/* Whether the server has answered this very request already. */
static bool is_rehearsed(const struct hold *hold)
{
    return hold->out && hold->rehearsal && strcmp(hold->out, hold->rehearsal) == 0;
}

static enum hold_step take_rehearsal(struct hold *hold)
{
    hold->answer = hold->proof;
    hold->proof = (struct jmap_answer){.root = NULL};
    hold->has_answer = true;
    hold->main_status = 200;
    return judge_all(hold);
}

static enum hold_step send_main(struct hold *hold)
{
    bool written = true;

    free(hold->out);
    hold->out = NULL;
    if (!hold->context->settings->observe) {
        hold->written = true;
        for (size_t i = 0; written && i < hold->request.count; i++)
            written = verdict_write(hold, i);
        if (written && hold->changed) {
            hold->out = request_text(&hold->request, &hold->out_len);
            written = hold->out != NULL;
        }
    }
    if (!written)
        return hold_give_up(hold);
    return is_rehearsed(hold) ? take_rehearsal(hold) : hold_enter(hold, PHASE_MAIN, HOLD_SEND);
}

/* A domain's renewals come before its DNS tasks, for which they may stand. */
static void for_each_create(struct hold *hold, void (*verb)(struct hold *hold, size_t i))
{
    for (unsigned of_dns_task = 0; of_dns_task <= 1; of_dns_task++) {
        for (size_t i = 0; i < hold->request.count; i++) {
            if (hold->request.creates[i].of_dns_task == of_dns_task)
                verb(hold, i);
        }
    }
}

static enum hold_step judge_all(struct hold *hold)
{
    for_each_create(hold, verdict_judge);
    return hold_send_late(hold);
}

static void decide_each(struct hold *hold, bool owned)
{
    for_each_create(hold, verdict_decide);
    for (size_t i = 0; i < hold->request.count; i++) {
        if (!owned)
            hold_disown(hold, i);
        if (hold->outsider || hold_domain_of(hold, hold->request.creates[i].domain)->alone)
            hold_keep_off(hold, i);
    }
}

/*
 * The server has not shown that the caller may create. It is asked by the client's request itself,
 * with nothing to make in it; should it take the creates, they are decided afterwards.
 */
static enum hold_step decide_as_outsider(struct hold *hold)
{
    hold->outsider = true;
    decide_each(hold, true);
    return send_main(hold);
}

static enum hold_step decide_all(struct hold *hold)
{
    bool owned = hold_owns_domains(hold);

    if (!owned && hold_may_retake(hold))
        return hold_retake_leases(hold);
    decide_each(hold, owned);
    return hold->has_answer ? judge_all(hold) : send_main(hold);
}

/* What the server has refused is not cut: the rest would be refused as well. */
static enum hold_step feed_proof(struct hold *hold, unsigned status, const char *body, size_t len)
{
    enum hold_proof proof = hold_read_proof(hold, status, body, len);

    hold->under_way = false;
    if (hold->context->settings->observe && proof == HOLD_UNPROVEN)
        return hold_lookup_ended(hold, "whether the caller may create could not be asked");
    if (hold->context->settings->observe)
        return hold_start_lookup(hold);
    hold->refused = proof == HOLD_REFUSED;
    hold->outsider = proof != HOLD_PROVEN;
    if (hold->uncut && !hold->refused)
        return begin_anew(hold);
    return hold->outsider ? decide_as_outsider(hold) : take_flights(hold);
}

/* The request as it was written is not to be sent any more. */
static enum hold_step disown_main(struct hold *hold)
{
    bool written = true;

    for (size_t i = 0; written && i < hold->request.count; i++)
        written = !hold_disown(hold, i) || verdict_write(hold, i);
    free(hold->out);
    hold->out = written ? request_text(&hold->request, &hold->out_len) : NULL;
    return hold->out ? hold->step : hold_give_up(hold);
}

/* The caller may create, and nothing has been made yet: now in earnest. */
static enum hold_step end_rehearsal(struct hold *hold)
{
    free(hold->rehearsal);
    hold->rehearsal = hold->out;
    hold->out = NULL;
    hold->proof = hold->answer;
    hold->answer = (struct jmap_answer){.root = NULL};
    hold->has_answer = false;
    hold->main_status = 0;
    return begin_anew(hold);
}

static enum hold_step feed_main(struct hold *hold, unsigned status, const char *body, size_t len)
{
    if (hold->changed && status == 400)
        hold_repeat_own_words(hold, body, len);
    hold->has_answer = status == 200 && answer_parse(body, len, hold->request.calls, &hold->answer);
    if ((hold->masked || hold->rest_calls) && status == 200 && !hold->has_answer)
        hold->own_body = hold_no_answer;
    hold->main_status = status;
    hold_note_caller(hold, status);
    if (!hold->has_answer && hold->under_way && answer_is_lost(status))
        hold_lose_answer(hold);
    hold->under_way = false;
    if (!hold->has_answer)
        return hold_finish(hold);
    if (hold->outsider && hold->known && !hold->refused) {
        hold->outsider = false;
        return hold->rehearsed ? end_rehearsal(hold) : start_over(hold);
    }
    if (!hold->context->settings->observe)
        return judge_all(hold);
    for_each_create(hold, verdict_judge);
    return hold_finish(hold);
}

static void release(struct hold *hold, struct domain *domain)
{
    verdict_settle_time(hold, domain);

    const struct held_create *create = &hold->request.creates[domain->first];
    const struct verdict *verdict = &hold->verdicts[domain->first];
    struct flight_result result = {
        .unknown = hold_is_unknown(hold, domain),
        .settled = verdict->state == VERDICT_ANSWERED && verdict->id[0],
        .no_op = verdict->decision.outcome == OUTCOME_NO_OP,
        .forced = hold_is_forced(hold),
        .asked_now = create->asked_now,
        .asked = create->asked,
    };

    memcpy(result.id, verdict->id, OBJECT_ID_SIZE);
    if (result.unknown)
        hold_leave_lease(hold, domain);
    else
        hold_give_lease(hold, domain);
    flight_leave(hold->context->flights, &domain->place, &result);
}

enum hold_step hold_finish(struct hold *hold)
{
    hold_settle_twins(hold);
    if (hold->has_answer && (hold->masked || hold->rest_calls))
        hold_write_answer(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (!hold_domain_is_reference(domain) && !hold->context->settings->observe)
            hold_remember(hold, domain);
        if (!hold_domain_is_reference(domain))
            hold_note_sighting(hold, domain);
        release(hold, domain);
    }
    for (size_t i = 0; i < hold->request.count; i++)
        hold_report_verdict(hold, i);
    return hold->rest_calls && hold->text && hold->has_answer
               ? hold_begin_rest(hold)
               : hold_enter(hold, PHASE_DONE, HOLD_DONE);
}

/* The driver's side. */

/*
 * The server might read a create where this gate cannot: in strings that it passes over and does
 * not check, in numbers of any size. A text with anything before it is JSON to neither, and the
 * server says so as it says it to everybody.
 */
static enum hold_step send_unreadable(struct hold *hold)
{
    hold->out = malloc(hold->len + 1);
    if (!hold->out)
        return hold_give_up(hold);
    hold->out[0] = '!';
    memcpy(hold->out + 1, hold->body, hold->len);
    hold->out_len = hold->len + 1;
    hold->changed = true;
    return hold_enter(hold, PHASE_MAIN, HOLD_SEND);
}

/* Reads what the request asks for. False when memory ran out. */
static bool prepare(struct hold *hold)
{
    hold->verdicts = calloc(hold->request.count + 1, sizeof *hold->verdicts);
    return hold->verdicts && hold_cut(hold) && list_domains(hold);
}

/* A stranger's request goes first with nothing to make in it, where it can go twice. */
static enum hold_step begin_as_stranger(struct hold *hold)
{
    hold->rehearsed = !hold->outsider && hold_makes_only_renewals(hold);
    return hold->rehearsed || hold->outsider || hold->request.count == 0 ? decide_as_outsider(hold)
                                                                         : hold_prove(hold);
}

static enum hold_step begin(struct hold *hold)
{
    const struct hold_settings *settings = hold->context->settings;

    if (settings->observe)
        return hold->known || !settings->has_service_credential ? hold_start_lookup(hold)
                                                                : hold_prove(hold);
    return hold->known ? take_flights(hold) : begin_as_stranger(hold);
}

struct hold *hold_open_part(const struct hold_context *context, const char *body, size_t len,
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
    hold->request = request;
    hold->changed = request.repeated_keys || request.without_due;
    hold->known = whole ? whole->known : !context->stranger;
    hold->outsider = whole && whole->outsider;
    hold->cuts = whole ? whole->cuts + 1 : 0;
    if (!prepare(hold)) {
        hold_close(hold);
        return observe ? NULL : &exhausted;
    }
    if (kind == REQUEST_UNREADABLE)
        send_unreadable(hold);
    else
        begin(hold);
    return hold;
}

struct hold *hold_open(const struct hold_context *context, const char *body, size_t len)
{
    return hold_open_part(context, body, len, NULL);
}

enum hold_step hold_step(const struct hold *hold)
{
    return hold->step;
}

struct hold_request hold_request(const struct hold *hold)
{
    struct hold_request request = {
        .credential = HOLD_AS_CALLER,
        .keep_headers = hold->phase == PHASE_MAIN,
        .body = hold->out,
        .len = hold->out_len,
    };

    switch (hold->phase) {
    case PHASE_LOOKUP:
        request.credential = hold->credential;
        request.is_lookup = true;
        request.is_session = lookup_state(hold->lookup) == LOOKUP_SEND_SESSION;
        request.body = lookup_body(hold->lookup, &request.len);
        break;
    case PHASE_PROOF:
        request.is_lookup = true;
        break;
    case PHASE_LATE:
        request.credential = hold->credential;
        request.is_lookup = true;
        request.is_session = lookup_state(hold->late) == LOOKUP_SEND_SESSION;
        request.body = lookup_body(hold->late, &request.len);
        break;
    case PHASE_COLLAPSE:
        request.is_lookup = true;
        request.body = collapse_body(hold->collapse, &request.len);
        break;
    case PHASE_REST:
        hold_request_rest(hold, &request);
        break;
    case PHASE_MAIN:
        if (!hold->out) {
            request.body = hold->body;
            request.len = hold->len;
        }
        break;
    default:
        break;
    }
    return request;
}

void hold_sent(struct hold *hold)
{
    if (hold->phase == PHASE_REST && hold->rest)
        hold_sent(hold->rest);
    hold->under_way = true;
    hold_remember_sent(hold);
}

void hold_unsent(struct hold *hold)
{
    if (hold->phase == PHASE_REST && hold->rest)
        hold_unsent(hold->rest);
    if (hold->under_way)
        hold_forget_sent(hold);
    hold->under_way = false;
}

/* What went with nothing to make in it was nothing yet. */
bool hold_is_committed(const struct hold *hold)
{
    return hold->has_answer ||
           (hold->under_way && hold->phase == PHASE_MAIN && !(hold->outsider && hold->rehearsed));
}

bool hold_stand_back(struct hold *hold)
{
    if (hold->phase == PHASE_REST && hold->rest)
        return hold_stand_back(hold->rest);
    if (hold->phase != PHASE_LOOKUP && hold->phase != PHASE_PROOF && hold->phase != PHASE_MAIN)
        return false;
    for (size_t i = 0; i < hold->domain_count && !hold->stood_back; i++)
        hold->stood_back = hold->domains[i].place.flight || hold->domains[i].lease;
    hold_leave_flights(hold);
    return true;
}

/* Decisions stand in the request: it is read anew. */
static enum hold_step begin_anew(struct hold *hold)
{
    lookup_destroy(hold->lookup);
    request_clear(&hold->request);
    json_decref(hold->rest_calls);
    free(hold->facts);
    free(hold->domains);
    free(hold->verdicts);
    batch_clear(&hold->batch);
    hold->lookup = NULL;
    hold->rest_calls = NULL;
    hold->facts = NULL;
    hold->domains = NULL;
    hold->verdicts = NULL;
    hold->domain_count = hold->next_flight = hold->next_lease = 0;
    hold->lookup_error = NULL;
    hold->written = hold->masked = false;
    enum request_kind kind = request_parse(hold->body, hold->len, &hold->request);
    hold->changed = hold->request.repeated_keys || hold->request.without_due;
    if (kind != REQUEST_HELD || !prepare(hold))
        return hold_give_up(hold);
    return begin(hold);
}

enum hold_step hold_recheck(struct hold *hold)
{
    if (hold->phase == PHASE_REST)
        return hold_recheck_rest(hold);
    if (hold->stood_back) {
        hold->stood_back = false;
        return hold->written && !hold->has_answer ? begin_anew(hold) : start_over(hold);
    }
    if (hold->phase == PHASE_LOOKUP || hold->phase == PHASE_PROOF || hold_owns_domains(hold))
        return hold->step;
    return hold->phase == PHASE_MAIN ? disown_main(hold) : hold_feed_failure(hold);
}

enum hold_step hold_feed(struct hold *hold, unsigned status, const char *body, size_t len)
{
    switch (hold->phase) {
    case PHASE_LOOKUP:
        return feed_lookup(hold, status, body, len);
    case PHASE_PROOF:
        return feed_proof(hold, status, body, len);
    case PHASE_MAIN:
        return feed_main(hold, status, body, len);
    case PHASE_LATE:
        return hold_feed_late(hold, status, body, len);
    case PHASE_MOVE:
        return hold_feed_moves(hold, status, body, len);
    case PHASE_RESEND:
        return hold_feed_resends(hold, status, body, len);
    case PHASE_COLLAPSE:
        return hold_feed_collapse(hold, status, body, len);
    case PHASE_REST:
        return hold_feed_rest(hold, status, body, len);
    default:
        return hold->step;
    }
}

enum hold_step hold_feed_failure(struct hold *hold)
{
    if (hold->phase == PHASE_LOOKUP) {
        hold->under_way = false;
        return hold_lookup_ended(hold, "the server did not answer a look-up");
    }
    if (hold->phase == PHASE_REST)
        return hold_fail_rest(hold);
    return hold_feed(hold, 0, NULL, 0);
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
        if (hold_is_unknown(hold, &hold->domains[i]))
            release(hold, &hold->domains[i]);
    }
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_UNKNOWN)
            hold_report_verdict(hold, i);
    }
}

static void give_times(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++)
        verdict_settle_time(hold, &hold->domains[i]);
}

void hold_close(struct hold *hold)
{
    if (!hold || hold == &exhausted)
        return;
    if (hold->under_way && (hold->phase == PHASE_MAIN || hold->phase == PHASE_RESEND))
        leave_unknown(hold);
    else
        give_times(hold);
    hold_leave_flights(hold);
    hold_close(hold->rest);
    lookup_destroy(hold->lookup);
    lookup_destroy(hold->late);
    collapse_destroy(hold->collapse);
    answer_clear(&hold->answer);
    answer_clear(&hold->resent);
    answer_clear(&hold->proof);
    request_clear(&hold->request);
    json_decref(hold->sent);
    json_decref(hold->rest_calls);
    json_decref(hold->meanings);
    batch_clear(&hold->batch);
    free(hold->late_facts);
    free(hold->facts);
    free(hold->domains);
    free(hold->verdicts);
    free(hold->text);
    free(hold->rehearsal);
    free(hold->out);
    free(hold);
}
