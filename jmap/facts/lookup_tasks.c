#include "jmap/facts/lookup_parts.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/array.h"

enum {
    DUE_TASKS = 100,
    LATER_TASKS = 10,
    FAILED_TASKS = 100,
    DNS_TASKS = 500,
    NEXT_TASKS = 500,
    NEXT_CALLS = 7, /* two each, of the 16 that a request may have */
};

size_t lookup_at_most(const struct lookup *lookup, size_t objects)
{
    return objects < lookup->a_call ? objects : lookup->a_call;
}

/* Reading. */

static int lookup_domain_compare(const void *id, const void *domain)
{
    return strcmp(id, ((const struct lookup_domain *)domain)->id);
}

struct lookup_domain *lookup_domain_by_id(const struct lookup *lookup, const char *id)
{
    return id ? bsearch(id, lookup->domains, lookup->count, sizeof *lookup->domains,
                        lookup_domain_compare)
              : NULL;
}

/* When this gate first saw the CA refuse that task without naming a time. */
static wall_time first_seen(struct lookup_domain *domain, const struct renewal_task *task,
                            wall_time now)
{
    if (task->state != TASK_RETRY || refusal_parse(task->failure_reason).kind != REFUSAL_SOME_TIME)
        return now;
    if (strcmp(domain->known.refused_id, task->id) == 0)
        return domain->known.refused_seen;
    strncpy(domain->known.refused_id, task->id, OBJECT_ID_SIZE - 1);
    domain->known.refused_seen = now;
    return now;
}

static bool add_task_to(struct lookup_domain *domain, struct renewal_task task, wall_time now)
{
    struct renewal_task *tasks = array_grow(domain->tasks, domain->task_count, sizeof *tasks);

    if (!tasks)
        return false;
    domain->tasks = tasks;
    task.seen = first_seen(domain, &task, now);
    domain->tasks[domain->task_count++] = task;
    return true;
}

/*
 * Of tasks in a long list those of other domains are remembered; `object` owns the others' strings.
 */
static bool add_task(struct lookup *lookup, json_t *object)
{
    struct renewal_task task;
    const char *domain_id;

    if (!own_request_task(object, lookup->now, &task, &domain_id))
        return true;

    struct lookup_domain *domain = lookup_domain_by_id(lookup, domain_id);
    if (!domain) {
        if (task.state != TASK_FAILED)
            lookup_note_other(lookup, domain_id, task.id, task.due);
        return true;
    }
    if (json_object_get(lookup->seen_tasks, task.id))
        return true;
    return json_object_set_new(lookup->seen_tasks, task.id, json_true()) == 0 &&
           add_task_to(domain, task, lookup->now) &&
           json_array_append(lookup->responses, object) == 0;
}

bool lookup_add_waiting_task(struct lookup *lookup, struct lookup_domain *domain, const char *id,
                             wall_time due)
{
    if (json_object_get(lookup->seen_tasks, id))
        return true;
    if (json_object_set_new(lookup->seen_tasks, id, json_true()) != 0)
        return false;

    const char *kept = json_object_iter_key(json_object_iter_at(lookup->seen_tasks, id));
    return add_task_to(domain, renewal_task_waiting(kept, due, lookup->now), lookup->now);
}

bool lookup_add_listed_task(void *lookup, json_t *object)
{
    return add_task(lookup, object);
}

bool lookup_add_tasks(struct lookup *lookup, const char *call_id)
{
    size_t i;
    json_t *object;

    json_array_foreach(own_request_list(&lookup->request, call_id), i, object)
    {
        if (!add_task(lookup, object))
            return false;
    }
    return true;
}

size_t lookup_live_tasks(const struct lookup_domain *domain)
{
    size_t live = 0;

    for (size_t i = 0; i < domain->task_count; i++)
        live += domain->tasks[i].state != TASK_FAILED;
    return live;
}

