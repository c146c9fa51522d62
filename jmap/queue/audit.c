#include "jmap/queue/audit.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/facts/inventory.h"
#include "jmap/queue/outlook.h"
#include "jmap/queue/pace.h"

enum {
    TEXTS_A_REQUEST = 40, /* some five kilobytes each */
};

enum stage {
    STAGE_LIST,
    STAGE_LOOKUP,
    STAGE_TEXTS,
    STAGE_END,
};

/* A certificate whose text is wanted. */
struct wanted_text {
    const struct lookup_domain *domain;
    const struct lookup_certificate *certificate;
};

struct audit {
    const struct audit_context *context;
    uint64_t moment; /* the memory's, when it began */
    struct inventory inventory;
    struct pace pace;
    size_t next; /* the first of the inventory's domains that has not been looked at */
    struct lookup *lookup;
    struct lookup_domain found[LOOKUP_AT_A_TIME];
    const struct inventory_domain *listed[LOOKUP_AT_A_TIME];
    size_t count; /* of both */
    size_t judged;
    struct own_request request;
    struct wanted_text *texts;
    size_t text_count, text_first, text_last; /* those of this request: [first, last) */

    enum stage stage;
    enum machine_step step;
    const char *error;
};

static enum machine_step audit_enter(struct audit *audit, enum stage stage, enum machine_step step)
{
    audit->stage = stage;
    return audit->step = step;
}

static enum machine_step audit_end(struct audit *audit, const char *error)
{
    audit->error = error;
    return audit_enter(audit, STAGE_END, MACHINE_DONE);
}

static wall_time audit_now(const struct audit *audit)
{
    return audit->context->now(audit->context->user);
}

/* From some domains to the next. */

static void forget_some(struct audit *audit)
{
    lookup_destroy(audit->lookup);
    free(audit->texts);
    audit->lookup = NULL;
    audit->texts = NULL;
    audit->text_count = audit->text_first = audit->text_last = 0;
}

static enum machine_step look_at_some(struct audit *audit)
{
    forget_some(audit);
    audit->count = 0;
    for (; audit->next < audit->inventory.domain_count && audit->count < LOOKUP_AT_A_TIME;
         audit->next++) {
        const struct inventory_domain *domain = &audit->inventory.domains[audit->next];
        if (!domain->automatic)
            continue;
        audit->listed[audit->count] = domain;
        audit->found[audit->count++] = (struct lookup_domain){
            .id = domain->id,
            .asked = audit_now(audit),
            .with_dns_tasks = true,
            .stuck_after_seconds = audit->context->settings->table.stuck_after_seconds,
            .every_certificate = audit->context->every_certificate};
    }
    if (audit->count == 0)
        return audit_end(audit, NULL);
    audit->lookup =
        lookup_create(audit->found, audit->count, audit->context->memory, audit_now(audit));
    if (!audit->lookup)
        return audit_end(audit, "out of memory");
    lookup_spare_tasks(audit->lookup);
    return audit_enter(audit, STAGE_LOOKUP, MACHINE_SEND);
}

/* One domain. */

static struct audit_certificate *all_certificates(const struct lookup_domain *found)
{
    struct audit_certificate *all = calloc(found->stored_count + 1, sizeof *all);

    for (size_t i = 0; all && i < found->stored_count; i++)
        all[i] = (struct audit_certificate){.begins = found->stored[i].begins,
                                            .ends = found->stored[i].ends,
                                            .renewal_due = found->stored[i].renewal_due,
                                            .issuer = found->stored[i].issuer,
                                            .other_ca = found->stored[i].other_ca};
    return all;
}

