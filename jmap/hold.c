#include "jmap/hold.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/answer.h"
#include "jmap/flight.h"
#include "jmap/json_text.h"
#include "jmap/lookup.h"
#include "jmap/memory.h"
#include "jmap/request.h"
#include "policy/no_op_id.h"

/* What the hold waits for; each is left by one function below. */
enum phase {
    PHASE_FLIGHTS, /* another request's decision on one of its domains */
    PHASE_LOOKUP,
    PHASE_MAIN,   /* the client's request */
    PHASE_MOVE,   /* tasks moved to another time */
    PHASE_RESEND, /* creates that must be forwarded after all */
    PHASE_DONE,
};

enum verdict_state {
    VERDICT_OPEN,
    VERDICT_ANSWERED,    /* `id` is the answer */
    VERDICT_REJECTED,    /* the server's error is the answer */
    VERDICT_UNAVAILABLE, /* the gate's own error is the answer */
    VERDICT_RESEND,
    VERDICT_TWIN, /* what the first create for the domain gets is the answer */
};

/* A request may name as many domains as the server's limits let it: 16 calls, 500 creates each. */
#define DOMAINS_MAX 8000

/* What becomes of one held create. */
struct verdict {
    struct decision decision;
    enum verdict_state state;
    bool masked;
    char id[OBJECT_ID_SIZE]; /* known before or after; or "" */
    const char *error;       /* with VERDICT_REJECTED; borrowed from an answer */
};

struct domain {
    const char *id; /* or "#key": neither looked up nor flown */
    wall_time asked;
    struct lookup_domain *facts; /* NULL where another request settled it, or nothing is known */
    struct flight_place place;
    bool shared;  /* another request settled it: place.result */
    size_t first; /* its first create; once judged, the first that the server did not reject */
};

struct hold {
    const struct hold_context *context;
    const char *body;
    size_t len;
    struct jmap_request request;
    struct verdict *verdicts; /* one for each of request.creates */
    struct domain *domains;   /* ascending by id */
    size_t domain_count;
    size_t next_flight;
    struct lookup_domain *facts;
    size_t fact_count;
    struct lookup *lookup;
    const char *lookup_error; /* NULL when the look-ups succeeded */
    enum hold_credential credential;
    wall_time now;
    enum phase phase;
    enum hold_step step;
    bool changed;         /* the request is not the client's bytes any more */
    bool masked;          /* at least one create in it points at no domain */
    bool unauthorized;    /* the server knows no such caller: its own answer will say so */
    const char *own_body; /* a problem document that is the answer, or NULL */
    char *out;            /* what is being sent; NULL in the main phase: the client's bytes */
    size_t out_len;
    struct jmap_answer answer;
    bool has_answer;
    json_t *sent; /* the calls of the gate's own that are being sent */
    struct jmap_answer resent;
    char *text; /* the answer in the gate's words, or NULL */
    size_t text_len;
};

static enum hold_step decide_all(struct hold *hold);
static enum hold_step start_lookup(struct hold *hold);
static enum hold_step finish(struct hold *hold);

static enum hold_step enter(struct hold *hold, enum phase phase, enum hold_step step)
{
    hold->phase = phase;
    return hold->step = step;
}

#define PROBLEM(detail)                                                                            \
    "{\"type\":\"about:blank\",\"status\":503,\"title\":\"Service "                                \
    "Unavailable\",\"detail\":\"" detail "\"}"

static const char no_memory[] = PROBLEM("The gateway is out of memory.");
static const char no_answer[] = PROBLEM("The server's answer could not be read.");

/* Stands for a hold for which there was no memory. */
static struct hold exhausted = {
    .phase = PHASE_DONE,
    .step = HOLD_DONE,
    .own_body = no_memory,
};

/* Better no answer than an order too many. */
static enum hold_step give_up(struct hold *hold)
{
    hold->own_body = no_memory;
    return enter(hold, PHASE_DONE, HOLD_DONE);
}

/* Opening. */

static int domain_order(const void *a, const void *b)
{
    return strcmp(((const struct domain *)a)->id, ((const struct domain *)b)->id);
}

static wall_time asked_time(const struct hold *hold, const struct held_create *create)
{
    return create->asked_now ? hold->now : wall_time_later(create->asked, hold->now);
}

