#include "jmap/queue/explain.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/facts/judgement.h"
#include "jmap/facts/lookup.h"
#include "jmap/wire/own_request.h"
#include "policy/no_op_id.h"

struct explain {
    const struct explain_context *context;
    char *name;
    struct own_request request; /* that finds the domain */
    struct lookup *lookup;      /* once it is found */
    struct lookup_domain found;
    struct domain_memory known;
    struct explanation result;
    enum machine_step step;
    const char *error;
};

static wall_time explain_now(const struct explain *explain)
{
    return explain->context->now(explain->context->user);
}

static void explain_end(struct explain *explain, const char *error)
{
    explain->error = error;
    explain->step = MACHINE_DONE;
}

static void ask_for_domain(struct explain *explain)
{
    own_request_begin(&explain->request);
    own_request_add(&explain->request, "x:Domain/query",
                    json_pack("{s:{s:s}}", "filter", "name", explain->name), "q");
    if (!own_request_finish(&explain->request))
        explain_end(explain, "out of memory");
}

static void judge(struct explain *explain, const char *unread)
{
    const struct explain_context *context = explain->context;
    const struct hold_settings *settings = context->settings;
    struct explanation *result = &explain->result;
    wall_time time = explain_now(explain);

    result->unread = unread;
    result->facts =
        decision_begin(&settings->table, time, time, context->forced && settings->force_allowed);
    if (unread) {
        judgement_recall(&result->facts, settings, context->memory, result->id, &explain->known);
    } else {
        result->found = &explain->found;
        result->held = judgement_add(&result->facts, settings, result->found);
    }
    result->decision = judgement_decide(&result->facts, settings, context->memory, &explain->found,
                                        NULL, &result->trace);
    if (result->facts.held_by == HELD_BY_ACCOUNT)
        result->held.by_source[HELD_BY_ACCOUNT] = result->facts.refused_until;
    if (result->decision.outcome == OUTCOME_NO_OP)
        no_op_id(result->id, explain->found.certificate_id, result->answered);
    else if (result->decision.id)
        strncpy(result->answered, result->decision.id, OBJECT_ID_SIZE - 1);
    explain_end(explain, NULL);
}

static void start_lookup(struct explain *explain)
{
    explain->found = (struct lookup_domain){
        .id = explain->result.id,
        .asked = explain_now(explain),
        .with_dns_tasks = true,
        .stuck_after_seconds = explain->context->settings->table.stuck_after_seconds,
        .scheduled = explain->context->settings->table.not_due == NOT_DUE_SCHEDULE,
    };
    explain->lookup =
        lookup_create(&explain->found, 1, explain->context->memory, explain->found.asked);
    if (!explain->lookup)
        explain_end(explain, "out of memory");
}

static void feed_domain(struct explain *explain, unsigned status, const char *body, size_t len)
{
    bool forbidden = false;
    const char *error = own_request_read(&explain->request, status, body, len);
    const char *id;

    if (!error)
        error = own_request_fault(&explain->request, &forbidden);
    if (error) {
        explain_end(explain, status == 0 ? "the server did not answer" : error);
        return;
    }
    id = json_string_value(
        json_array_get(json_object_get(own_request_answer(&explain->request, "q"), "ids"), 0));
    if (!id || !object_id_parse(id, explain->result.id))
        explain_end(explain, "the server has no domain of that name");
    else
        start_lookup(explain);
}

static void explain_feed_lookup(struct explain *explain, unsigned status, const char *body,
                                size_t len)
{
    explain->found.asked = explain_now(explain);
    lookup_set_now(explain->lookup, explain->found.asked);
    switch (lookup_feed(explain->lookup, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        break;
    case LOOKUP_DONE:
        judge(explain, NULL);
        break;
    case LOOKUP_NO_MEMORY:
        explain_end(explain, "out of memory");
        break;
    case LOOKUP_FORBIDDEN:
    case LOOKUP_FAILED:
        judge(explain, status == 0 ? "the server did not answer" : lookup_error(explain->lookup));
        break;
    }
}

/* The driver's side. */

struct explain *explain_create(const struct explain_context *context)
{
    struct explain *explain = calloc(1, sizeof *explain);
    if (!explain)
        return NULL;

    explain->context = context;
    explain->name = strdup(context->name);
    if (!explain->name) {
        explain_destroy(explain);
        return NULL;
    }
    for (char *letter = explain->name; *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    explain->result.name = explain->name;
    ask_for_domain(explain);
    return explain;
}

void explain_destroy(struct explain *explain)
{
    if (!explain)
        return;
    lookup_destroy(explain->lookup);
    own_request_clear(&explain->request);
    free(explain->name);
    free(explain);
}

static enum machine_step explain_step(const void *self)
{
    return ((const struct explain *)self)->step;
}

static struct machine_order explain_order(const void *self)
{
    const struct explain *explain = self;
    struct machine_order order = {.body = explain->request.body, .len = explain->request.len};

    if (explain->lookup) {
        order.is_session = lookup_state(explain->lookup) == LOOKUP_SEND_SESSION;
        order.body = lookup_body(explain->lookup, &order.len);
    }
    return order;
}

static void explain_feed(void *self, unsigned status, const char *body, size_t len)
{
    struct explain *explain = self;

    if (explain->lookup)
        explain_feed_lookup(explain, status, body, len);
    else
        feed_domain(explain, status, body, len);
}

const struct machine explain_machine = {
    .step = explain_step, .order = explain_order, .feed = explain_feed};

const struct explanation *explain_result(const struct explain *explain)
{
    return explain->step == MACHINE_DONE && !explain->error ? &explain->result : NULL;
}

const char *explain_error(const struct explain *explain)
{
    return explain->error;
}
