#include "jmap/create/hold_late.h"

#include <stdlib.h>

#include "jmap/create/hold_verdict.h"

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
static bool begin_lookup(struct hold *hold, size_t count)
{
    hold->late.facts = calloc(count, sizeof *hold->late.facts);
    if (!hold->late.facts)
        return false;
    for (size_t i = 0, next = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (!is_late(hold, domain))
            continue;
        verdict_give_time(hold, domain);
        domain->facts = &hold->late.facts[next++];
        *domain->facts = hold_unknown(hold, domain);
    }
    hold->late.machine = lookup_create(hold->late.facts, count, hold->context->memory, hold->now);
    return hold->late.machine != NULL;
}

/* Nothing has been found out: what was known before is past. */
static void forget_facts(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            hold->domains[i].facts = NULL;
    }
}

static enum phase_step decide_all(struct hold *hold)
{
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            verdict_decide_late(hold, &hold->domains[i]);
    }
    return PHASE_NEXT;
}

/* That the gate has no memory must not cost an order. */
static enum phase_step leave_undecided(struct hold *hold)
{
    forget_facts(hold);
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (is_late(hold, &hold->domains[i]))
            hold->verdicts[hold->domains[i].first].state = VERDICT_UNAVAILABLE;
    }
    return PHASE_NEXT;
}

enum phase_step hold_begin_late(struct hold *hold)
{
    size_t count = count_late(hold);

    if (count == 0)
        return PHASE_NEXT;
    hold_note_time(hold);
    if (count > HOLD_DOMAINS_MAX) {
        forget_facts(hold);
        return decide_all(hold);
    }
    return begin_lookup(hold, count) ? PHASE_SEND : leave_undecided(hold);
}

enum phase_step hold_feed_late(struct hold *hold, unsigned status, const char *body, size_t len)
{
    switch (hold_feed_reading(hold, hold->late.machine, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return PHASE_SEND;
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

void hold_describe_late(const struct hold *hold, struct hold_request *request)
{
    hold_describe_reading(hold, hold->late.machine, request);
}

void hold_drop_late(struct hold *hold)
{
    lookup_destroy(hold->late.machine);
    free(hold->late.facts);
    hold->late = (struct hold_late){.machine = NULL};
}
