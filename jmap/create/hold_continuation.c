#include "jmap/create/hold_continuation.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/hold_collapse.h"
#include "jmap/create/hold_history.h"
#include "jmap/create/hold_late.h"
#include "jmap/create/hold_lookup.h"
#include "jmap/wire/json_text.h"
#include "jmap/wire/result_reference.h"

/* As many calls as a request may have by the server's default: each part is read anew. */
#define CUTS_MAX 16

/* Cutting. */

static enum batch_cut cut_of(const struct hold *hold)
{
    if (hold->context->settings->observe)
        return BATCH_UNCUT;
    return hold->caller.refused ? BATCH_CUT_AT_REFERENCES : BATCH_CUT;
}

bool hold_cut(struct hold *hold)
{
    hold->continuation.uncut = false;
    if (!batch_read(&hold->request, cut_of(hold), &hold->batch))
        return false;
    if (hold->batch.cut == json_array_size(hold->request.calls))
        return true;
    hold->continuation.uncut = !hold->caller.known && !hold->caller.unauthorized;
    if (hold->continuation.uncut)
        return true;
    if (!hold_list_history(hold))
        return false;
    hold->changed = true;
    hold->continuation.calls = request_cut(&hold->request, hold->batch.cut);
    return hold->continuation.calls != NULL;
}

/* Sending. */

static size_t calls_before(const struct hold *hold)
{
    return json_array_size(hold->request.calls) - json_array_size(hold->continuation.calls);
}

static json_t *responses_of(const json_t *root)
{
    return json_object_get(root, "methodResponses");
}

/* What "#key" means by now, for all keys; NULL when memory ran out. */
static json_t *created_ids(const struct hold *hold)
{
    json_t *ids = json_object_get(hold->request.root, "createdIds");

    ids = json_is_object(ids) ? json_text_copy(ids) : json_object();
    if (ids &&
        (!hold->continuation.meanings || json_object_update(ids, hold->continuation.meanings) == 0))
        return ids;
    json_decref(ids);
    return NULL;
}

/*
 * The calls that wait, in their places: the server's limits hold for them as for the client's. What
 * they refer to makes them no longer than a client's request may be.
 */
static json_t *calls_left(const struct hold *hold)
{
    size_t most = hold->context->settings->max_request, i;
    size_t room = most > hold->len ? most - hold->len : 0;
    json_t *calls = json_array(), *call;
    bool done = calls != NULL;

    for (i = 0; done && i < calls_before(hold); i++)
        done = json_array_append_new(
                   calls, request_empty_call(json_array_get(hold->request.calls, i))) == 0;
    json_array_foreach(hold->continuation.calls, i, call)
    {
        result_references_resolve(json_array_get(call, 1), responses_of(hold->answer.root), &room);
        done = done && json_array_append(calls, call) == 0;
    }
    if (done)
        return calls;
    json_decref(calls);
    return NULL;
}

static bool write(struct hold *hold)
{
    json_t *using = json_object_get(hold->request.root, "using");
    json_t *calls = calls_left(hold), *ids = created_ids(hold);
    json_t *request = calls && ids ? json_pack("{s:O*, s:O, s:O}", "using", using, "methodCalls",
                                               calls, "createdIds", ids)
                                   : NULL;

    free(hold->out);
    hold->out = request ? json_text_write(request, JSON_COMPACT) : NULL;
    hold->out_len = hold->out ? strlen(hold->out) : 0;
    json_decref(request);
    json_decref(ids);
    json_decref(calls);
    return hold->out != NULL;
}

/* Of a part that is not the first only what it has told itself is joined. */
static void shed_created_ids(struct hold *hold)
{
    const json_t *sent = json_object_get(hold->request.root, "createdIds");
    json_t *own = hold->continuation.cuts > 0 ? json_object() : NULL, *id;
    bool done = own != NULL;
    const char *key;

    json_object_foreach((json_t *)answer_created_ids(&hold->answer), key, id)
    {
        if (done && !json_equal(json_object_get(sent, key), id))
            done = json_object_set(own, key, id) == 0;
    }
    if (done)
        answer_drop_created_ids(&hold->answer);
    json_object_foreach(own, key, id)
    {
        done = done && answer_set_created_id(&hold->answer, key, id);
    }
    json_decref(own);
    json_decref(hold->continuation.meanings);
    hold->continuation.meanings = NULL;
}

