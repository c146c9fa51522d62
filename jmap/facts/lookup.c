#include "jmap/facts/lookup_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "policy/collapse.h"
#include "policy/url.h"

enum {
    TASKS_BESIDE_TWINS = 500,
    MORE_TASKS = 200000,
    /* What a look-up takes is some forty, with a search for each eight domains at worst; a server
     * that lists few at a time, or finds hundreds for each name, takes more. */
    REQUESTS_MAX = 300,
    DOMAINS_A_REQUEST_MORE = 4, /* each so many domains allow one more */
};

static enum lookup_state lookup_fail(struct lookup *lookup, enum lookup_state state,
                                     const char *error)
{
    lookup->error = error;
    return lookup->state = state;
}

static enum lookup_state lookup_exhausted(struct lookup *lookup)
{
    return lookup_fail(lookup, LOOKUP_NO_MEMORY, "out of memory");
}

static bool lookup_is_fresh(const struct lookup_domain *domain)
{
    return wall_time_before(domain->asked, domain->renewal_due);
}

static enum lookup_state send_request(struct lookup *lookup)
{
    if (!own_request_finish(&lookup->request))
        return lookup_exhausted(lookup);
    return lookup->state = LOOKUP_SEND_API;
}

/* From stage to stage. */

static enum lookup_state send_facts(struct lookup *lookup)
{
    lookup_write_facts(lookup);
    return send_request(lookup);
}

/* None is there, and one that was known is gone: it may have run. */
static bool lost_task(const struct lookup_domain *domain)
{
    bool lost = false;

    if (lookup_live_tasks(domain) > 0)
        return false;
    for (size_t t = 0; t < MEMORY_TASKS; t++) {
        const char *id = domain->known.task_ids[t];
        bool found = !id[0];
        for (size_t i = 0; !found && i < domain->task_count; i++)
            found = strcmp(domain->tasks[i].id, id) == 0;
        lost |= !found;
    }
    return lost;
}

/*
 * Its tasks are not as they were, or should be, by the certificate that is known: a newer one may
 * have been stored since, and by that they may be.
 */
static bool is_doubtful(const struct lookup_domain *domain)
{
    if (!lookup_is_fresh(domain))
        return false;
    const struct collapse_plan plan =
        collapse_plan(&(struct collapse_facts){.now = domain->asked,
                                               .refused_until = WALL_TIME_NEVER,
                                               .renewal_due = domain->renewal_due,
                                               .expires = domain->newest_expiry,
                                               .not_before = WALL_TIME_NEVER,
                                               .upkeep = true,
                                               .tasks = domain->tasks,
                                               .task_count = domain->task_count},
                      NULL);
    return plan.changes > plan.makes || lost_task(domain);
}

static bool needs_search(const struct lookup_domain *domain)
{
    return domain->renewable && domain->names.count > 0 &&
           (domain->every_certificate || !lookup_is_fresh(domain) || is_doubtful(domain));
}

/*
 * Once more after the rest of the tasks: a renewal can have finished while these were read. Where a
 * task was seen before, that is what counts.
 */
static bool needs_search_again(const struct lookup_domain *domain)
{
    return domain->taskless && needs_search(domain);
}

static bool lacks_task(const struct lookup_domain *domain)
{
    return domain->renewable && (domain->scheduled || !lookup_is_fresh(domain)) &&
           lookup_live_tasks(domain) == 0;
}

static bool needs_more_tasks(const struct lookup *lookup)
{
    bool read = lookup->all_tasks || lookup->tasks_spared;

    for (size_t i = 0; !read && i < lookup->count; i++) {
        if (lacks_task(&lookup->domains[i]))
            return true;
    }
    return false;
}

/*
 * A fresh domain's next renewal may lie behind those that were read. When it is due is known, and
 * the server finds tasks by that. Once for each certificate: what is queued later on is seen when
 * it is made.
 */
static bool seeks_next(const struct lookup_domain *domain)
{
    return domain->renewable && lookup_is_fresh(domain) && lookup_live_tasks(domain) == 0 &&
           !wall_time_equal(domain->known.sought_due, domain->renewal_due);
}

static enum lookup_state lookup_end(struct lookup *lookup);