/* How many tasks a query has listed, and whether there are more. */
static size_t listed(const struct lookup *lookup, const char *call_id, size_t asked, bool *more)
{
    const json_t *answer = own_request_answer(&lookup->request, call_id);

    *more = own_request_goes_on(answer, lookup_at_most(lookup, asked));
    return json_array_size(json_object_get(answer, "ids"));
}

/* Together they are the beginning of the list, unless there are more that are due. */
void lookup_note_first_pages(struct lookup *lookup)
{
    bool more_due, more_later;
    size_t due = listed(lookup, "t", DUE_TASKS, &more_due);
    size_t later = listed(lookup, "l", LATER_TASKS, &more_later);

    lookup->task_position = more_due ? due : due + later;
    lookup->all_tasks = !more_due && !more_later;
    for (size_t i = 0; i < lookup->count; i++)
        lookup->twins_seen |= lookup_live_tasks(&lookup->domains[i]) > 1;
}

/* Writing. */

/* By due time; Failed ones have none and come last. */
static json_t *tasks_by_due(json_t *filter, size_t position, size_t limit)
{
    return json_pack("{s:o, s:[{s:s, s:b}], s:I, s:I}", "filter", filter, "sort", "property", "due",
                     "isAscending", 1, "position", (json_int_t)position, "limit",
                     (json_int_t)limit);
}

static void append_tasks(struct lookup *lookup, json_t *filter, size_t position, size_t limit,
                         const char *query_id, const char *call_id)
{
    own_request_add(&lookup->request, "x:Task/query",
                    tasks_by_due(filter, position, lookup_at_most(lookup, limit)), query_id);
    own_request_add_found(&lookup->request, "x:Task/get", "x:Task/query", query_id, NULL, call_id);
}

/*
 * What is due, running ones included, and a few of those that follow. In a small queue that is all
 * of it; in a large one what follows is mostly other domains' next renewals.
 */
void lookup_append_first_tasks(struct lookup *lookup)
{
    char now[WALL_TIME_TEXT_SIZE];

    wall_time_format(lookup->now, now);
    append_tasks(lookup,
                 json_pack("{s:s, s:s}", "@type", "AcmeRenewal", "dueIsLessThanOrEqual", now), 0,
                 DUE_TASKS, "t", "T");
    append_tasks(lookup, json_pack("{s:s, s:s}", "@type", "AcmeRenewal", "dueIsGreaterThan", now),
                 0, LATER_TASKS, "l", "L");
}

void lookup_append_failed_tasks(struct lookup *lookup)
{
    own_request_add(&lookup->request, "x:Task/query",
                    json_pack("{s:{s:s, s:s}, s:i}", "filter", "@type", "AcmeRenewal", "status",
                              "Failed", "limit", (int)lookup_at_most(lookup, FAILED_TASKS)),
                    "f");
    own_request_add_found(&lookup->request, "x:Task/get", "x:Task/query", "f", NULL, "F");
}

void lookup_append_dns_tasks(struct lookup *lookup)
{
    append_tasks(lookup, json_pack("{s:s}", "@type", "DnsManagement"), 0, DNS_TASKS, "m", "M");
}

/*
 * Which of two DNS tasks renews first: one that is stuck does not, and one that is retried was to
 * have done so already.
 */
static bool renews_sooner(const struct renewal_task *a, const struct renewal_task *b, wall_time now,
                          int64_t stuck_after_seconds)
{
    bool stuck = renewal_task_stuck(a, now, stuck_after_seconds);

    if (stuck != renewal_task_stuck(b, now, stuck_after_seconds))
        return !stuck;
    if ((a->state == TASK_RETRY) != (b->state == TASK_RETRY))
        return a->state == TASK_RETRY;
    return renewal_task_sooner(a, b);
}

