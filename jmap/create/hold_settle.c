#include "jmap/create/hold_settle.h"

#include <string.h>

#include "jmap/create/hold_answer.h"
#include "jmap/create/hold_leases.h"
#include "jmap/create/hold_record.h"
#include "jmap/create/hold_verdict.h"

void hold_release(struct hold *hold, struct domain *domain)
{
    verdict_settle_time(hold, domain);

    const struct held_create *create = &hold->request.creates[domain->first];
    const struct verdict *verdict = &hold->verdicts[domain->first];
    struct flight_result result = {
        .unknown = verdict_is_unknown(hold, domain),
        .settled = verdict->state == VERDICT_ANSWERED && verdict->id[0],
        .no_op = verdict->decision.outcome == OUTCOME_NO_OP,
        .row = verdict->decision.row,
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

enum phase_step hold_begin_settling(struct hold *hold)
{
    verdict_settle_twins(hold);
    if (hold->has_answer && (hold->has_placeholders || hold->continuation.calls))
        hold_write_answer(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (!hold_domain_is_reference(domain) && !hold->context->settings->observe)
            hold_remember(hold, domain);
        if (!hold_domain_is_reference(domain))
            hold_note_snapshot(hold, domain);
        hold_release(hold, domain);
    }
    for (size_t i = 0; i < hold->request.count; i++)
        hold_report_verdict(hold, i);
    return PHASE_NEXT;
}