/* Whether one of its tasks runs by the time asked for, or has been tried. */
static bool is_under_way(const struct lookup_domain *domain)
{
    for (size_t i = 0; i < domain->task_count; i++) {
        const struct renewal_task *task = &domain->tasks[i];
        if (task->state == TASK_RETRY ||
            (task->state == TASK_PENDING && !wall_time_before(domain->asked, task->due)))
            return true;
    }
    return false;
}

/* It is due, and no task of its own is on its way. */
static bool lacks_dns_tasks(const struct lookup *lookup)
{
    for (size_t i = 0; !lookup->dns_tasks_read && i < lookup->count; i++) {
        const struct lookup_domain *domain = &lookup->domains[i];
        if (domain->with_dns_tasks && domain->renewable && !lookup_is_fresh(domain) &&
            !is_under_way(domain))
            return true;
    }
    return false;
}

/*
 * One that has ended by now has left its renewal among the tasks, which are read again behind it.
 */
static enum lookup_state send_dns_tasks(struct lookup *lookup)
{
    lookup->stage = STAGE_DNS_TASKS;
    lookup->dns_tasks_read = true;
    own_request_begin(&lookup->request);
    lookup_append_dns_tasks(lookup);
    lookup_append_first_tasks(lookup);
    return send_request(lookup);
}

static enum lookup_state feed_next_tasks(struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (seeks_next(&lookup->domains[i]))
            memory_note_sought(lookup->memory, lookup->domains[i].id,
                               lookup->domains[i].renewal_due);
    }
    return lookup_add_plain_tasks(lookup, 0, lookup->plain_count) && lookup_add_next_tasks(lookup)
               ? lookup_end(lookup)
               : lookup_exhausted(lookup);
}

static enum lookup_state send_next_tasks(struct lookup *lookup)
{
    own_request_begin(&lookup->request);
    if (!lookup_append_next_tasks(lookup, seeks_next))
        return lookup_end(lookup);
    lookup->stage = STAGE_NEXT_TASKS;
    return send_request(lookup);
}

static enum lookup_state end_or_seek_next(struct lookup *lookup)
{
    if (lookup->next_sought || lookup->all_tasks || lookup->tasks_spared)
        return lookup_end(lookup);
    lookup->next_sought = true;
    return send_next_tasks(lookup);
}

static enum lookup_state send_more_tasks(struct lookup *lookup)
{
    own_request_begin(&lookup->request);
    listing_write(&lookup->tasks, &lookup->request);
    return send_request(lookup);
}

static enum lookup_state list_more_tasks(struct lookup *lookup, size_t most)
{
    lookup->stage = STAGE_MORE_TASKS;
    certificate_search_forget_prefetched(&lookup->search);
    if (!listing_begin(&lookup->tasks, &lookup_renewal_tasks, lookup->task_position, most,
                       lookup->a_call))
        return lookup_exhausted(lookup);
    return send_more_tasks(lookup);
}

/* From its beginning: where tasks have gone from there since, those that follow have moved up. */
static enum lookup_state list_all_tasks(struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++)
        lookup->domains[i].taskless = lacks_task(&lookup->domains[i]);
    lookup->task_position = 0;
    return list_more_tasks(lookup, MORE_TASKS);
}

static enum lookup_state lookup_end(struct lookup *lookup)
{
    for (size_t i = 0; i < lookup->count; i++) {
        if (lookup->domains[i].renewable && !lookup_review(lookup, &lookup->domains[i]))
            return lookup_exhausted(lookup);
    }
    return lookup->state = LOOKUP_DONE;
}

static enum lookup_state next_certificates(struct lookup *lookup)
{
    own_request_begin(&lookup->request);
    if (!certificate_search_write(&lookup->search, &lookup->request))
        return lookup_exhausted(lookup);
    if (lookup->request.incomplete || own_request_count(&lookup->request) > 0)
        return send_request(lookup);

    if (needs_more_tasks(lookup))
        return list_all_tasks(lookup);
    return lacks_dns_tasks(lookup) ? send_dns_tasks(lookup) : end_or_seek_next(lookup);
}

static enum lookup_state feed_dns_tasks(struct lookup *lookup)
{
    lookup_read_dns_tasks(lookup, "M");
    return lookup_add_plain_tasks(lookup, 0, lookup->plain_count) &&
                   lookup_add_tasks(lookup, "T") && lookup_add_tasks(lookup, "L")
               ? end_or_seek_next(lookup)
               : lookup_exhausted(lookup);
}

