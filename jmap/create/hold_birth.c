#include "jmap/create/hold_parts.h"

#include <string.h>

#include "policy/collapse.h"

static bool sets_domains(const struct hold *hold)
{
    size_t i;
    json_t *call;

    json_array_foreach(hold->request.calls, i, call)
    {
        if (request_call_sets_domains(call))
            return true;
    }
    return false;
}

bool hold_may_be_born(const struct hold *hold, const struct domain *domain)
{
    return !hold->lookup_error && domain->facts && !domain->facts->renewable && sets_domains(hold);
}

bool hold_begin_birth(struct hold *hold, const char *domain_id)
{
    lookup_destroy(hold->birth);
    hold->newborn = (struct lookup_domain){.id = domain_id, .asked = hold->now};
    hold->birth = lookup_create(&hold->newborn, 1, hold->context->memory, hold->now);
    return hold->birth != NULL;
}

bool hold_awaits_birth(const struct hold *hold, const struct domain *domain)
{
    if (!hold_may_be_born(hold, domain))
        return false;
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        if (strcmp(create->domain, domain->id) == 0 &&
            request_refers_to(&hold->request, create->call, create->key))
            return false;
    }
    return true;
}

/* That the gate has no memory must not cost an order. */
static void leave_undecided(struct hold *hold, const struct domain *domain)
{
    hold->verdicts[domain->first].state = VERDICT_UNAVAILABLE;
}

enum hold_step hold_send_births(struct hold *hold)
{
    for (; hold->next_birth < hold->domain_count; hold->next_birth++) {
        const struct domain *domain = &hold->domains[hold->next_birth];
        if (hold->verdicts[domain->first].state != VERDICT_RESEND ||
            !hold_may_be_born(hold, domain))
            continue;
        if (hold_begin_birth(hold, domain->id))
            return hold_enter(hold, PHASE_EXPECTED, HOLD_SEND);
        leave_undecided(hold, domain);
    }
    return hold_send_resends(hold);
}

/* The server has queued what was asked for by itself. */
static void answer_with(struct verdict *verdict, const struct renewal_task *task)
{
    strncpy(verdict->id, task->id, OBJECT_ID_SIZE - 1);
    verdict->state = VERDICT_ANSWERED;
    verdict->decision = (struct decision){.outcome = OUTCOME_EXISTING,
                                          .row = 2,
                                          .due = task->due,
                                          .why = "the server has queued one by itself"};
}

enum hold_step hold_feed_births(struct hold *hold, unsigned status, const char *body, size_t len)
{
    enum lookup_state state = lookup_feed(hold->birth, status, body, len);
    const struct lookup_domain *found = &hold->newborn;

    if (state == LOOKUP_SEND_API || state == LOOKUP_SEND_SESSION)
        return hold->step = HOLD_SEND;
    const struct renewal_task *task =
        state == LOOKUP_DONE && found->renewable
            ? collapse_stays(&(struct collapse_facts){.now = hold->now,
                                                      .renewal_due = WALL_TIME_NEVER,
                                                      .refused_until = WALL_TIME_NEVER,
                                                      .tasks = found->tasks,
                                                      .task_count = found->task_count})
            : NULL;
    if (task)
        answer_with(&hold->verdicts[hold->domains[hold->next_birth].first], task);
    if (state == LOOKUP_NO_MEMORY)
        leave_undecided(hold, &hold->domains[hold->next_birth]);
    hold->next_birth++;
    return hold_send_births(hold);
}
