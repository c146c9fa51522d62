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

/* A create among those of its domain. */
struct ranked {
    const char *domain;
    wall_time asked;
    bool of_dns_task;
    size_t i;
};

/* The earliest asked for comes first; of one time, a renewal before a DNS task that may end with
 * it, in the order of the request. */
static int rank_order(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    int order = strcmp(x->domain, y->domain);

    if (order == 0)
        order = wall_time_before(y->asked, x->asked) - wall_time_before(x->asked, y->asked);
    if (order == 0)
        order = x->of_dns_task - y->of_dns_task;
    return order != 0 ? order : (x->i > y->i) - (x->i < y->i);
}

static void list_domains(struct hold *hold, struct ranked *ranked)
{
    const struct jmap_request *request = &hold->request;

    for (size_t i = 0; i < request->count; i++) {
        const struct held_create *create = &request->creates[i];
        ranked[i] =
            (struct ranked){create->domain, hold_asked_time(hold, create), create->of_dns_task, i};
    }
    qsort(ranked, request->count, sizeof *ranked, rank_order);
    for (size_t i = 0; i < request->count; i++) {
        bool known = i > 0 && strcmp(ranked[i].domain, ranked[i - 1].domain) == 0;
        hold->verdicts[ranked[i].i].next = request->count;
        if (known)
            hold->verdicts[ranked[i - 1].i].next = ranked[i].i;
        else
            hold->domains[hold->domain_count++] = (struct domain){.hold = hold,
                                                                  .id = ranked[i].domain,
                                                                  .earliest = ranked[i].i,
                                                                  .first = ranked[i].i,
                                                                  .refused_until = WALL_TIME_NEVER};
    }
}

bool hold_list_domains(struct hold *hold)
{
    struct ranked *ranked = calloc(hold->request.count + 1, sizeof *ranked);

    hold->now = hold->context->now(hold->context->user);
    hold->domain_count = 0;
    hold->domains = calloc(hold->request.count + 1, sizeof *hold->domains);
    if (ranked && hold->domains)
        list_domains(hold, ranked);
    free(ranked);
    if (!ranked || !hold->domains)
        return false;
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
        .stuck_after_seconds = hold->context->settings->table.stuck_after_seconds,
        .scheduled = hold->context->settings->table.not_due == NOT_DUE_SCHEDULE,
        .every_certificate = hold->batch.sets_certificates,
    };
}

void hold_describe_reading(const struct hold *hold, const struct lookup *machine,
                           struct hold_request *request)
{
    request->credential = hold->credential;
    request->is_lookup = true;
    request->is_session = lookup_state(machine) == LOOKUP_SEND_SESSION;
    request->body = lookup_body(machine, &request->len);
}

enum lookup_state hold_feed_reading(struct hold *hold, struct lookup *machine, unsigned status,
                                    const char *body, size_t len)
{
    hold_note_time(hold);
    lookup_set_now(machine, hold->now);
    return lookup_feed(machine, status, body, len);
}

bool hold_read_as_service(struct hold *hold)
{
    if (hold->credential != HOLD_AS_CALLER || !hold->caller.known ||
        !hold->context->settings->has_service_credential)
        return false;
    hold->credential = HOLD_AS_SERVICE;
    return true;
}

void hold_for_each_create(struct hold *hold, void (*verb)(struct hold *hold, size_t i))
{
    for (size_t i = 0; i < hold->request.count; i++) {
        if (hold_domain_of(hold, hold->request.creates[i].domain)->earliest != i)
            continue;
        for (size_t c = i; c < hold->request.count; c = hold->verdicts[c].next)
            verb(hold, c);
    }
}