static enum lookup_state search_certificates(struct lookup *lookup)
{
    bool again = lookup->certificates_read;

    lookup->stage = STAGE_CERTIFICATES;
    lookup->certificates_read = true;
    if (!certificate_search_begin(&lookup->search, lookup->domains, lookup->count,
                                  again ? needs_search_again : needs_search))
        return lookup_exhausted(lookup);
    return next_certificates(lookup);
}

/* Not from the session: its URLs are for clients and often lead to another name. */
static enum lookup_state send_nodes(struct lookup *lookup)
{
    lookup->stage = STAGE_NODES;
    own_request_begin(&lookup->request);
    own_request_add(&lookup->request, "x:ClusterNode/get",
                    json_pack("{s:n, s:[s, s]}", "ids", "properties", "hostname", "lastRenewal"),
                    "n");
    return send_request(lookup);
}

static enum lookup_state after_names(struct lookup *lookup)
{
    if (!lookup_name_domains(lookup) || !lookup_add_known_certificates(lookup))
        return lookup_exhausted(lookup);
    /* Twins are for a collapse to find. */
    if (lookup->twins_seen && !lookup->all_tasks)
        return list_more_tasks(lookup, TASKS_BESIDE_TWINS);
    return search_certificates(lookup);
}

static enum lookup_state feed_facts(struct lookup *lookup)
{
    if (!lookup_read_facts(lookup))
        return lookup_exhausted(lookup);
    if (lookup->last < lookup->count) {
        lookup->first = lookup->last;
        return send_facts(lookup);
    }
    certificate_search_read_prefetched(&lookup->search, &lookup->request);
    return lookup->needs_hostname ? send_nodes(lookup) : after_names(lookup);
}

static enum lookup_state use_hostname(struct lookup *lookup, const char *hostname)
{
    if (!lookup_add_hostname(lookup, hostname))
        return lookup_exhausted(lookup);
    return after_names(lookup);
}

/* Nodes that are no more stay listed under names of their own: the latest sign of life counts. */
static enum lookup_state feed_nodes(struct lookup *lookup)
{
    const char *hostname = NULL;
    wall_time latest = WALL_TIME_NEVER;
    size_t i;
    json_t *node;

    json_array_foreach(own_request_list(&lookup->request, "n"), i, node)
    {
        wall_time renewed = own_request_time(node, "lastRenewal", WALL_TIME_NEVER);
        if (!own_request_string(node, "hostname") ||
            (hostname && !wall_time_before(latest, renewed)))
            continue;
        hostname = own_request_string(node, "hostname");
        latest = renewed;
    }
    if (hostname) {
        memory_store_hostname(lookup->memory, hostname);
        return use_hostname(lookup, hostname);
    }
    lookup->stage = STAGE_SESSION;
    return lookup->state = LOOKUP_SEND_SESSION;
}

/* A guess, so not remembered. */
static enum lookup_state feed_session(struct lookup *lookup)
{
    const char *url = own_request_string(lookup->request.response, "apiUrl");
    const char *host = url ? url_authority(url) : NULL;
    char hostname[HOSTNAME_SIZE];

    if (!host)
        return lookup_fail(lookup, LOOKUP_FAILED, "the server's session names no address");
    snprintf(hostname, sizeof hostname, "%.*s", (int)url_host_len(host), host);
    return use_hostname(lookup, hostname);
}

static enum lookup_state feed_certificates(struct lookup *lookup)
{
    if (!certificate_search_read(&lookup->search, &lookup->request))
        return lookup_exhausted(lookup);
    return next_certificates(lookup);
}

/* Certificates come after tasks, always. */
static enum lookup_state end_more_tasks(struct lookup *lookup)
{
    size_t asked_for = lookup->task_position + TASKS_BESIDE_TWINS;

    lookup->all_tasks = lookup->certificates_read || lookup->tasks.position < asked_for;
    lookup->task_position = lookup->tasks.position;
    return search_certificates(lookup);
}

static enum lookup_state feed_more_tasks(struct lookup *lookup)
{
    if (!lookup_add_plain_tasks(lookup, 0, lookup->plain_count) ||
        !listing_read(&lookup->tasks, &lookup->request, lookup_add_listed_task, lookup))
        return lookup_exhausted(lookup);
    return listing_is_done(&lookup->tasks) || !needs_more_tasks(lookup) ? end_more_tasks(lookup)
                                                                        : send_more_tasks(lookup);
}