static struct domain *domain_of(const struct hold *hold, const struct held_create *create)
{
    return bsearch(&(struct domain){.id = create->domain}, hold->domains, hold->domain_count,
                   sizeof *hold->domains, domain_order);
}

static void note_asked(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        struct domain *domain = domain_of(hold, create);
        domain->asked = wall_time_later(domain->asked, asked_time(hold, create));
    }
}

static bool list_domains(struct hold *hold)
{
    size_t count = hold->request.count, kept = 0;

    hold->domains = calloc(count + 1, sizeof *hold->domains);
    if (!hold->domains)
        return false;
    for (size_t i = 0; i < count; i++)
        hold->domains[i].id = hold->request.creates[i].domain;
    qsort(hold->domains, count, sizeof *hold->domains, domain_order);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(hold->domains[kept - 1].id, hold->domains[i].id) != 0)
            hold->domains[kept++] = hold->domains[i];
    }
    hold->domain_count = kept;
    for (size_t i = count; i-- > 0;)
        domain_of(hold, &hold->request.creates[i])->first = i;
    note_asked(hold);
    return true;
}

static bool is_reference(const struct domain *domain)
{
    return domain->id[0] == '#';
}

/* Flights. */

static bool is_removed(const struct hold *hold, const char *task_id)
{
    return hold->request.removes_unknown || json_object_get(hold->request.removed, task_id);
}

/* Whether what another request settled answers all of this one's creates for the domain too. */
static bool result_serves(const struct hold *hold, const struct domain *domain)
{
    const struct flight_result *result = &domain->place.result;

    if (!result->settled || is_removed(hold, result->id) ||
        (hold->context->forced && hold->context->settings->force_allowed && !result->forced))
        return false;
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        if (strcmp(create->domain, domain->id) != 0)
            continue;
        if (create->asked_now != result->asked_now ||
            (!create->asked_now && !wall_time_equal(create->asked, result->asked)))
            return false;
    }
    return true;
}

/* Takes the lead on every domain in turn, in ascending order; waits where another has it. */
static enum hold_step take_flights(struct hold *hold)
{
    const struct hold_context *context = hold->context;

    for (; hold->next_flight < hold->domain_count; hold->next_flight++) {
        struct domain *domain = &hold->domains[hold->next_flight];
        if (is_reference(domain))
            continue;
        domain->place.wake = context->wake;
        domain->place.user = context->user;
        enum flight_join joined = flight_join(context->flights, domain->id, &domain->place);
        if (joined == FLIGHT_NO_MEMORY)
            return give_up(hold);
        if (joined == FLIGHT_WAITING)
            return enter(hold, PHASE_FLIGHTS, HOLD_WAIT);
    }
    return start_lookup(hold);
}

enum hold_step hold_woken(struct hold *hold)
{
    struct domain *domain = &hold->domains[hold->next_flight];

    /* A task that the leader had made is due now, which is later than when this hold was opened. */
    hold->now = hold->context->now(hold->context->user);
    note_asked(hold);
    if (result_serves(hold, domain)) {
        domain->shared = true;
        hold->next_flight++;
    }
    return take_flights(hold);
}

/* Look-ups. */

static bool list_facts(struct hold *hold)
{
    hold->fact_count = 0;
    if (!hold->facts)
        hold->facts = calloc(hold->domain_count, sizeof *hold->facts);
    if (!hold->facts)
        return false;
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (is_reference(domain) || domain->shared)
            continue;
        domain->facts = &hold->facts[hold->fact_count++];
        *domain->facts = (struct lookup_domain){.id = domain->id, .asked = domain->asked};
    }
    return true;
}

static enum hold_step lookup_ended(struct hold *hold, const char *error)
{
    hold->lookup_error = error;
    return decide_all(hold);
}

/* Not row 9, which forwards: that the gate has no memory must not cost an order. */
static enum hold_step lookup_exhausted(struct hold *hold)
{
    return hold->context->settings->observe ? lookup_ended(hold, "out of memory") : give_up(hold);
}

static enum hold_step start_lookup(struct hold *hold)
{
    lookup_destroy(hold->lookup);
    hold->lookup = NULL;
    if (!list_facts(hold))
        return lookup_exhausted(hold);
    if (hold->fact_count == 0)
        return lookup_ended(hold, NULL);
    if (hold->fact_count > DOMAINS_MAX)
        return lookup_ended(hold, "more domains than a request can have creates for");
    hold->lookup = lookup_create(hold->facts, hold->fact_count, hold->context->memory, hold->now);
    if (!hold->lookup)
        return lookup_exhausted(hold);
    return enter(hold, PHASE_LOOKUP, HOLD_SEND);
}