static bool judge_by(struct audit *audit, const struct lookup_domain *found,
                     const struct outlook *outlook, wall_time not_before)
{
    const struct hold_settings *settings = audit->context->settings;
    struct audit_domain domain = {.found = found,
                                  .tasks = outlook->tasks,
                                  .task_count = outlook->task_count,
                                  .held = outlook->held};
    struct audit_certificate *certificates = all_certificates(found);
    const struct audit_facts facts = {
        .now = audit_now(audit),
        .has_provider = found->renewable,
        .directory = found->directory,
        .certificates = certificates,
        .certificate_count = found->stored_count,
        .tasks = outlook->tasks,
        .task_count = outlook->task_count,
        .follower = found->follower.id ? &found->follower : NULL,
        .spent = outlook->spent_count,
        .issue_limit = settings->issue_limit,
        .settings = settings->table,
        .held = outlook->held,
        .not_before = not_before,
    };
    bool done = certificates && audit_judge(&facts, &domain.verdict) &&
                audit->context->judged(audit->context->user, &domain);

    free(certificates);
    return done;
}

static bool judge(struct audit *audit, size_t which)
{
    const struct lookup_domain *found = &audit->found[which];
    const struct inventory_domain *listed = audit->listed[which];
    struct outlook outlook;
    wall_time not_before;

    if (!outlook_open(&outlook, &audit->inventory, listed, found, audit->context->settings,
                      audit_now(audit)))
        return false;
    bool done = pace_place(&audit->pace, listed, found, &outlook, &not_before) &&
                judge_by(audit, found, &outlook, not_before);
    outlook_clear(&outlook);
    return done;
}

/* The texts. */

static bool list_texts(struct audit *audit)
{
    size_t count = 0;

    for (size_t i = 0; i < audit->count; i++)
        count += audit->found[i].stored_count;
    audit->texts = calloc(count + 1, sizeof *audit->texts);
    for (size_t i = 0; audit->texts && i < audit->count; i++) {
        const struct lookup_domain *domain = &audit->found[i];
        for (size_t c = 0; c < domain->stored_count; c++)
            audit->texts[audit->text_count++] =
                (struct wanted_text){.domain = domain, .certificate = &domain->stored[c]};
    }
    return audit->texts != NULL;
}

static enum machine_step ask_texts(struct audit *audit)
{
    json_t *ids = json_array();
    bool listed = ids != NULL;

    if (audit->text_first == audit->text_count) {
        json_decref(ids);
        return look_at_some(audit);
    }
    audit->text_last = audit->text_first;
    while (audit->text_last < audit->text_count &&
           audit->text_last - audit->text_first < TEXTS_A_REQUEST) {
        const char *id = audit->texts[audit->text_last++].certificate->id;
        listed = json_array_append_new(ids, json_string(id)) == 0 && listed;
    }
    own_request_begin(&audit->request);
    audit->request.incomplete |= !listed;
    own_request_add(&audit->request, "x:Certificate/get",
                    json_pack("{s:o, s:[s]}", "ids", ids, "properties", "certificate"), "g");
    return own_request_finish(&audit->request) ? audit_enter(audit, STAGE_TEXTS, MACHINE_SEND)
                                               : audit_end(audit, "out of memory");
}

static const char *text_of(const json_t *list, const char *id)
{
    size_t i;
    json_t *object;

    json_array_foreach(list, i, object)
    {
        const char *own = own_request_string(object, "id");
        if (own && strcmp(own, id) == 0)
            return own_request_string(json_object_get(object, "certificate"), "value");
    }
    return NULL;
}

static enum machine_step feed_texts(struct audit *audit, unsigned status, const char *body,
                                    size_t len)
{
    const char *error = own_request_read(&audit->request, status, body, len);
    const json_t *list = json_object_get(own_request_answer(&audit->request, "g"), "list");

    if (!error && !json_is_array(list))
        error = "the server does not show its certificates";
    if (error)
        return audit_end(audit, error);
    for (; audit->text_first < audit->text_last; audit->text_first++) {
        const struct wanted_text *wanted = &audit->texts[audit->text_first];
        audit->context->text(audit->context->user, wanted->domain, wanted->certificate,
                             text_of(list, wanted->certificate->id));
    }
    return ask_texts(audit);
}

/* Answers. */