static enum lookup_state send_hints(struct lookup *lookup)
{
    own_request_begin(&lookup->request);
    lookup_append_hints(lookup);
    return send_request(lookup);
}

static enum lookup_state check_hints(struct lookup *lookup)
{
    certificate_search_forget_prefetched(&lookup->search);
    return lookup_begin_hints(lookup) ? send_hints(lookup) : lookup_exhausted(lookup);
}

static enum lookup_state feed_hints(struct lookup *lookup)
{
    bool over;

    if (!lookup_read_hints(lookup, &over))
        return lookup_exhausted(lookup);
    if (!over)
        return send_hints(lookup);
    lookup->stage = STAGE_FACTS;
    return send_facts(lookup);
}

/* What was asked with too many objects, with fewer. */
static enum lookup_state ask_again(struct lookup *lookup)
{
    switch (lookup->stage) {
    case STAGE_FACTS:
        certificate_search_forget_prefetched(&lookup->search);
        return send_facts(lookup);
    case STAGE_CERTIFICATES:
        return next_certificates(lookup);
    case STAGE_DNS_TASKS:
        return send_dns_tasks(lookup);
    case STAGE_NEXT_TASKS:
        return send_next_tasks(lookup);
    case STAGE_MORE_TASKS:
        return send_more_tasks(lookup);
    case STAGE_HINTS:
    case STAGE_NODES:
    case STAGE_SESSION:
        break;
    }
    return lookup->state;
}

static bool asks_too_much(struct lookup *lookup)
{
    bool asks_many = lookup->stage != STAGE_HINTS && lookup->stage != STAGE_NODES &&
                     lookup->stage != STAGE_SESSION;
    size_t objects;

    if (!asks_many || !own_request_is_too_large(&lookup->request))
        return false;
    objects = memory_note_too_many(lookup->memory, lookup->a_call);
    if (objects == 0)
        return false;
    lookup->a_call = lookup->tasks.a_call = objects;
    certificate_search_lower(&lookup->search, objects);
    return true;
}

/* Whether what was asked may be answered in part: the stage itself sees what is missing. */
static bool takes_refusals(const struct lookup *lookup)
{
    return lookup->stage == STAGE_HINTS || lookup->stage == STAGE_NODES ||
           lookup->stage == STAGE_SESSION ||
           (lookup->stage == STAGE_FACTS && lookup_doubts_hints(lookup));
}

static enum lookup_state feed_response(struct lookup *lookup)
{
    bool forbidden;

    if (asks_too_much(lookup))
        return ask_again(lookup);
    const char *fault =
        takes_refusals(lookup) ? NULL : own_request_fault(&lookup->request, &forbidden);

    if (fault)
        return lookup_fail(lookup, forbidden ? LOOKUP_FORBIDDEN : LOOKUP_FAILED, fault);
    switch (lookup->stage) {
    case STAGE_FACTS:
        return lookup_doubts_hints(lookup) ? check_hints(lookup) : feed_facts(lookup);
    case STAGE_HINTS:
        return feed_hints(lookup);
    case STAGE_NODES:
        return feed_nodes(lookup);
    case STAGE_SESSION:
        return feed_session(lookup);
    case STAGE_CERTIFICATES:
        return feed_certificates(lookup);
    case STAGE_DNS_TASKS:
        return feed_dns_tasks(lookup);
    case STAGE_NEXT_TASKS:
        return feed_next_tasks(lookup);
    case STAGE_MORE_TASKS:
        return feed_more_tasks(lookup);
    }
    return lookup->state;
}

static bool is_over(const struct lookup *lookup)
{
    return lookup->state != LOOKUP_SEND_API && lookup->state != LOOKUP_SEND_SESSION;
}

static size_t most_requests(const struct lookup *lookup)
{
    return REQUESTS_MAX + lookup->count / DOMAINS_A_REQUEST_MORE;
}

/* Where all that is listed is certificates, or is asked for by id, none is another's task. */
static bool lists_tasks(const struct lookup *lookup)
{
    return lookup->stage == STAGE_FACTS || lookup->stage == STAGE_DNS_TASKS ||
           lookup->stage == STAGE_NEXT_TASKS || lookup->stage == STAGE_MORE_TASKS;
}

