#include "jmap/create/hold_moves.h"

#include <stdio.h>
#include <string.h>

#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_own.h"
#include "jmap/wire/own_request.h"

static bool awaits_move(const struct verdict *verdict)
{
    return verdict->decision.outcome == OUTCOME_MOVE && verdict->state == VERDICT_ANSWERED;
}

bool hold_moves_make(const struct hold *hold, size_t i)
{
    const struct verdict *verdict = &hold->verdicts[i];

    return hold->request.creates[i].of_dns_task && verdict->state == VERDICT_RESEND &&
           verdict->decision.outcome == OUTCOME_FORWARD;
}

static const char *dns_task_of(const struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];

    return answer_created_id(&hold->answer, create->call, create->key);
}

/*
 * The server answers any update, but writes only a task whose status is another by it
 * (crates/jmap/src/registry/mapping/task.rs of v0.16.5 and v0.16.19): so the task becomes due
 * before it was made to be, and stays on its way where it was. Of one that is due at once the time
 * is the server's; no answer takes as long as that.
 */
#define FOLLOW_EARLIER_SECONDS 600

static bool put_follow(const struct hold *hold, size_t i, json_t *updates)
{
    wall_time asked = hold_asked_time(hold, &hold->request.creates[i]);
    int64_t earlier = wall_time_before(hold->now, asked) ? 1 : FOLLOW_EARLIER_SECONDS;
    char due[WALL_TIME_TEXT_SIZE];

    wall_time_format(wall_time_add(asked, -earlier), due);
    return json_object_set_new(
               updates, dns_task_of(hold, i),
               json_pack("{s:b, s:s}", "onSuccessRenewCertificate", 1, "status/due", due)) == 0;
}

static bool put_update(const struct hold *hold, size_t i, json_t *updates)
{
    const struct verdict *verdict = &hold->verdicts[i];
    char due[WALL_TIME_TEXT_SIZE];

    if (hold_moves_make(hold, i))
        return put_follow(hold, i, updates);
    if (!awaits_move(verdict))
        return true;
    wall_time_format(verdict->decision.due, due);
    return json_object_set_new(updates, verdict->id, json_pack("{s:s}", "status/due", due)) == 0;
}

static bool awaits_update(const struct hold *hold, size_t i)
{
    return awaits_move(&hold->verdicts[i]) || hold_moves_make(hold, i);
}

enum phase_step hold_begin_moves(struct hold *hold)
{
    if (!hold_wants_calls(hold, awaits_update))
        return PHASE_NEXT;
    if (!hold_owns_domains(hold) || !hold_write_calls(hold, "update", put_update))
        return hold_feed_moves(hold, 0, NULL, 0);
    return PHASE_SEND;
}

static void judge_move(struct hold *hold, size_t i, const json_t *set)
{
    struct verdict *verdict = &hold->verdicts[i];
    const json_t *refusal = json_object_get(json_object_get(set, "notUpdated"), verdict->id);
    const char *type = json_string_value(json_object_get(refusal, "type"));

    /* One that is running is due already, and the answer. */
    if (json_object_get(json_object_get(set, "updated"), verdict->id) ||
        own_request_is_running(refusal))
        return;
    verdict->id[0] = '\0';
    if (type && strcmp(type, "notFound") == 0) {
        /* It ran or was destroyed since it was read; whether a renewal is due must be read anew. */
        verdict->state = VERDICT_UNAVAILABLE;
        return;
    }
    verdict->state = VERDICT_RESEND;
    verdict->decision.why = "the task could not be moved";
    if (verdict->decision.held) {
        /* The CA would still refuse it before then. */
        verdict->decision.outcome = OUTCOME_SCHEDULE;
        return;
    }
    verdict->decision.outcome = OUTCOME_FORWARD;
    verdict->decision.due = WALL_TIME_NEVER;
}

/* A DNS task that runs already, or has run, is not followed any more: the renewal is made alone. */
static void judge_follow(struct hold *hold, size_t i, const json_t *set)
{
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = dns_task_of(hold, i);

    if (!json_object_get(json_object_get(set, "updated"), id))
        return;
    snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
    verdict->state = VERDICT_ANSWERED;
    verdict->is_placeholder = false;
    verdict->followed = true;
}

/* Without an answer the task may have been moved or not: forwarding could make it two. */
enum phase_step hold_feed_moves(struct hold *hold, unsigned status, const char *body, size_t len)
{
    struct jmap_answer moved = {.root = NULL};
    bool answered = status == 200 && answer_parse(body, len, hold->sent, &moved);

    for (size_t i = 0; i < hold->request.count; i++) {
        struct verdict *verdict = &hold->verdicts[i];
        bool follows = hold_moves_make(hold, i);
        if (!follows && !awaits_move(verdict))
            continue;
        const json_t *set = answered ? moved.sets[hold->request.creates[i].call] : NULL;
        if (answered && follows)
            judge_follow(hold, i, set);
        else if (answered)
            judge_move(hold, i, set);
        else
            verdict->state = hold->under_way ? VERDICT_UNKNOWN : VERDICT_UNAVAILABLE;
    }
    answer_clear(&moved);
    return PHASE_NEXT;
}
