#include "jmap/create/hold_state.h"

#include <stdlib.h>
#include <string.h>

bool hold_is_forced(const struct hold *hold)
{
    return hold->context->forced && hold->context->settings->force_allowed;
}

static int domain_order(const void *a, const void *b)
{
    return strcmp(((const struct domain *)a)->id, ((const struct domain *)b)->id);
}

wall_time hold_asked_time(const struct hold *hold, const struct held_create *create)
{
    return create->asked_now ? hold->now : wall_time_later(create->asked, hold->now);
}

struct domain *hold_domain_of(const struct hold *hold, const char *id)
{
    return bsearch(&(struct domain){.id = id}, hold->domains, hold->domain_count,
                   sizeof *hold->domains, domain_order);
}

/* A force counts as asked for after any certificate is due, so that all tasks are read. */
static wall_time lookup_asked(const struct hold *hold, const struct domain *domain)
{
    return hold_is_forced(hold) ? WALL_TIME_FOREVER : domain->asked;
}

/* Creates that name no time, or one in the past, ask for a renewal now; and now has moved on. */
void hold_note_time(struct hold *hold)
{
    hold->now = hold->context->now(hold->context->user);
    for (size_t i = 0; i < hold->domain_count; i++)
        hold->domains[i].asked = WALL_TIME_NEVER;
    for (size_t i = 0; i < hold->request.count; i++) {
        const struct held_create *create = &hold->request.creates[i];
        struct domain *domain = hold_domain_of(hold, create->domain);
        domain->asked = wall_time_later(domain->asked, hold_asked_time(hold, create));
    }
    for (size_t i = 0; i < hold->domain_count; i++) {
        if (hold->domains[i].facts)
            hold->domains[i].facts->asked = lookup_asked(hold, &hold->domains[i]);
    }
}

/* Puts its creates of the one kind before those that it has already. */
static void list_creates(struct hold *hold, bool of_dns_task)
{
    for (size_t i = hold->request.count; i-- > 0;) {
        const struct held_create *create = &hold->request.creates[i];
        struct domain *domain = hold_domain_of(hold, create->domain);
        if (create->of_dns_task != of_dns_task)
            continue;
        hold->verdicts[i].next = domain->first;
        domain->first = i;
    }
}

bool hold_list_domains(struct hold *hold)
{
    const struct jmap_request *request = &hold->request;
    size_t count = request->count, kept = 0;

    hold->domains = calloc(count + 1, sizeof *hold->domains);
    if (!hold->domains)
        return false;
    for (size_t i = 0; i < count; i++)
        hold->domains[i] = (struct domain){.hold = hold,
                                           .id = request->creates[i].domain,
                                           .first = count,
                                           .refused_until = WALL_TIME_NEVER,
                                           .taken = WALL_TIME_NEVER};
    qsort(hold->domains, count, sizeof *hold->domains, domain_order);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || strcmp(hold->domains[kept - 1].id, hold->domains[i].id) != 0)
            hold->domains[kept++] = hold->domains[i];
    }
    hold->domain_count = kept;
    list_creates(hold, true);
    list_creates(hold, false);
    hold_note_time(hold);
    return true;
}

bool hold_domain_is_reference(const struct domain *domain)
{
    return domain->id[0] == '#';
}

bool hold_removes(const struct hold *hold, const char *task_id)
{
    return batch_removes(&hold->batch, task_id);
}

struct lookup_domain hold_unknown(const struct hold *hold, const struct domain *domain)
{
    return (struct lookup_domain){
        .id = domain->id,
        .asked = lookup_asked(hold, domain),
        .with_dns_tasks = true,
        .scheduled = hold->context->settings->not_due == NOT_DUE_SCHEDULE,
    };
}

void hold_for_each_create(struct hold *hold, void (*verb)(struct hold *hold, size_t i))
{
    for (unsigned of_dns_task = 0; of_dns_task <= 1; of_dns_task++) {
        for (size_t i = 0; i < hold->request.count; i++) {
            if (hold->request.creates[i].of_dns_task == of_dns_task)
                verb(hold, i);
        }
    }
}