/* What is left of an answer to be parsed, once what needs no tree is set aside; NULL: all of it. */
static char *set_aside(struct lookup *lookup, const char *body, size_t len, size_t *left_len)
{
    if (lists_tasks(lookup))
        return lookup_set_plain_aside(lookup, body, len, left_len);
    return lookup->stage == STAGE_CERTIFICATES
               ? certificate_search_set_aside(&lookup->search, body, len, left_len)
               : NULL;
}

enum lookup_state lookup_feed(struct lookup *lookup, unsigned status, const char *body, size_t len)
{
    bool no_memory;
    size_t picked_len = 0;
    char *picked = status == 200 ? set_aside(lookup, body, len, &picked_len) : NULL;
    const char *error = own_request_read_resource(&lookup->request, status, picked ? picked : body,
                                                  picked ? picked_len : len, &no_memory);

    free(picked);
    if (error)
        return lookup_fail(lookup, no_memory ? LOOKUP_NO_MEMORY : LOOKUP_FAILED, error);
    /* Of long lists only what is needed is kept. */
    if (lookup->stage != STAGE_CERTIFICATES && lookup->stage != STAGE_MORE_TASKS &&
        json_array_append(lookup->responses, lookup->request.response) != 0)
        return lookup_exhausted(lookup);
    feed_response(lookup);
    lookup->requests++;
    if (!is_over(lookup) && lookup->requests >= most_requests(lookup))
        return lookup_fail(lookup, LOOKUP_FAILED, "the server lists too few at a time");
    return lookup->state;
}

struct lookup *lookup_create(struct lookup_domain *domains, size_t count,
                             struct task_memory *memory, wall_time now)
{
    struct lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;

    *lookup = (struct lookup){
        .domains = domains,
        .count = count,
        .memory = memory,
        .now = now,
        .moment = memory_moment(memory),
        .responses = json_array(),
        .seen_tasks = json_object(),
        .provider_hash = json_text_hash(NULL),
        .hostnames = json_array(),
        .a_call = memory_objects_a_call(memory),
        .search = {.memory = memory, .stored = CERTIFICATES_UNCOUNTED},
    };
    certificate_search_lower(&lookup->search, lookup->a_call);
    for (size_t i = 0; i < count; i++) {
        domains[i].renewal_due = WALL_TIME_NEVER;
        domains[i].kept = setback_kept(&(struct setback){0});
        memory_recall(memory, domains[i].id, &domains[i].known);
    }
    if (!lookup->responses || !lookup->seen_tasks || !lookup->hostnames ||
        send_facts(lookup) != LOOKUP_SEND_API) {
        lookup_destroy(lookup);
        return NULL;
    }
    return lookup;
}

void lookup_spare_tasks(struct lookup *lookup)
{
    lookup->tasks_spared = true;
}

void lookup_set_now(struct lookup *lookup, wall_time now)
{
    lookup->now = now;
}

void lookup_destroy(struct lookup *lookup)
{
    if (!lookup)
        return;
    for (size_t i = 0; i < lookup->count; i++) {
        struct lookup_domain *domain = &lookup->domains[i];
        san_set_clear(&domain->names);
        free(domain->tasks);
        free(domain->issued);
        free(domain->stored);
        json_decref(domain->noted);
        *domain = (struct lookup_domain){.id = domain->id,
                                         .asked = domain->asked,
                                         .scheduled = domain->scheduled,
                                         .with_dns_tasks = domain->with_dns_tasks,
                                         .stuck_after_seconds = domain->stuck_after_seconds,
                                         .every_certificate = domain->every_certificate};
    }
    certificate_search_end(&lookup->search);
    listing_clear(&lookup->tasks);
    own_request_clear(&lookup->request);
    free(lookup->plain);
    json_decref(lookup->hostnames);
    while (lookup->known_count > 0)
        certificate_clear(&lookup->known_certificates[--lookup->known_count]);
    free(lookup->known_certificates);
    json_decref(lookup->doubts);
    json_decref(lookup->seen_tasks);
    json_decref(lookup->responses);
    free(lookup);
}

enum lookup_state lookup_state(const struct lookup *lookup)
{
    return lookup->state;
}

const char *lookup_body(const struct lookup *lookup, size_t *len)
{
    *len = lookup->request.len;
    return lookup->request.body;
}

const char *lookup_error(const struct lookup *lookup)
{
    return lookup->error ? lookup->error : "";
}
