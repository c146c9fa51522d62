#include "jmap/create/hold_history.h"

#include <stdlib.h>
#include <string.h>

#include "jmap/wire/object_id.h"

/* Which domains. */

static int by_id(const void *a, const void *b)
{
    return strcmp(((const struct lookup_domain *)a)->id, ((const struct lookup_domain *)b)->id);
}

/* As far as one can tell by now; NULL where it is none, or memory ran out. */
static const char *domain_of(const struct hold *hold, const struct held_create *create)
{
    char canonical[OBJECT_ID_SIZE];
    json_t *id;

    if (create->domain[0] != '#')
        return create->domain;
    if (!object_id_parse(request_meaning(&hold->request, create->domain), canonical))
        return NULL;
    id = json_string(canonical);
    return json_array_append_new(hold->request.strings, id) == 0 ? json_string_value(id) : NULL;
}

bool hold_list_history(struct hold *hold)
{
    const struct jmap_request *request = &hold->request;
    struct hold_history *history = &hold->history;
    size_t count = 0;

    if (!hold->batch.sets_certificates)
        return true;
    history->facts = calloc(request->count + 1, sizeof *history->facts);
    if (!history->facts)
        return false;
    for (size_t i = 0; i < request->count; i++) {
        const struct held_create *create = &request->creates[i];
        const char *id = create->call >= hold->batch.cut ? domain_of(hold, create) : NULL;
        if (id)
            history->facts[count++] = (struct lookup_domain){.id = id, .every_certificate = true};
    }
    qsort(history->facts, count, sizeof *history->facts, by_id);
    for (size_t i = 0; i < count; i++) {
        if (history->count == 0 || by_id(&history->facts[history->count - 1], &history->facts[i]))
            history->facts[history->count++] = history->facts[i];
    }
    return true;
}

/* The phase. */

static enum phase_step look_back(struct hold *hold)
{
    struct hold_history *history = &hold->history;

    lookup_destroy(history->machine);
    for (size_t i = 0; i < history->count; i++)
        history->facts[i].asked = hold->now;
    history->machine =
        lookup_create(history->facts, history->count, hold->context->memory, hold->now);
    return history->machine ? PHASE_SEND : PHASE_GIVE_UP;
}

enum phase_step hold_begin_history(struct hold *hold)
{
    if (hold->caller.unauthorized || hold->history.count == 0 ||
        hold->history.count > HOLD_DOMAINS_MAX)
        return PHASE_NEXT;
    return look_back(hold);
}

/* What could not be read is not known, and the calls go on. */
enum phase_step hold_feed_history(struct hold *hold, unsigned status, const char *body, size_t len)
{
    switch (hold_feed_reading(hold, hold->history.machine, status, body, len)) {
    case LOOKUP_SEND_API:
    case LOOKUP_SEND_SESSION:
        return PHASE_SEND;
    case LOOKUP_NO_MEMORY:
        return PHASE_GIVE_UP;
    case LOOKUP_FORBIDDEN:
        return hold_read_as_service(hold) ? look_back(hold) : PHASE_NEXT;
    case LOOKUP_DONE:
    case LOOKUP_FAILED:
        break;
    }
    return PHASE_NEXT;
}

enum phase_step hold_fail_history(struct hold *hold, const char *why)
{
    (void)hold;
    (void)why;
    return PHASE_NEXT;
}

void hold_describe_history(const struct hold *hold, struct hold_request *request)
{
    hold_describe_reading(hold, hold->history.machine, request);
}

void hold_drop_history(struct hold *hold)
{
    lookup_destroy(hold->history.machine);
    free(hold->history.facts);
    hold->history = (struct hold_history){.machine = NULL};
}
