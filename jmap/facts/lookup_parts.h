#ifndef RENEWGATE_JMAP_FACTS_LOOKUP_PARTS_H
#define RENEWGATE_JMAP_FACTS_LOOKUP_PARTS_H

/*
 * What the parts of a look-up share; nobody else includes it.
 *
 *     lookup.c          the stages, from the first request to the end, and the driver's side
 *     lookup_facts.c    the first stage: what is known of the domains by id, and what all need
 *     lookup_tasks.c    tasks: how they are asked for, and whose they are
 *     lookup_plain_tasks.c  those of them that need no tree: all others', and what only waits
 *     lookup_hints.c    remembered tasks that the server cannot read
 *     lookup_domains.c  domains: how they are managed, and the names of their certificates
 *     lookup_review.c   what it all says of refusals, failures and orders, and is remembered
 *
 * How certificates are searched for is jmap/facts/certificate_search.h.
 */

#include <jansson.h>

#include "jmap/facts/certificate_search.h"
#include "jmap/facts/listing.h"
#include "jmap/facts/lookup.h"
#include "jmap/wire/own_request.h"
#include "jmap/wire/task_text.h"

/*
 * Stages, each one request and its answer:
 *   facts         tasks, domains, providers, settings and, by id, the certificates known already;
 *                 for some of the domains at a time
 *   hints         remembered tasks in parts, where one of them fails the facts; then these again
 *   nodes         the server's own host name, once in the gate's life and only where it matters
 *   session       the same from the session's URLs, where the caller may not see the nodes
 *   more tasks    a page of the list, where one domain has several: there may be many twins
 *   certificates  a search, for the domains whose known certificate is not fresh
 *   DNS tasks     those that end with a renewal, where a domain seemed to be fresh and is not
 *   next tasks    those that are due about when the domains' next renewals are, for fresh ones of
 *                 which none was seen
 *   more tasks    the whole list, where a task may be made for a domain of which none was seen,
 *                 with the others' remembered on the way; then certificates again
 */
enum stage {
    STAGE_FACTS,
    STAGE_HINTS,
    STAGE_NODES,
    STAGE_SESSION,
    STAGE_CERTIFICATES,
    STAGE_DNS_TASKS,
    STAGE_NEXT_TASKS,
    STAGE_MORE_TASKS,
};

struct plain_task {
    struct task_text text;
    struct lookup_domain *domain; /* NULL: it is of none of the look-up's */
};

struct lookup {
    struct lookup_domain *domains;
    size_t count;
    struct task_memory *memory;
    wall_time now;
    uint64_t moment; /* the memory's, before anything was read */
    enum stage stage;
    enum lookup_state state;
    const char *error;
    struct own_request request;
    size_t requests;      /* that were answered */
    size_t a_call;        /* how many objects the server takes in one call */
    size_t first, last;   /* the domains of this request: [first, last) */
    size_t hints_checked; /* the remembered tasks of the domains before this one have been */
    json_t *doubts;       /* array of arrays of ids, one of which the server cannot read; or NULL */
    size_t task_position; /* how far the list of tasks has been read */
    bool twins_seen;      /* the beginning of the list has several tasks of one of the domains */
    bool all_tasks;       /* the list of tasks has been read to its end, or as far as it ever is */
    bool tasks_spared;    /* by the caller, and it is not read any further here */
    struct listing tasks; /* more of it, or all */
    json_t *responses;    /* array: owns all strings that were found, but for those of the search */
    json_t *seen_tasks;   /* object: the ids of the domains' tasks, since lists overlap */
    struct certificate *known_certificates; /* those that are remembered, as they were read */
    size_t known_count;
    json_t *hostnames;        /* array: the server's own names */
    struct plain_task *plain; /* of the last answer: tasks that were not parsed */
    size_t plain_count;
    size_t first_lists; /* of the facts: those before the remembered tasks */
    size_t plain_first; /* how many were set aside of these */
    bool needs_hostname;
    const char *only_provider;     /* the one that all domains have, by the last facts; or NULL */
    const json_t *hashed_provider; /* of the last domain that was read: its hash */
    uint64_t provider_hash;
    bool certificates_read; /* at least once */
    bool dns_tasks_read;
    bool next_sought; /* the next renewals of fresh domains were asked for */
    struct certificate_search search;
};