static enum machine_step judge_some(struct audit *audit)
{
    for (size_t i = 0; i < audit->count; i++) {
        audit->judged++;
        if (audit->found[i].name && !judge(audit, i))
            return audit_end(audit, "out of memory");
    }
    if (!audit->context->text)
        return look_at_some(audit);
    return list_texts(audit) ? ask_texts(audit) : audit_end(audit, "out of memory");
}

static enum machine_step audit_feed_lookup(struct audit *audit, unsigned status, const char *body,
                                           size_t len)
{
    switch (lookup_feed(audit->lookup, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return audit_enter(audit, STAGE_LOOKUP, MACHINE_SEND);
    case LOOKUP_DONE:
        return judge_some(audit);
    case LOOKUP_FORBIDDEN:
    case LOOKUP_NO_MEMORY:
    case LOOKUP_FAILED:
        break;
    }
    return audit_end(audit,
                     status == 0 ? "the server did not answer" : lookup_error(audit->lookup));
}

static enum machine_step feed_list(struct audit *audit, unsigned status, const char *body,
                                   size_t len)
{
    inventory_feed(&audit->inventory, status, body, len);
    if (audit->inventory.error)
        return audit_end(audit, audit->inventory.error);
    if (inventory_body(&audit->inventory, &len))
        return audit_enter(audit, STAGE_LIST, MACHINE_SEND);
    if (!pace_open(&audit->pace, &audit->inventory, audit->context->settings->account_limit,
                   audit_now(audit)))
        return audit_end(audit, "out of memory");
    if (audit->context->remembers)
        inventory_note_tasks(&audit->inventory, audit->context->memory, audit->moment);
    return look_at_some(audit);
}

/* The driver's side. */

struct audit *audit_create(const struct audit_context *context)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (!audit)
        return NULL;

    audit->context = context;
    audit->moment = memory_moment(context->memory);
    inventory_begin(&audit->inventory, context->memory, audit_now(audit));
    const struct issue_limit limit = context->settings->account_limit;
    if (limit.burst > 0)
        audit->inventory.issued_since = account_limit_past(limit, audit_now(audit));
    audit->inventory.only = context->only;
    if (audit->inventory.error) {
        audit_destroy(audit);
        return NULL;
    }
    audit_enter(audit, STAGE_LIST, MACHINE_SEND);
    return audit;
}

void audit_destroy(struct audit *audit)
{
    if (!audit)
        return;
    forget_some(audit);
    own_request_clear(&audit->request);
    pace_close(&audit->pace);
    inventory_clear(&audit->inventory);
    free(audit);
}

struct audit_progress audit_progress(const struct audit *audit)
{
    return (struct audit_progress){.tasks = audit->inventory.task_count,
                                   .domains = audit->inventory.domain_count,
                                   .manual = audit->inventory.manual_count,
                                   .judged = audit->judged};
}

static enum machine_step audit_step(const void *self)
{
    return ((const struct audit *)self)->step;
}

static struct machine_order audit_order(const void *self)
{
    const struct audit *audit = self;
    struct machine_order order = {.body = audit->request.body, .len = audit->request.len};

    if (audit->stage == STAGE_LIST) {
        order.body = inventory_body(&audit->inventory, &order.len);
    } else if (audit->stage == STAGE_LOOKUP) {
        order.is_session = lookup_state(audit->lookup) == LOOKUP_SEND_SESSION;
        order.body = lookup_body(audit->lookup, &order.len);
    }
    return order;
}

static void audit_feed(void *self, unsigned status, const char *body, size_t len)
{
    struct audit *audit = self;

    switch (audit->stage) {
    case STAGE_LIST:
        feed_list(audit, status, body, len);
        break;
    case STAGE_LOOKUP:
        audit_feed_lookup(audit, status, body, len);
        break;
    case STAGE_TEXTS:
        feed_texts(audit, status, body, len);
        break;
    case STAGE_END:
        break;
    }
}

const struct machine audit_machine = {.step = audit_step, .order = audit_order, .feed = audit_feed};

const char *audit_error(const struct audit *audit)
{
    return audit->error;
}
