#include "jmap/create/hold_answer.h"

#include <string.h>

#include "jmap/wire/problem.h"
#include "policy/no_op_id.h"

#define PROBLEM(detail)                                                                            \
    "{\"type\":\"about:blank\",\"status\":503,\"title\":\"Service "                                \
    "Unavailable\",\"detail\":\"" detail "\"}"

const char hold_no_memory[] = PROBLEM("The gateway is out of memory.");
const char hold_no_answer[] = PROBLEM("The server's answer could not be read.");

static json_t *unavailable(void)
{
    return json_pack("{s:s, s:s}", "type", "serverUnavailable", "description",
                     "Whether the renewal is due could not be looked up; try again later.");
}

/* What the server said when the domain's first create was sent again. */
static json_t *resent_error(const struct hold *hold, const struct held_create *create)
{
    size_t first = hold_domain_of(hold, create->domain)->first;
    const struct held_create *resent = &hold->request.creates[first];
    json_t *set = hold->resent.sets ? hold->resent.sets[resent->call] : NULL;
    json_t *error = json_object_get(json_object_get(set, "notCreated"), resent->key);

    return error ? json_incref(error) : unavailable();
}

/* Whoever asks for the domain that cannot exist is told so by the server. */
static bool is_asked_for(const struct held_create *create)
{
    return strcmp(create->domain, IMPOSSIBLE_DOMAIN_ID) == 0;
}

static bool write_answer_of(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct verdict *verdict = &hold->verdicts[i];
    struct jmap_answer *answer = &hold->answer;
    bool was_placeholder =
        !is_asked_for(create) && answer_is_placeholder(answer, create->call, create->key);
    bool done = true;

    if (create->of_dns_task)
        return true;
    if (was_placeholder && verdict->state == VERDICT_ANSWERED)
        done = answer_set_created(answer, create->call, create->key, verdict->id);
    else if (was_placeholder)
        done = answer_set_error(answer, create->call, create->key,
                                verdict->state == VERDICT_REJECTED ? resent_error(hold, create)
                                                                   : unavailable());
    return done;
}

/* The server's createdIds lack what is answered in its place. */
static bool write_created_ids(struct hold *hold)
{
    json_t *made = answer_made(&hold->answer);
    bool done = made != NULL;

    for (size_t i = 0; done && i < hold->request.count; i++) {
        const char *key = hold->request.creates[i].key;
        json_t *id = json_object_get(made, key);
        done = !id || answer_set_created_id(&hold->answer, key, id);
    }
    json_decref(made);
    return done;
}

void hold_write_answer(struct hold *hold)
{
    bool done = true;

    for (size_t i = 0; done && i < hold->request.count; i++)
        done = write_answer_of(hold, i);
    if (hold->request.wants_created_ids || hold->continuation.calls)
        done = done && write_created_ids(hold);
    if (hold->continuation.calls)
        hold->continuation.meanings = json_incref((json_t *)answer_created_ids(&hold->answer));
    if (!hold->request.wants_created_ids)
        answer_drop_created_ids(&hold->answer);
    if (done)
        hold->text = answer_text(&hold->answer, &hold->text_len);
    if (!hold->text)
        hold->own_body = hold_no_memory;
}

void hold_repeat_own_words(struct hold *hold, const char *body, size_t len)
{
    bool no_memory;

    hold->text = problem_repeat(body, len, hold->body, hold->len, &no_memory);
    hold->text_len = hold->text ? strlen(hold->text) : 0;
    if (no_memory)
        hold->own_body = hold_no_memory;
}
