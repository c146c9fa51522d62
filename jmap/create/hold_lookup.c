#include "jmap/create/hold_lookup.h"

#include <stdlib.h>

#include "jmap/create/hold_caller.h"

static bool list_facts(struct hold *hold)
{
    hold->lookup.count = 0;
    if (!hold->lookup.facts)
        hold->lookup.facts = calloc(hold->domain_count, sizeof *hold->lookup.facts);
    if (!hold->lookup.facts)
        return false;
    for (size_t i = 0; i < hold->domain_count; i++) {
        struct domain *domain = &hold->domains[i];
        if (hold_domain_is_reference(domain) || domain->shared || domain->barred)
            continue;
        domain->refused_until = WALL_TIME_NEVER;
        domain->failure = NULL;
        domain->facts = &hold->lookup.facts[hold->lookup.count++];
        *domain->facts = hold_unknown(hold, domain);
    }
    return true;
}

/* Not row 9, which forwards: that the gate has no memory must not cost an order. */
static enum phase_step end_exhausted(struct hold *hold)
{
    hold->lookup_error = "out of memory";
    return hold->context->settings->observe ? PHASE_NEXT : PHASE_GIVE_UP;
}

static enum phase_step end(struct hold *hold, const char *error)
{
    hold->lookup_error = error;
    return PHASE_NEXT;
}

static enum phase_step look_up(struct hold *hold)
{
    lookup_destroy(hold->lookup.machine);
    hold->lookup.machine = NULL;
    if (!list_facts(hold))
        return end_exhausted(hold);
    if (hold->lookup.count == 0)
        return end(hold, NULL);
    if (hold->lookup.count > HOLD_DOMAINS_MAX)
        return end(hold, "more domains than a request can have creates for");
    hold->lookup.machine =
        lookup_create(hold->lookup.facts, hold->lookup.count, hold->context->memory, hold->now);
    if (!hold->lookup.machine)
        return end_exhausted(hold);
    return PHASE_SEND;
}

enum phase_step hold_feed_lookup(struct hold *hold, unsigned status, const char *body, size_t len)
{
    switch (hold_feed_reading(hold, hold->lookup.machine, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return PHASE_SEND;
    case LOOKUP_DONE:
        return end(hold, NULL);
    case LOOKUP_FORBIDDEN:
        if (!hold_read_as_service(hold))
            break;
        hold_bar(hold);
        return look_up(hold);
    case LOOKUP_NO_MEMORY:
        return end_exhausted(hold);
    case LOOKUP_FAILED:
        break;
    }
    return end(hold, lookup_error(hold->lookup.machine));
}

enum phase_step hold_begin_lookup(struct hold *hold)
{
    if (hold->caller.unasked)
        return end(hold, "whether the caller may create could not be asked");
    return hold->caller.unauthorized ? PHASE_NEXT : look_up(hold);
}

enum phase_step hold_fail_lookup(struct hold *hold, const char *why)
{
    return end(hold, why);
}

void hold_describe_lookup(const struct hold *hold, struct hold_request *request)
{
    hold_describe_reading(hold, hold->lookup.machine, request);
}

void hold_drop_lookup(struct hold *hold)
{
    lookup_destroy(hold->lookup.machine);
    free(hold->lookup.facts);
    hold->lookup = (struct hold_lookup){.machine = NULL};
}
