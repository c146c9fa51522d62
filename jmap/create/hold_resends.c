#include "jmap/create/hold_resends.h"

#include <stdio.h>

#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_own.h"
#include "jmap/create/hold_record.h"
#include "jmap/create/hold_verdict.h"
#include "jmap/wire/json_text.h"

static bool put_resend(const struct hold *hold, size_t i, json_t *creates)
{
    const struct held_create *create = &hold->request.creates[i];
    const struct verdict *verdict = &hold->verdicts[i];

    if (verdict->state != VERDICT_RESEND)
        return true;
    struct held_create again = {.object = create->of_dns_task
                                              ? json_pack("{s:s}", "@type", "AcmeRenewal")
                                              : json_text_copy(create->original)};
    bool has_due = verdict->decision.outcome == OUTCOME_SCHEDULE ||
                   (create->of_dns_task && !create->asked_now);
    wall_time due =
        verdict->decision.outcome == OUTCOME_SCHEDULE ? verdict->decision.due : create->asked;
    /* "#key" means nothing in a request of the gate's own. */
    bool done = again.object &&
                json_object_set_new(again.object, "domainId", json_string(create->domain)) == 0 &&
                (!has_due || request_set_due(&again, due)) &&
                json_object_set(creates, create->key, again.object) == 0;
    json_decref(again.object);
    return done;
}

bool hold_resends_make(const struct hold *hold, size_t i)
{
    return hold->verdicts[i].state == VERDICT_RESEND;
}

static void fail_resends(struct hold *hold)
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold->verdicts[i].state == VERDICT_RESEND)
            hold->verdicts[i].state = VERDICT_UNAVAILABLE;
    }
}

enum phase_step hold_begin_resends(struct hold *hold)
{
    if (!hold_wants_calls(hold, hold_resends_make))
        return PHASE_NEXT;
    if (hold_owns_domains(hold) && hold_write_calls(hold, "create", put_resend))
        return PHASE_SEND;
    fail_resends(hold);
    return PHASE_NEXT;
}

static void judge_resent(struct hold *hold, size_t i)
{
    const struct held_create *create = &hold->request.creates[i];
    struct verdict *verdict = &hold->verdicts[i];
    const char *id = answer_created_id(&hold->resent, create->call, create->key);

    verdict->is_placeholder = false;
    if (id) {
        snprintf(verdict->id, OBJECT_ID_SIZE, "%s", id);
        verdict->state = VERDICT_ANSWERED;
        return;
    }
    verdict_note_error(verdict, answer_error_type(&hold->resent, create->call, create->key));
    verdict->state = verdict->error[0] ? VERDICT_REJECTED : VERDICT_UNAVAILABLE;
}

enum phase_step hold_feed_resends(struct hold *hold, unsigned status, const char *body, size_t len)
{
    bool answered = status == 200 && answer_parse(body, len, hold->sent, &hold->resent);

    if (!answered && hold->under_way && answer_is_lost(status))
        hold_lose_answer(hold);
    if (!answered)
        fail_resends(hold);
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold_resends_make(hold, i))
            judge_resent(hold, i);
    }
    return PHASE_NEXT;
}