static enum hold_step read_as_service(struct hold *hold)
{
    hold->credential = HOLD_AS_SERVICE;
    return start_lookup(hold);
}

static enum hold_step feed_lookup(struct hold *hold, unsigned status, const char *body, size_t len)
{
    enum lookup_state state = lookup_feed(hold->lookup, status, body, len);
    bool as_caller = hold->credential == HOLD_AS_CALLER;

    switch (state) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return hold->step = HOLD_SEND;
    case LOOKUP_DONE:
        return lookup_ended(hold, NULL);
    case LOOKUP_FORBIDDEN:
        if (as_caller && hold->context->settings->has_service_credential)
            return read_as_service(hold);
        break;
    case LOOKUP_UNAUTHORIZED:
        hold->unauthorized = as_caller;
        break;
    case LOOKUP_NO_MEMORY:
        return lookup_exhausted(hold);
    case LOOKUP_FAILED:
        break;
    }
    return lookup_ended(hold, lookup_error(hold->lookup));
}

/* Deciding. */

static size_t tasks_left(const struct hold *hold, struct lookup_domain *facts)
{
    size_t kept = 0;

    for (size_t i = 0; i < facts->task_count; i++) {
        if (!is_removed(hold, facts->tasks[i].id))
            facts->tasks[kept++] = facts->tasks[i];
    }
    return facts->task_count = kept;
}

static bool is_forced(const struct hold *hold)
{
    return hold->context->forced && hold->context->settings->force_allowed;
}

static void recall_blind(const struct hold *hold, const char *domain_id,
                         struct domain_memory *known)
{
    const struct hold_settings *settings = hold->context->settings;

    memory_recall(hold->context->memory, domain_id, known);
    wall_time until = wall_time_add(known->forwarded_at, settings->blind_interval_seconds);
    if (!wall_time_before(hold->now, until) || is_removed(hold, known->forwarded_id))
        known->forwarded_id[0] = '\0';
}

static struct decision decide_create(struct hold *hold, const struct held_create *create,
                                     const struct domain *domain)
{
    const struct hold_settings *settings = hold->context->settings;
    struct lookup_domain *found = domain->facts;
    struct domain_memory known = {0};
    bool looked_up = !hold->lookup_error && found;

    if (!looked_up)
        recall_blind(hold, domain->id, &known);
    struct decision_facts facts = {
        .now = hold->now,
        .asked = asked_time(hold, create),
        .forced = is_forced(hold),
        .looked_up = looked_up,
        .renewable = looked_up && found->renewable,
        .renewal_due = looked_up ? found->renewal_due : WALL_TIME_NEVER,
        .refused_until = WALL_TIME_NEVER,
        .blind_id = known.forwarded_id[0] ? known.forwarded_id : NULL,
        .not_due = settings->not_due,
        .on_lookup_failure = settings->on_lookup_failure,
    };
    if (looked_up) {
        facts.refused_until =
            refused_until(found->tasks, found->task_count, settings->issue_limit, found->issued,
                          found->issued_count, settings->blind_hold_seconds, hold->now);
        facts.task_count = tasks_left(hold, found);
        facts.tasks = found->tasks;
    }

    struct decision decision = decide(&facts);
    struct verdict *verdict = &hold->verdicts[create - hold->request.creates];
    if (decision.id)
        strncpy(verdict->id, decision.id, OBJECT_ID_SIZE - 1);
    decision.id = NULL; /* it does not outlive the facts */
    return decision;
}

static struct decision shared_decision(const struct domain *domain, struct verdict *verdict)
{
    const struct flight_result *result = &domain->place.result;

    memcpy(verdict->id, result->id, OBJECT_ID_SIZE);
    return (struct decision){
        .outcome = result->no_op ? OUTCOME_NO_OP : OUTCOME_EXISTING,
        .row = result->no_op ? 4 : 2,
        .due = WALL_TIME_NEVER,
        .why = "another request settled the domain at the same moment",
    };
}

