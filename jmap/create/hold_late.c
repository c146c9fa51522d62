#include "jmap/create/hold_parts.h"

#include <stdlib.h>

static bool is_late(const struct hold *hold, const struct domain *domain)
{
    return hold->verdicts[domain->first].state == VERDICT_LATE;
}

static size_t count_late(const struct hold *hold)
{
    size_t count = 0;

    for (size_t i = 0; i < hold->domain_count; i++)
        count += is_late(hold, &hold->domains[i]);
    return count;
}

/* False when memory ran out. */
static bool begin(struct hold *hold, size_t count)
{
    hold->late_facts = calloc(count, sizeof *hold->late_facts);
    if (!hold->late_facts)
        return false;
    for (size_t i = 0, next = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (!is_late(hold, domain))
            continue;
        domain->facts = &hold->late_facts[next++];
        *domain->facts = hold_unknown(hold, domain);
    }
    hold->late = lookup_create(hold->late_facts, count, hold->context->memory, hold->now);
    return hold->late != NULL;
}

/* Nothing has been found out: what was known before is past. */
static void forget_facts(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            hold->domains[i].facts = NULL;
    }
}

static enum hold_step decide_all(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            verdict_decide_late(hold, &hold->domains[i]);
    }
    return hold_send_moves(hold);
}

/* That the gate has no memory must not cost an order. */
static enum hold_step leave_undecided(struct hold *hold)
{
    forget_facts(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            hold->verdicts[hold->domains[i].first].state = VERDICT_UNAVAILABLE;
    }
    return hold_send_moves(hold);
}

enum hold_step hold_send_late(struct hold *hold)
{
    size_t count = count_late(hold);

    if (count == 0)
        return hold_send_moves(hold);
    hold_note_time(hold);
    if (count > HOLD_DOMAINS_MAX) {
        forget_facts(hold);
        return decide_all(hold);
    }
    return begin(hold, count) ? hold_enter(hold, PHASE_LATE, HOLD_SEND) : leave_undecided(hold);
}

enum hold_step hold_feed_late(struct hold *hold, unsigned status, const char *body, size_t len)
{
    hold_note_time(hold);
    lookup_set_now(hold->late, hold->now);

    switch (lookup_feed(hold->late, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return hold->step = HOLD_SEND;
    case LOOKUP_DONE:
        return decide_all(hold);
    case LOOKUP_NO_MEMORY:
        return leave_undecided(hold);
    case LOOKUP_FORBIDDEN:
    case LOOKUP_FAILED:
        break;
    }
    forget_facts(hold);
    return decide_all(hold);
}
