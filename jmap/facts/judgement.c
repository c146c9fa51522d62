#include "jmap/facts/judgement.h"

#include "jmap/facts/lookup.h"

struct held judgement_add(struct decision_facts *facts, const struct hold_settings *settings,
                          const struct lookup_domain *found)
{
    struct held_facts held_facts = lookup_held_facts(found, hold_limits(settings), facts->now);

    held_facts.forced = facts->forced;
    const struct held held = held_until(&held_facts);
    decision_add_domain(facts, found->renewable, found->renewal_due, held.until, held.by,
                        found->tasks, found->task_count,
                        found->follower.id ? &found->follower : NULL);
    return held;
}

void judgement_recall(struct decision_facts *facts, const struct hold_settings *settings,
                      struct task_memory *memory, const char *domain_id,
                      struct domain_memory *known)
{
    wall_time since = wall_time_add(facts->now, -settings->blind_interval_seconds);

    memory_recall(memory, domain_id, known);
    if (!wall_time_before(since, known->forwarded_at))
        known->forwarded_id[0] = '\0';
    facts->blind_id = known->forwarded_id[0] ? known->forwarded_id : NULL;
    facts->blind_unanswered = wall_time_before(since, known->unanswered_since);
}

/* When the decision has the server order; false where it does not. */
static bool orders_at(const struct decision *decision, const struct decision_facts *facts,
                      wall_time *at)
{
    if (!decision->orders)
        return false;
    *at = decision->outcome == OUTCOME_FORWARD ? wall_time_later(facts->asked, facts->now)
                                               : decision->due;
    return true;
}

struct decision judgement_decide(struct decision_facts *facts, const struct hold_settings *settings,
                                 struct task_memory *memory, const struct lookup_domain *found,
                                 bool *took, struct decision_trace *trace)
{
    const struct issue_limit limit = settings->account_limit;
    struct decision decision = decide_by_rows(facts, trace);
    wall_time at, paced;

    if (limit.burst == 0 || !orders_at(&decision, facts, &at))
        return decision;
    paced = took
                ? memory_take_time(memory, found->id, found->provider_id, limit, at, facts->now)
                : memory_foresee_time(memory, found->id, found->provider_id, limit, at, facts->now);
    if (took)
        *took = true;
    if (!wall_time_before(at, paced))
        return decision;
    facts->refused_until = paced;
    facts->held_by = HELD_BY_ACCOUNT;
    return decide_by_rows(facts, trace);
}