static void decide_one(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct domain *domain = domain_of(hold, create);
    struct verdict *verdict = &hold->verdicts[i];

    if (domain->first != i) {
        verdict->decision = (struct decision){.outcome = OUTCOME_EXISTING,
                                              .row = 2,
                                              .due = WALL_TIME_NEVER,
                                              .why = "created earlier in the same request"};
        memcpy(verdict->id, hold->verdicts[domain->first].id, OBJECT_ID_SIZE);
    } else if (domain->shared) {
        verdict->decision = shared_decision(domain, verdict);
    } else if (is_reference(domain)) {
        verdict->decision = (struct decision){.outcome = OUTCOME_FORWARD,
                                              .row = 8,
                                              .due = WALL_TIME_NEVER,
                                              .why = "the domain is made in the same request"};
    } else {
        verdict->decision = decide_create(hold, create, domain);
        if (verdict->decision.outcome == OUTCOME_NO_OP)
            no_op_id(domain->id, domain->facts->certificate_id ? domain->facts->certificate_id : "",
                     verdict->id);
    }
}

/* The client's request. */

static bool mask(struct hold *hold, size_t i)
{
    struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    size_t first = domain_of(hold, create)->first;

    verdict->masked = hold->masked = hold->changed = true;
    if (!request_mask(create))
        return false;
    if (verdict->id[0])
        return request_seed(&hold->request, create->call, create->key, verdict->id);
    if (first != i)
        return request_alias(&hold->request, create->call, create->key,
                             hold->request.creates[first].key);
    return true;
}

static bool write_decision(struct hold *hold, size_t i)
{
    const struct decision *decision = &hold->verdicts[i].decision;

    switch (decision->outcome) {
    case OUTCOME_FORWARD:
        return true;
    case OUTCOME_SCHEDULE:
        hold->changed = true;
        return request_set_due(&hold->request.creates[i], decision->due);
    default:
        return mask(hold, i);
    }
}

static enum hold_step send_main(struct hold *hold)
{
    bool written = true;

    if (!hold->context->settings->observe && !hold->unauthorized) {
        for (size_t i = 0; written && i < hold->request.count; i++)
            written = write_decision(hold, i);
        if (written && hold->changed) {
            hold->out = request_text(&hold->request, &hold->out_len);
            written = hold->out != NULL;
        }
    }
    return written ? enter(hold, PHASE_MAIN, HOLD_SEND) : give_up(hold);
}

static enum hold_step decide_all(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++)
        decide_one(hold, i);
    return send_main(hold);
}

/* What the decision makes of a create that the server let pass as far as its domain. */
static enum verdict_state accepted_state(const struct verdict *verdict)
{
    switch (verdict->decision.outcome) {
    case OUTCOME_REFUSE:
        return VERDICT_UNAVAILABLE;
    case OUTCOME_FORWARD:
    case OUTCOME_SCHEDULE:
        return VERDICT_RESEND;
    default:
        return VERDICT_ANSWERED;
    }
}

static void judge_masked(struct hold *hold, size_t i)
{
    struct domain *domain = domain_of(hold, &hold->request.creates[i]);
    const struct verdict *first = &hold->verdicts[domain->first];
    struct verdict *verdict = &hold->verdicts[i];

    if (domain->first != i && first->state != VERDICT_REJECTED) {
        verdict->state = VERDICT_TWIN;
        return;
    }
    if (domain->first != i) {
        verdict->decision = first->decision;
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
        domain->first = i;
    }
    verdict->state = accepted_state(verdict);
}

static void judge(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = answer_created_id(&hold->answer, create->call, create->key);

    if (id) {
        verdict->state = VERDICT_ANSWERED;
        snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
    } else if (verdict->masked && answer_is_masked(&hold->answer, create->call, create->key)) {
        judge_masked(hold, i);
    } else {
        verdict->state = VERDICT_REJECTED;
        verdict->error = answer_error_type(&hold->answer, create->call, create->key);
    }
}

/* Requests of the gate's own, one call for each of the client's so that its limits hold here too.
 */

static json_t *account_of(const json_t *call)
{
    return json_object_get(json_array_get(call, 1), "accountId");
}

typedef bool put_entry(const struct hold *hold, size_t i, json_t *entries);