void lookup_read_dns_tasks(struct lookup *lookup, const char *call_id)
{
    struct renewal_task task;
    const char *domain_id;
    size_t i;
    json_t *object;

    json_array_foreach(own_request_list(&lookup->request, call_id), i, object)
    {
        if (!own_request_dns_task(object, lookup->now, &task, &domain_id) ||
            task.state == TASK_FAILED)
            continue;
        struct lookup_domain *domain = lookup_domain_by_id(lookup, domain_id);
        if (domain && (!domain->follower.id || renews_sooner(&task, &domain->follower, lookup->now,
                                                             domain->stuck_after_seconds)))
            domain->follower = task;
    }
}

/*
 * When a domain's next renewal should be due: R, or on v0.16.5, which counts what is left of the
 * certificate's life from the end of the order, a part later of what the CA has dated it back. CAs
 * date back by an hour, and the part is a half at most.
 */
struct span {
    wall_time from, to;
};

static struct span span_of(const struct lookup_domain *domain)
{
    return (struct span){.from = wall_time_add(domain->renewal_due, -60),
                         .to = wall_time_add(domain->renewal_due, 3600 / 2 + 60)};
}

static int by_time(const void *a, const void *b)
{
    const struct span *x = a, *y = b;

    return wall_time_before(y->from, x->from) - wall_time_before(x->from, y->from);
}

/* Spans that meet become one. How many are left. */
static size_t merge(struct span *spans, size_t count)
{
    size_t kept = 0;

    qsort(spans, count, sizeof *spans, by_time);
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && !wall_time_before(spans[kept - 1].to, spans[i].from))
            spans[kept - 1].to = wall_time_later(spans[kept - 1].to, spans[i].to);
        else
            spans[kept++] = spans[i];
    }
    return kept;
}

static void append_span(struct lookup *lookup, const struct span *span, size_t position, size_t n)
{
    char from[WALL_TIME_TEXT_SIZE], to[WALL_TIME_TEXT_SIZE];
    const char query_id[] = {'w', (char)('0' + n), '\0'}, get_id[] = {'W', (char)('0' + n), '\0'};

    wall_time_format(span->from, from);
    wall_time_format(wall_time_earlier(span->to, WALL_TIME_LAST_WRITABLE), to);
    append_tasks(lookup,
                 json_pack("{s:s, s:s, s:s}", "@type", "AcmeRenewal", "dueIsGreaterThanOrEqual",
                           from, "dueIsLessThanOrEqual", to),
                 position, NEXT_TASKS, query_id, get_id);
}

bool lookup_append_next_tasks(struct lookup *lookup,
                              bool (*wanted)(const struct lookup_domain *domain))
{
    struct span *spans = calloc(lookup->count + 1, sizeof *spans);
    size_t count = 0, a_part = lookup_at_most(lookup, NEXT_TASKS);

    for (size_t i = 0; spans && i < lookup->count; i++) {
        if (wanted(&lookup->domains[i]))
            spans[count++] = span_of(&lookup->domains[i]);
    }
    count = spans ? merge(spans, count) : 0;
    /* Where the server gives fewer at a time, further parts of each. */
    for (size_t n = 0, position = 0; count > 0 && position < NEXT_TASKS; position += a_part) {
        for (size_t i = 0; i < count && n < NEXT_CALLS; i++)
            append_span(lookup, &spans[i], position, n++);
    }
    free(spans);
    return count > 0;
}

bool lookup_add_next_tasks(struct lookup *lookup)
{
    for (size_t n = 0; n < NEXT_CALLS; n++) {
        const char get_id[] = {'W', (char)('0' + n), '\0'};
        if (!lookup_add_tasks(lookup, get_id))
            return false;
    }
    return true;
}

static json_t *task_arguments(size_t position, size_t limit)
{
    return tasks_by_due(json_pack("{s:s}", "@type", "AcmeRenewal"), position, limit);
}

const struct listing_kind lookup_renewal_tasks = {
    .query = "x:Task/query",
    .get = "x:Task/get",
    .arguments = task_arguments,
};