/*
 * Lets go of what only this part has needed, before the next one is read: a request may have many
 * parts, and each is as long as all that follow.
 */
static void shed(struct hold *hold)
{
    hold_drop_lookup(hold);
    hold_drop_history(hold);
    hold_drop_late(hold);
    hold_drop_collapse(hold);
    for (size_t i = 0; i < hold->domain_count; i++)
        hold->domains[i].facts = NULL;
    answer_clear(&hold->resent);
    json_decref(hold->sent);
    hold->sent = NULL;
    free(hold->text);
    hold->text = NULL;
    shed_created_ids(hold);
    request_shed(&hold->request);
    request_empty_calls(hold->continuation.calls);
}

/* Joining. */

/* What of the call was done is not known (RFC 8620, section 3.6.2). */
static json_t *unknown_response(const json_t *call)
{
    return json_pack("[s, {s:s, s:s}, O]", "error", "type", "serverPartialFail", "description",
                     "The gateway could not complete the request; look at what was done.",
                     json_array_get(call, 2));
}

/* NULL for the answer: there is none that could be read. */
static bool join_responses(struct hold *hold, const json_t *answer)
{
    json_t *joined = responses_of(hold->answer.root), *call;
    size_t rest = json_array_size(hold->continuation.calls), skipped = calls_before(hold), i;
    bool done = json_array_size(joined) >= rest;

    for (i = 0; done && i < rest; i++)
        done = json_array_remove(joined, json_array_size(joined) - 1) == 0;
    for (i = skipped; done && i < json_array_size(responses_of(answer)); i++)
        done = json_array_append(joined, json_array_get(responses_of(answer), i)) == 0;
    json_array_foreach(hold->continuation.calls, i, call)
    {
        done = done && (answer || json_array_append_new(joined, unknown_response(call)) == 0);
    }
    return done;
}

static bool join_created_ids(struct hold *hold, const json_t *answer)
{
    const char *key;
    json_t *id;
    bool done = true;

    if (!hold->request.wants_created_ids)
        return true;
    json_object_foreach(json_object_get(answer, "createdIds"), key, id)
    {
        done = done && answer_set_created_id(&hold->answer, key, id);
    }
    return done;
}

static bool join_state(struct hold *hold, const json_t *answer)
{
    json_t *state = json_object_get(answer, "sessionState");

    return !state || json_object_set(hold->answer.root, "sessionState", state) == 0;
}

enum phase_step hold_join_continuation(struct hold *hold, const json_t *answer)
{
    bool done =
        join_responses(hold, answer) && join_created_ids(hold, answer) && join_state(hold, answer);

    free(hold->text);
    hold->text = done ? answer_text(&hold->answer, &hold->text_len) : NULL;
    return hold->text ? PHASE_NEXT : PHASE_GIVE_UP;
}

/* The phase. */

enum phase_step hold_begin_continuation(struct hold *hold)
{
    struct hold_continuation *continuation = &hold->continuation;

    if (!continuation->calls || !hold->text || !hold->has_answer)
        return PHASE_NEXT;
    if (continuation->cuts == CUTS_MAX || !write(hold))
        return hold_join_continuation(hold, NULL);
    shed(hold);
    continuation->is_written = true;
    return PHASE_PART;
}

enum phase_step hold_feed_continuation(struct hold *hold, unsigned status, const char *body,
                                       size_t len)
{
    struct jmap_answer answer = {.root = NULL};

    if (status == 200)
        answer_parse(body, len, hold->request.calls, &answer);
    enum phase_step step = hold_join_continuation(hold, answer.root);
    answer_clear(&answer);
    return step;
}
