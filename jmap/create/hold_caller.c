#include "jmap/create/hold_parts.h"

#include <stdlib.h>
#include <string.h>

#include "policy/no_op_id.h"

/*
 * Whom the server lets create renewals. Its first answer that shows this makes a caller known; one
 * who is not yet leads flights tentatively only, and goes no further than requests that make
 * nothing.
 */

static const char proof_key[] = "k";

/* A create that gets as far as its domain where the caller may create, and then makes nothing. */
static json_t *proof_calls(const struct hold *hold)
{
    const json_t *call = json_array_get(hold->request.calls,
                                        hold->request.count ? hold->request.creates[0].call : 0);
    json_t *account = json_object_get(json_array_get(call, 1), "accountId");

    return json_pack("[[s, {s:O*, s:{s:{s:s, s:s}}}, s]]", "x:Task/set", "accountId", account,
                     "create", proof_key, "@type", "AcmeRenewal", "domainId", IMPOSSIBLE_DOMAIN_ID,
                     "0");
}

enum hold_step hold_prove(struct hold *hold)
{
    return hold_write_own(hold, proof_calls(hold)) ? hold_enter(hold, PHASE_PROOF, HOLD_SEND)
                                                   : hold_give_up(hold);
}

static void note(struct hold *hold, bool may_create)
{
    const struct hold_context *context = hold->context;

    hold->known = may_create;
    if (context->caller_noted)
        context->caller_noted(context->user, may_create);
}

bool hold_read_proof(struct hold *hold, unsigned status, const char *body, size_t len)
{
    struct jmap_answer answer = {.root = NULL};
    bool proven = status == 200 && answer_parse(body, len, hold->sent, &answer) &&
                  answer_is_masked(&answer, 0, proof_key);

    answer_clear(&answer);
    free(hold->out);
    hold->out = NULL;
    if (proven)
        note(hold, true);
    return proven;
}

void hold_note_caller(struct hold *hold, unsigned status)
{
    bool accepted = false, forbidden = status == 401 || status == 403;

    for (size_t i = 0; hold->has_answer && i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        const char *error = answer_error_type(&hold->answer, create->call, create->key);
        accepted = accepted || answer_created_id(&hold->answer, create->call, create->key) ||
                   answer_is_masked(&hold->answer, create->call, create->key);
        forbidden = forbidden || (error && strcmp(error, "forbidden") == 0);
    }
    if (accepted || forbidden)
        note(hold, accepted);
}

/* Whether this hold is to lead the domain's flight, or has waited for its turn in it. */
static bool leads(const struct domain *domain)
{
    return !hold_domain_is_reference(domain) && !domain->shared && !domain->alone;
}

bool hold_confirm_flights(struct hold *hold)
{
    bool all = true;

    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (leads(domain) && !flight_confirm(hold->context->flights, &domain->place)) {
            domain->alone = true;
            all = false;
        }
    }
    return all;
}

void hold_leave_flights(struct hold *hold)
{
    static const struct flight_result nothing = {.settled = false};

    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        hold_give_lease(hold, domain);
        flight_leave(hold->context->flights, &domain->place, &nothing);
    }
}

bool hold_asks_for_a_task(const struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        enum outcome outcome = hold->verdicts[i].decision.outcome;
        if ((outcome == OUTCOME_FORWARD || outcome == OUTCOME_SCHEDULE) &&
            hold->request.creates[i].domain[0] != '#')
            return true;
    }
    return false;
}