static json_t *calls_of(const struct hold *hold, const char *member, put_entry *put)
{
    json_t *calls = json_array();
    bool done = calls != NULL;
    size_t i = 0;

    for (size_t c = 0; done && c < json_array_size(hold->request.calls); c++) {
        const json_t *call = json_array_get(hold->request.calls, c);
        json_t *entries = json_object();
        for (; done && i < hold->request.count && hold->request.creates[i].call == c; i++)
            done = entries && put(hold, i, entries);
        json_t *written =
            json_object_size(entries) > 0
                ? json_pack("[s, {s:O*, s:O}, O]", "x:Task/set", "accountId", account_of(call),
                            member, entries, json_array_get(call, 2))
                : json_pack("[s, {}, O]", "Core/echo", json_array_get(call, 2));
        json_decref(entries);
        done = json_array_append_new(calls, written) == 0 && done;
    }
    if (done)
        return calls;
    json_decref(calls);
    return NULL;
}

static bool write_calls(struct hold *hold, const char *member, put_entry *put)
{
    json_t *using = json_object_get(hold->request.root, "using");

    json_decref(hold->sent);
    hold->sent = calls_of(hold, member, put);
    json_t *request =
        hold->sent ? json_pack("{s:O*, s:O}", "using", using, "methodCalls", hold->sent) : NULL;
    free(hold->out);
    hold->out = request ? json_dumps(request, JSON_COMPACT) : NULL;
    hold->out_len = hold->out ? strlen(hold->out) : 0;
    json_decref(request);
    return hold->out != NULL;
}

/* Moves. */

static bool awaits_move(const struct verdict *verdict)
{
    return verdict->decision.outcome == OUTCOME_MOVE && verdict->state == VERDICT_ANSWERED;
}

static bool put_move(const struct hold *hold, size_t i, json_t *updates)
{
    const struct verdict *verdict = &hold->verdicts[i];
    char due[WALL_TIME_TEXT_SIZE];

    if (!awaits_move(verdict))
        return true;
    wall_time_format(verdict->decision.due, due);
    return json_object_set_new(updates, verdict->id, json_pack("{s:s}", "status/due", due)) == 0;
}

static bool any_move(const struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (awaits_move(&hold->verdicts[i]))
            return true;
    }
    return false;
}

static bool any_resend(const struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_RESEND)
            return true;
    }
    return false;
}

static void fail_resends(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_RESEND)
            hold->verdicts[i].state = VERDICT_UNAVAILABLE;
    }
}

static enum hold_step send_resends(struct hold *hold);

/* The server updates no task that is running: then it is due already, and the answer. */
static bool is_running(const json_t *refusal)
{
    const char *why = json_string_value(json_object_get(refusal, "description"));

    return why && strstr(why, "currently being processed");
}

static void judge_move(struct hold *hold, size_t i, const json_t *set)
{
    struct verdict *verdict = &hold->verdicts[i];
    const json_t *refusal = json_object_get(json_object_get(set, "notUpdated"), verdict->id);
    const char *type = json_string_value(json_object_get(refusal, "type"));

    if (json_object_get(json_object_get(set, "updated"), verdict->id) || is_running(refusal))
        return;
    verdict->id[0] = '\0';
    if (type && strcmp(type, "notFound") == 0) {
        /* It ran or was destroyed since it was read; whether a renewal is due must be read anew. */
        verdict->state = VERDICT_UNAVAILABLE;
        return;
    }
    verdict->state = VERDICT_RESEND;
    verdict->decision.outcome = OUTCOME_FORWARD;
    verdict->decision.due = WALL_TIME_NEVER;
    verdict->decision.why = "the task could not be moved";
}

/* Without an answer the task may have been moved or not: forwarding could make it two. */
static enum hold_step feed_moves(struct hold *hold, unsigned status, const char *body, size_t len)
{
    struct jmap_answer moved = {.root = NULL};
    bool answered = status == 200 && answer_parse(body, len, hold->sent, &moved);

    for (size_t i = 0; i < hold->request.count; i++) {
        struct verdict *verdict = &hold->verdicts[i];
        if (!awaits_move(verdict))
            continue;
        if (answered)
            judge_move(hold, i, moved.sets[hold->request.creates[i].call]);
        else
            verdict->state = VERDICT_UNAVAILABLE;
    }
    answer_clear(&moved);
    return send_resends(hold);
}

/* Creates that are forwarded after all. */

