#include "jmap/create/hold_main.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/create/hold_answer.h"
#include "jmap/create/hold_caller.h"
#include "jmap/create/hold_flights.h"
#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_record.h"
#include "jmap/create/hold_verdict.h"

static enum phase_step judge_all(struct hold *hold)
{
    hold_for_each_create(hold, verdict_judge);
    return PHASE_NEXT;
}

/* Whether the server has answered this very request already. */
static bool is_rehearsed(const struct hold *hold)
{
    return hold->out && hold->caller.rehearsal && strcmp(hold->out, hold->caller.rehearsal) == 0;
}

static enum phase_step take_rehearsal(struct hold *hold)
{
    hold->answer = hold->caller.proof;
    hold->caller.proof = (struct jmap_answer){.root = NULL};
    hold->has_answer = true;
    hold->status = 200;
    return judge_all(hold);
}

static enum phase_step send_main(struct hold *hold)
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
        return PHASE_GIVE_UP;
    return is_rehearsed(hold) ? take_rehearsal(hold) : PHASE_SEND;
}

static void decide_each(struct hold *hold, bool owned)
{
    hold_for_each_create(hold, verdict_decide);
    for (size_t i = 0; i < hold->request.count; i++) {
        if (!owned)
            verdict_refuse(hold, i);
        if (hold->caller.unauthorized ||
            hold_domain_of(hold, hold->request.creates[i].domain)->alone)
            verdict_keep_off(hold, i);
    }
}

/*
 * The server might read a create where this gate cannot: in strings that it passes over and does
 * not check, in numbers of any size. A text with anything before it is JSON to neither, and the
 * server says so as it says it to everybody.
 */
static enum phase_step send_unreadable(struct hold *hold)
{
    hold->out = malloc(hold->len + 1);
    if (!hold->out)
        return PHASE_GIVE_UP;
    hold->out[0] = '!';
    memcpy(hold->out + 1, hold->body, hold->len);
    hold->out_len = hold->len + 1;
    hold->changed = true;
    return PHASE_SEND;
}

/*
 * The request of a caller who may create nothing goes with nothing to make in it; should the server
 * take its creates after all, they are decided afterwards.
 */
enum phase_step hold_begin_main(struct hold *hold)
{
    if (hold->unreadable)
        return send_unreadable(hold);

    bool owned = hold_owns_domains(hold);
    if (!owned && hold_reacquire_leases(hold))
        return PHASE_AGAIN;
    decide_each(hold, owned);
    return hold->has_answer ? judge_all(hold) : send_main(hold);
}

/* The caller may create, and nothing has been made yet: now in earnest. */
static enum phase_step end_rehearsal(struct hold *hold)
{
    free(hold->caller.rehearsal);
    hold->caller.rehearsal = hold->out;
    hold->out = NULL;
    hold->caller.proof = hold->answer;
    hold->answer = (struct jmap_answer){.root = NULL};
    hold->has_answer = false;
    hold->status = 0;
    return PHASE_ANEW;
}

enum phase_step hold_feed_main(struct hold *hold, unsigned status, const char *body, size_t len)
{
    if (hold->changed && status == 400)
        hold_repeat_own_words(hold, body, len);
    hold->has_answer = status == 200 && answer_parse(body, len, hold->request.calls, &hold->answer);
    if ((hold->has_placeholders || hold->continuation.calls) && status == 200 && !hold->has_answer)
        hold->own_body = hold_no_answer;
    hold->status = status;
    hold_note_caller(hold, status);
    if (!hold->has_answer && hold->under_way && answer_is_lost(status))
        hold_lose_answer(hold);
    if (!hold->has_answer)
        return PHASE_NEXT;
    if (!hold->caller.unauthorized || !hold->caller.known || hold->caller.refused)
        return judge_all(hold);
    hold->caller.unauthorized = false;
    if (hold->caller.rehearses)
        return end_rehearsal(hold);
    hold_start_over(hold);
    return PHASE_AGAIN;
}

enum phase_step hold_overtake_main(struct hold *hold)
{
    bool written = true;

    for (size_t i = 0; written && i < hold->request.count; i++)
        written = !verdict_refuse(hold, i) || verdict_write(hold, i);
    free(hold->out);
    hold->out = written ? request_text(&hold->request, &hold->out_len) : NULL;
    return hold->out ? PHASE_SEND : PHASE_GIVE_UP;
}

void hold_describe_main(const struct hold *hold, struct hold_request *request)
{
    request->keep_headers = true;
    if (hold->out)
        return;
    request->body = hold->body;
    request->len = hold->len;
}

bool hold_main_makes(const struct hold *hold, size_t i)
{
    const struct verdict *verdict = &hold->verdicts[i];
    enum outcome outcome = verdict->decision.outcome;

    return !verdict->is_placeholder && (outcome == OUTCOME_FORWARD || outcome == OUTCOME_SCHEDULE);
}
