#ifndef RENEWGATE_PROXY_ADMIN_STATUS_H
#define RENEWGATE_PROXY_ADMIN_STATUS_H

/*
 * What an operator may look at: the decisions of the last day, and what the gate last saw of its
 * domains. All of it is known here; the server is not asked. The same is shown as a page
 * (proxy/admin/status_page.h) and as JSON (proxy/admin/status_json.h). Its size is bounded whatever
 * the number of domains.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/domain_snapshot.h"
#include "proxy/relay/gate.h"
#include "proxy/telemetry/advice.h"
#include "proxy/telemetry/history.h"

#define STATUS_PAGE 50    /* domains at one time */
#define STATUS_EXCERPT 10 /* of those under a hold, and of the queue */

/* What is to be shown of the domains. */
struct status_query {
    char domain[DOMAIN_SNAPSHOT_NAME_SIZE]; /* a part of their names, in any case; "" for all */
    size_t page;                            /* from 1 on */
    bool refresh;                           /* the page loads itself anew */
};

struct status_domain {
    struct domain_snapshot snapshot; /* its texts are these */
    struct domain_snapshot_texts texts;
};

struct status_list {
    struct status_domain *domains;
    size_t count;
    size_t total; /* how many there are in all */
};

struct status {
    const struct gate *gate;
    struct status_query query;
    wall_time now;
    bool credential_rests;        /* the server refuses the gate's own */
    unsigned credential_refusals; /* in a row, with credential_rests */
    wall_time credential_refused; /* since then, with credential_rests; else WALL_TIME_NEVER */
    wall_time credential_tried;   /* once more from then on; the same */
    struct history_view history;
    size_t standings[STANDINGS]; /* how many domains stand so */
    size_t domain_count;
    size_t task_count;            /* live tasks that were last seen */
    struct status_list held;      /* those that nothing is asked for yet, the first to end first */
    size_t held_by[HELD_SOURCES]; /* how many, by what holds them */
    struct status_list acted_on;  /* for which a person has something to do, worst first */
    struct status_list queue;     /* those with a task, the next due first */
    struct status_list matching;  /* those of the page, worst first */
    size_t pages;                 /* at least 1 */
    bool names_one;               /* the query's domain is a whole name, or none that is known */
    json_t *explanation;          /* of that one, owned; NULL where it was not asked for */
};

/* NULL when memory runs out. */
struct status *status_read(const struct gate *gate, const struct status_query *query);

/* The command that has the gate's own credential tried at once: after it was mended. */
#define STATUS_RETRY_SIZE 32
void status_credential_retry(char command[static STATUS_RETRY_SIZE]);

/* What a person does next about a domain, by what was last seen of it. */
struct advice status_advice(const struct status *status, const struct domain_snapshot *snapshot);

/* NULL is allowed. */
void status_free(struct status *status);

#endif