/* The id that the client's request gave to something that it made. */
static const char *made_id(const struct hold *hold, const char *key)
{
    size_t i;
    json_t *call;
    const char *id = NULL;

    json_array_foreach(json_object_get(hold->answer.root, "methodResponses"), i, call)
    {
        const json_t *created = json_object_get(json_array_get(call, 1), "created");
        const char *own = json_string_value(json_object_get(json_object_get(created, key), "id"));
        id = own ? own : id;
    }
    return id;
}

static bool put_resend(const struct hold *hold, size_t i, json_t *creates)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct verdict *verdict = &hold->verdicts[i];

    if (verdict->state != VERDICT_RESEND)
        return true;
    struct held_create again = {.object = json_text_copy(create->original)};
    const char *domain = create->domain[0] == '#' ? made_id(hold, create->domain + 1) : NULL;
    bool done =
        again.object &&
        (!domain || json_object_set_new(again.object, "domainId", json_string(domain)) == 0) &&
        (verdict->decision.outcome != OUTCOME_SCHEDULE ||
         request_set_due(&again, verdict->decision.due)) &&
        json_object_set(creates, create->key, again.object) == 0;
    json_decref(again.object);
    return done;
}

static enum hold_step send_resends(struct hold *hold)
{
    if (!any_resend(hold))
        return finish(hold);
    if (!write_calls(hold, "create", put_resend)) {
        fail_resends(hold);
        return finish(hold);
    }
    return enter(hold, PHASE_RESEND, HOLD_SEND);
}

static void judge_resent(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = answer_created_id(&hold->resent, create->call, create->key);

    verdict->masked = false;
    if (id) {
        snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
        verdict->state = VERDICT_ANSWERED;
        return;
    }
    verdict->error = answer_error_type(&hold->resent, create->call, create->key);
    verdict->state = verdict->error ? VERDICT_REJECTED : VERDICT_UNAVAILABLE;
}

static enum hold_step feed_resends(struct hold *hold, unsigned status, const char *body, size_t len)
{
    if (status != 200 || !answer_parse(body, len, hold->sent, &hold->resent)) {
        fail_resends(hold);
        return finish(hold);
    }
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_RESEND)
            judge_resent(hold, i);
    }
    return finish(hold);
}

static enum hold_step feed_main(struct hold *hold, unsigned status, const char *body, size_t len)
{
    hold->has_answer = status == 200 && answer_parse(body, len, hold->request.calls, &hold->answer);
    if (hold->masked && status == 200 && !hold->has_answer)
        hold->own_body = no_answer;
    if (!hold->has_answer || hold->unauthorized)
        return finish(hold);
    for (size_t i = 0; i < hold->request.count; i++)
        judge(hold, i);
    if (hold->context->settings->observe)
        return finish(hold);
    if (!any_move(hold))
        return send_resends(hold);
    if (!write_calls(hold, "update", put_move))
        return feed_moves(hold, 0, NULL, 0);
    return enter(hold, PHASE_MOVE, HOLD_SEND);
}

/* The answer. */

static json_t *unavailable(void)
{
    return json_pack("{s:s, s:s}", "type", "serverUnavailable", "description",
                     "Whether the renewal is due could not be looked up; try again later.");
}

static json_t *resent_error(const struct hold *hold, const struct held_create *create)
{
    size_t first = domain_of(hold, create)->first;
    const struct held_create *resent = &hold->request.creates[first];
    json_t *set = hold->resent.sets ? hold->resent.sets[resent->call] : NULL;

    return json_incref(json_object_get(json_object_get(set, "notCreated"), resent->key));
}

static bool write_answer_of(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct verdict *verdict = &hold->verdicts[i];
    struct jmap_answer *answer = &hold->answer;
    bool was_masked = answer_is_masked(answer, create->call, create->key);
    bool done = true;

    if (was_masked && verdict->state == VERDICT_ANSWERED)
        done = answer_set_created(answer, create->call, create->key, verdict->id);
    else if (was_masked)
        done = answer_set_error(answer, create->call, create->key,
                                verdict->state == VERDICT_REJECTED ? resent_error(hold, create)
                                                                   : unavailable());
    return done;
}

/* As the server: what was made last under a key is what it means. */
static bool write_created_id(struct hold *hold, const char *key)
{
    const char *id = made_id(hold, key);

    return (!id && request_has_own_id(&hold->request, key)) ||
           answer_set_created_id(&hold->answer, key, id);
}