/* The functions that give a bool give false where memory runs out. */

/* lookup_facts.c */

/* Asks for those of the next domains, from the `first` on, and sets the `last`. */
void lookup_write_facts(struct lookup *lookup);
bool lookup_read_facts(struct lookup *lookup);

/*
 * One of the certificates that were known, where it needs no tree: see certificate_read_text(). And
 * all of them, once the names of all domains are.
 */
const char *lookup_set_certificate_aside(struct lookup *lookup, const char *element,
                                         const char *end);
bool lookup_add_known_certificates(struct lookup *lookup);

/* lookup_tasks.c */

/* So many objects, or as many as the server takes in one call. */
size_t lookup_at_most(const struct lookup *lookup, size_t objects);

/* The first ones of the list, by due time; and those that have failed. */
void lookup_append_first_tasks(struct lookup *lookup);
void lookup_append_failed_tasks(struct lookup *lookup);
void lookup_note_first_pages(struct lookup *lookup);

/* DnsManagement tasks that end with a renewal, and those that a get's answer has of them. */
void lookup_append_dns_tasks(struct lookup *lookup);
void lookup_read_dns_tasks(struct lookup *lookup, const char *call_id);

/*
 * Asks for the next renewals of those domains that `wanted` names, by when they should be due;
 * false where there is nothing to ask.
 */
bool lookup_append_next_tasks(struct lookup *lookup,
                              bool (*wanted)(const struct lookup_domain *domain));
bool lookup_add_next_tasks(struct lookup *lookup);

/* The whole list. */
extern const struct listing_kind lookup_renewal_tasks;

/* A Pending task, unless it is known already. */
bool lookup_add_waiting_task(struct lookup *lookup, struct lookup_domain *domain, const char *id,
                             wall_time due);

/* A get's answer, and one object of a list. Tasks of other domains in a list are remembered. */
bool lookup_add_tasks(struct lookup *lookup, const char *call_id);
bool lookup_add_listed_task(void *lookup, json_t *object);

size_t lookup_live_tasks(const struct lookup_domain *domain);

/* NULL where it is none of the look-up's. */
struct lookup_domain *lookup_domain_by_id(const struct lookup *lookup, const char *id);

/* lookup_plain_tasks.c */

/* One live task of a domain that is none of the look-up's, which is remembered. */
void lookup_note_other(const struct lookup *lookup, const char *domain_id, const char *task_id,
                       wall_time due);

/* An answer without those tasks, which are set aside: see json_list_pick(). */
char *lookup_set_plain_aside(struct lookup *lookup, const char *body, size_t len,
                             size_t *picked_len);

/* Of those that were set aside [first, last) become the domains', or are remembered. */
bool lookup_add_plain_tasks(struct lookup *lookup, size_t first, size_t last);

/* lookup_hints.c */

/* Whether the facts have failed by a remembered task, and these have not been looked over yet. */
bool lookup_doubts_hints(const struct lookup *lookup);

/* `over`: those that the server cannot read are forgotten. */
bool lookup_begin_hints(struct lookup *lookup);
void lookup_append_hints(struct lookup *lookup);
bool lookup_read_hints(struct lookup *lookup, bool *over);

/* lookup_domains.c */

/* The objects of a list by their ids, to find one among many; the caller's. NULL: no memory. */
json_t *lookup_index(const json_t *list);

/* `object` may be NULL; the providers are an index. */
void lookup_read_domain(struct lookup *lookup, struct lookup_domain *domain, const json_t *object,
                        const json_t *providers);

/* The names that the server knows itself by. */
bool lookup_read_settings(struct lookup *lookup, const json_t *settings);
bool lookup_read_other_hostnames(struct lookup *lookup, const json_t *settings);
bool lookup_add_hostname(struct lookup *lookup, const char *hostname);

/* What certificates of the domains have to be for, now that all this is known. */
bool lookup_name_domains(struct lookup *lookup);

/* lookup_review.c */

/* At the end, of a domain that can be renewed. */
bool lookup_review(const struct lookup *lookup, struct lookup_domain *domain);

#endif
