#include "jmap/create/hold_parts.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "policy/no_op_id.h"

/*
 * Asking. One call for each of the client's, so that its limits hold here too. A create that names
 * a domain of its own batch is not looked up, and left out.
 */

static bool put_masked(json_t *entries, const struct held_create *create)
{
    if (create->domain[0] == '#')
        return true;
    json_t *copy = json_text_copy(create->object);
    bool done = copy &&
                json_object_set_new(copy, "domainId", json_string(IMPOSSIBLE_DOMAIN_ID)) == 0 &&
                json_object_set(entries, create->key, copy) == 0;
    json_decref(copy);
    return done;
}

static json_t *probe_call(const json_t *call, json_t *creates)
{
    json_t *account = json_object_get(json_array_get(call, 1), "accountId");

    return json_object_size(creates) > 0
               ? json_pack("[s, {s:O*, s:O}, O]", "x:Task/set", "accountId", account, "create",
                           creates, json_array_get(call, 2))
               : request_empty_call(call);
}

static json_t *probe_calls(const struct hold *hold)
{
    const struct jmap_request *request = &hold->request;
    json_t *calls = json_array(), *call;
    bool done = calls != NULL;
    size_t i = 0, c;

    json_array_foreach(request->calls, c, call)
    {
        json_t *creates = json_object();
        done = done && creates;
        for (; done && i < request->count && request->creates[i].call == c; i++)
            done = put_masked(creates, &request->creates[i]);
        done = done && json_array_append_new(calls, probe_call(call, creates)) == 0;
        json_decref(creates);
    }
    if (done)
        return calls;
    json_decref(calls);
    return NULL;
}

enum hold_step hold_send_probe(struct hold *hold)
{
    return hold_write_own(hold, probe_calls(hold)) ? hold_enter(hold, PHASE_PROBE, HOLD_SEND)
                                                   : hold_lookup_exhausted(hold);
}

/* The answer. */

/* From the last create to the first, so that a domain's first is one that may be made. */
static void bar_creates(struct hold *hold, const struct jmap_answer *answer)
{
    const struct jmap_request *request = &hold->request;

    for (size_t i = 0; i < hold->domain_count; i++)
        hold->domains[i].barred = true;
    for (size_t i = request->count; i-- > 0;) {
        const struct held_create *create = &request->creates[i];
        struct domain *domain = hold_domain_of(hold, create->domain);
        hold->verdicts[i].barred = !hold_domain_is_reference(domain) &&
                                   !answer_is_masked(answer, create->call, create->key);
        if (hold->verdicts[i].barred)
            continue;
        domain->barred = false;
        domain->first = i;
    }
}

enum hold_step hold_feed_probe(struct hold *hold, unsigned status, const char *body, size_t len)
{
    struct jmap_answer answer = {.root = NULL};

    free(hold->out);
    hold->out = NULL;
    hold->out_len = 0;
    if (status != 200)
        return hold_lookup_ended(hold, "whether the caller may create could not be asked");
    if (!answer_parse(body, len, hold->sent, &answer))
        return hold_lookup_exhausted(hold);
    bar_creates(hold, &answer);
    answer_clear(&answer);
    hold->credential = HOLD_AS_SERVICE;
    return hold_start_lookup(hold);
}