static void write_answer(struct hold *hold)
{
    bool done = true;

    for (size_t i = 0; done && i < hold->request.count; i++)
        done = write_answer_of(hold, i);
    for (size_t i = 0; done && hold->request.wants_created_ids && i < hold->request.count; i++)
        done = write_created_id(hold, hold->request.creates[i].key);
    if (!hold->request.wants_created_ids)
        answer_drop_created_ids(&hold->answer);
    if (done)
        hold->text = answer_text(&hold->answer, &hold->text_len);
    if (!hold->text)
        hold->own_body = no_memory;
}

/* Twins get what the first of them got. */
static void settle_twins(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct domain *domain = domain_of(hold, &hold->request.creates[i]);
        const struct verdict *first = &hold->verdicts[domain->first];
        struct verdict *verdict = &hold->verdicts[i];
        if (verdict->state != VERDICT_TWIN)
            continue;
        verdict->state = first->state;
        verdict->error = first->error;
        memcpy(verdict->id, first->id, OBJECT_ID_SIZE);
    }
}

/* What is remembered, told and reported. */

static void remember_live_tasks(struct domain_memory *known, const struct lookup_domain *facts)
{
    size_t kept = 0;

    memset(known->task_ids, 0, sizeof known->task_ids);
    for (size_t i = 0; i < facts->task_count && kept < MEMORY_TASKS; i++) {
        if (facts->tasks[i].state != TASK_FAILED)
            strncpy(known->task_ids[kept++], facts->tasks[i].id, OBJECT_ID_SIZE - 1);
    }
}

static void remember(struct hold *hold, const struct domain *domain)
{
    const struct verdict *verdict = &hold->verdicts[domain->first];
    const struct lookup_domain *facts = domain->facts;
    bool seen = facts && !hold->lookup_error && facts->renewable;
    bool made = verdict->state == VERDICT_ANSWERED && !verdict->masked;
    struct domain_memory known;

    /* Names that a client made up are not worth the room. */
    if (!seen && !made)
        return;
    memory_recall(hold->context->memory, domain->id, &known);
    if (seen) {
        remember_live_tasks(&known, facts);
        strncpy(known.certificate_id, facts->certificate_id ? facts->certificate_id : "",
                OBJECT_ID_SIZE - 1);
        memcpy(known.refused_id, facts->known.refused_id, OBJECT_ID_SIZE);
        known.refused_seen = facts->known.refused_seen;
    }
    if (made) {
        memcpy(known.forwarded_id, verdict->id, OBJECT_ID_SIZE);
        known.forwarded_at = hold->now;
        memcpy(known.task_ids[MEMORY_TASKS - 1], verdict->id, OBJECT_ID_SIZE);
    }
    memory_store(hold->context->memory, &known);
}

static void release(struct hold *hold, struct domain *domain)
{
    const struct held_create *create = &hold->request.creates[domain->first];
    const struct verdict *verdict = &hold->verdicts[domain->first];
    struct flight_result result = {
        .settled = verdict->state == VERDICT_ANSWERED && verdict->id[0],
        .no_op = verdict->decision.outcome == OUTCOME_NO_OP,
        .forced = is_forced(hold),
        .asked_now = create->asked_now,
        .asked = create->asked,
    };

    memcpy(result.id, verdict->id, OBJECT_ID_SIZE);
    flight_leave(hold->context->flights, &domain->place, &result);
}

static void report(const struct hold *hold, size_t i)
{
    const struct verdict *verdict = &hold->verdicts[i];
    const struct domain *domain = domain_of(hold, &hold->request.creates[i]);
    const struct lookup_domain *facts = domain->facts;
    bool rejected = verdict->state == VERDICT_REJECTED || verdict->state == VERDICT_OPEN;
    struct hold_report report = {
        .domain_id = domain->id,
        .domain_name = facts && !hold->lookup_error ? facts->name : NULL,
        .outcome = outcome_name(verdict->decision.outcome),
        .why = hold->lookup_error && facts ? hold->lookup_error : verdict->decision.why,
        .id = verdict->id[0] ? verdict->id : NULL,
        .row = verdict->decision.row,
        .observed = hold->context->settings->observe,
        .due = verdict->decision.due,
        .renewal_due = facts && !hold->lookup_error ? facts->renewal_due : WALL_TIME_NEVER,
        .refused_until = WALL_TIME_NEVER,
    };

    if (rejected && !report.observed) {
        report.outcome = "rejected";
        report.why = verdict->error ? verdict->error : "the server refused the request";
        report.id = NULL;
    }
    hold->context->report(hold->context->user, &report);
}

