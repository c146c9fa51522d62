#include "jmap/create/hold_caller.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/hold_own.h"
#include "jmap/wire/json_text.h"
#include "jmap/wire/method.h"
#include "policy/no_op_id.h"

/*
 * Whom the server lets create renewals. Its first answer that shows this makes a caller known. Who
 * is not known yet keeps nobody waiting and has nothing read for it.
 */

static void note(struct hold *hold, bool may_create)
{
    const struct hold_context *context = hold->context;

    hold->caller.known = may_create;
    if (context->caller_noted)
        context->caller_noted(context->user, may_create);
}

/* Whether what the answer was to has got as far as its domain, which cannot exist. */
static bool passes(const struct jmap_answer *answer, const struct held_create *create)
{
    return answer_is_placeholder(answer, create->call, create->key);
}

/* Of the client's own request. */

/* How many of the call's creates are held, and looked up. */
static size_t count_held(const struct jmap_request *request, size_t call, size_t *next)
{
    size_t count = 0;

    for (; *next < request->count && request->creates[*next].call == call; ++*next)
        count += request->creates[*next].domain[0] != '#';
    return count;
}

static bool sets_only(const json_t *arguments, size_t creates)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)arguments, name, value)
    {
        if (strcmp(name, "accountId") != 0 && strcmp(name, "create") != 0)
            return false;
    }
    return json_object_size(json_object_get(arguments, "create")) == creates;
}

static bool makes_only_renewals(const struct hold *hold)
{
    const struct jmap_request *request = &hold->request;
    size_t next = 0, i;
    json_t *call;

    if (hold->continuation.uncut || hold->continuation.calls)
        return false;
    json_array_foreach(request->calls, i, call)
    {
        enum method_kind kind = method_kind(call);
        size_t held = count_held(request, i, &next);
        if (kind > METHOD_SETS_TASKS ||
            (kind == METHOD_SETS_TASKS && !sets_only(json_array_get(call, 1), held)))
            return false;
    }
    return true;
}

void hold_note_caller(struct hold *hold, unsigned status)
{
    bool accepted = false, forbidden = status == 401 || status == 403;

    for (size_t i = 0; hold->has_answer && i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        const char *error = answer_error_type(&hold->answer, create->call, create->key);
        accepted = accepted || answer_created_id(&hold->answer, create->call, create->key) ||
                   passes(&hold->answer, create);
        forbidden = forbidden || (error && strcmp(error, "forbidden") == 0);
    }
    if (accepted || forbidden)
        note(hold, accepted);
}

/* Of a request of the gate's own. */

static bool put_placeholder(const struct hold *hold, size_t i, json_t *entries)
{
    const struct held_create *create = &hold->request.creates[i];
    json_t *copy = json_text_copy(create->object);
    bool done = copy &&
                json_object_set_new(copy, "domainId", json_string(IMPOSSIBLE_DOMAIN_ID)) == 0 &&
                json_object_set(entries, create->key, copy) == 0;
    json_decref(copy);
    return done;
}

void hold_bar(struct hold *hold)
{
    const struct jmap_request *request = &hold->request;

    if (!hold->caller.proof.root)
        return;
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        domain->barred = true;
        for (size_t c = domain->earliest; c < request->count; c = hold->verdicts[c].next) {
            hold->verdicts[c].barred = !passes(&hold->caller.proof, &request->creates[c]);
            domain->barred = domain->barred && hold->verdicts[c].barred;
        }
    }
}

/* What the server has said of the caller. */
enum proof {
    PROVEN,
    REFUSED,
    UNPROVEN, /* nothing that can be read */
};

static enum proof read_proof(struct hold *hold, unsigned status, const char *body, size_t len)
{
    struct jmap_answer *answer = &hold->caller.proof;
    bool answered = status == 200 && answer_parse(body, len, hold->sent, answer);
    bool refused = status == 401 || status == 403, proven = false;

    for (size_t i = 0; answered && i < hold->request.count; i++)
        proven = proven || passes(answer, &hold->request.creates[i]);
    if (proven || refused)
        note(hold, proven);
    return proven ? PROVEN : answered || refused ? REFUSED : UNPROVEN;
}

/* The phase. */

static enum phase_step ask(struct hold *hold)
{
    return hold_write_calls(hold, "create", put_placeholder) ? PHASE_SEND : PHASE_GIVE_UP;
}

/* A stranger's request goes first with nothing to make in it, where it can go twice. */
static enum phase_step begin_as_stranger(struct hold *hold)
{
    struct hold_caller *caller = &hold->caller;

    caller->rehearses = !caller->unauthorized && makes_only_renewals(hold);
    if (!caller->rehearses && !caller->unauthorized && hold->request.count > 0)
        return ask(hold);
    caller->unauthorized = true;
    return PHASE_NEXT;
}

/* Without memory nothing is known of an observed request, which goes on all the same. */
static enum phase_step begin_observing(struct hold *hold)
{
    if (hold->caller.known || !hold->context->settings->has_service_credential)
        return PHASE_NEXT;
    hold->caller.unasked = ask(hold) != PHASE_SEND;
    return hold->caller.unasked ? PHASE_NEXT : PHASE_SEND;
}

enum phase_step hold_begin_proof(struct hold *hold)
{
    if (hold->context->settings->observe)
        return begin_observing(hold);
    return hold->caller.known ? PHASE_NEXT : begin_as_stranger(hold);
}

/*
 * What the server has refused is cut only where a reference may mean a domain: the rest would be
 * refused as well, and so would that, but an error of the whole call comes first if it means none.
 */
enum phase_step hold_feed_proof(struct hold *hold, unsigned status, const char *body, size_t len)
{
    enum proof proof = read_proof(hold, status, body, len);

    free(hold->out);
    hold->out = NULL;
    hold->out_len = 0;
    if (hold->context->settings->observe) {
        hold->caller.unasked = proof == UNPROVEN;
        return PHASE_NEXT;
    }
    hold->caller.refused = proof == REFUSED;
    hold->caller.unauthorized = proof != PROVEN;
    return hold->continuation.uncut ? PHASE_ANEW : PHASE_NEXT;
}

void hold_describe_proof(const struct hold *hold, struct hold_request *request)
{
    (void)hold;
    request->is_lookup = true;
}