static enum hold_step finish(struct hold *hold)
{
    settle_twins(hold);
    if (hold->has_answer && hold->masked)
        write_answer(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (!is_reference(domain) && !hold->unauthorized && !hold->context->settings->observe)
            remember(hold, domain);
        release(hold, domain);
    }
    for (size_t i = 0; i < hold->request.count; i++)
        report(hold, i);
    return enter(hold, PHASE_DONE, HOLD_DONE);
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
        return give_up(hold);
    hold->out[0] = '!';
    memcpy(hold->out + 1, hold->body, hold->len);
    hold->out_len = hold->len + 1;
    hold->changed = true;
    return enter(hold, PHASE_MAIN, HOLD_SEND);
}

static bool start(struct hold *hold, enum request_kind kind)
{
    hold->verdicts = calloc(hold->request.count + 1, sizeof *hold->verdicts);
    if (!hold->verdicts || !list_domains(hold))
        return false;
    if (kind == REQUEST_UNREADABLE)
        send_unreadable(hold);
    else if (hold->context->settings->observe)
        start_lookup(hold);
    else
        take_flights(hold);
    return true;
}

struct hold *hold_open(const struct hold_context *context, const char *body, size_t len)
{
    bool observe = context->settings->observe;
    struct jmap_request request;
    enum request_kind kind = request_parse(body, len, &request);

    if (kind == REQUEST_PASSES || (observe && request.count == 0))
        return NULL;
    struct hold *hold = kind == REQUEST_NO_MEMORY ? NULL : calloc(1, sizeof *hold);
    if (!hold) {
        request_clear(&request);
        return observe ? NULL : &exhausted;
    }
    hold->context = context;
    hold->body = body;
    hold->len = len;
    hold->now = context->now(context->user);
    hold->request = request;
    hold->changed = request.repeated_keys;
    if (start(hold, kind))
        return hold;
    hold_close(hold);
    return observe ? NULL : &exhausted;
}

enum hold_step hold_step(const struct hold *hold)
{
    return hold->step;
}

struct hold_request hold_request(const struct hold *hold)
{
    bool main = hold->phase == PHASE_MAIN, lookup = hold->phase == PHASE_LOOKUP;
    struct hold_request request = {
        .credential = lookup ? hold->credential : HOLD_AS_CALLER,
        .is_lookup = lookup,
        .is_session = lookup && lookup_state(hold->lookup) == LOOKUP_SEND_SESSION,
        .keep_headers = main,
        .body = hold->out,
        .len = hold->out_len,
    };

    if (lookup) {
        request.body = lookup_body(hold->lookup, &request.len);
    } else if (main && !hold->out) {
        request.body = hold->body;
        request.len = hold->len;
    }
    return request;
}

enum hold_step hold_feed(struct hold *hold, unsigned status, const char *body, size_t len)
{
    switch (hold->phase) {
    case PHASE_LOOKUP:
        return feed_lookup(hold, status, body, len);
    case PHASE_MAIN:
        return feed_main(hold, status, body, len);
    case PHASE_MOVE:
        return feed_moves(hold, status, body, len);
    case PHASE_RESEND:
        return feed_resends(hold, status, body, len);
    default:
        return hold->step;
    }
}

enum hold_step hold_feed_failure(struct hold *hold)
{
    if (hold->phase == PHASE_LOOKUP)
        return lookup_ended(hold, "the server did not answer a look-up");
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

void hold_close(struct hold *hold)
{
    static const struct flight_result nothing = {.settled = false};

    if (!hold || hold == &exhausted)
        return;
    for (size_t i = 0; i < hold->domain_count; i++)
        flight_leave(hold->context->flights, &hold->domains[i].place, &nothing);
    lookup_destroy(hold->lookup);
    answer_clear(&hold->answer);
    answer_clear(&hold->resent);
    request_clear(&hold->request);
    json_decref(hold->sent);
    free(hold->facts);
    free(hold->domains);
    free(hold->verdicts);
    free(hold->text);
    free(hold->out);
    free(hold);
}
