#include "jmap/facts/lookup_parts.h"

#include <stdio.h>
#include <string.h>

/*
 * One task that the server cannot read fails the whole get that names it, and with it the look-up
 * of every other domain: v0.16 overwrites a task that is made to be due at the epoch by its own
 * place in the queue. No list has such a task, so only a remembered id can name one. The ids are
 * asked for in ever smaller parts until it stands alone, and is forgotten.
 */

/* As many calls as a request has, and so into how many parts ids are split. */
#define PARTS OWN_REQUEST_CALLS

#define CALL_ID_SIZE 24

static bool is_unavailable(const struct own_request *request, const char *call_id)
{
    const char *type = own_request_error(request, call_id);

    return type && strcmp(type, "serverUnavailable") == 0;
}

/* What else the request asks for was read, so it is not the server that is down. */
bool lookup_doubts_hints(const struct lookup *lookup)
{
    const struct own_request *request = &lookup->request;
    bool others_read =
        own_request_list(request, "d") && (lookup->first > 0 || own_request_list(request, "T"));

    return others_read && lookup->hints_checked <= lookup->first && is_unavailable(request, "k");
}

/* False when memory runs out. */
static bool split(struct lookup *lookup, const json_t *ids)
{
    size_t count = json_array_size(ids), each = (count + PARTS - 1) / PARTS;

    for (size_t i = 0; i < count;) {
        json_t *part = json_array();
        if (json_array_append_new(lookup->doubts, part) != 0)
            return false;
        for (size_t last = i + each; i < count && i < last; i++) {
            if (json_array_append(part, json_array_get(ids, i)) != 0)
                return false;
        }
    }
    return true;
}

static bool list_hints(const struct lookup *lookup, json_t *ids)
{
    for (size_t i = lookup->first; i < lookup->last; i++) {
        for (size_t t = 0; t < MEMORY_TASKS; t++) {
            const char *id = lookup->domains[i].known.task_ids[t];
            if (id[0] && json_array_append_new(ids, json_string(id)) != 0)
                return false;
        }
    }
    return true;
}

bool lookup_begin_hints(struct lookup *lookup)
{
    json_t *ids = json_array();
    bool begun = ids && list_hints(lookup, ids);

    lookup->stage = STAGE_HINTS;
    lookup->hints_checked = lookup->last;
    json_decref(lookup->doubts);
    lookup->doubts = json_array();
    begun = begun && lookup->doubts && split(lookup, ids);
    json_decref(ids);
    return begun;
}

void lookup_append_hints(struct lookup *lookup)
{
    char call_id[CALL_ID_SIZE];

    for (size_t i = 0; i < PARTS && i < json_array_size(lookup->doubts); i++) {
        snprintf(call_id, sizeof call_id, "%zu", i);
        own_request_add(&lookup->request, "x:Task/get",
                        json_pack("{s:O, s:[s]}", "ids", json_array_get(lookup->doubts, i),
                                  "properties", "domainId"),
                        call_id);
    }
}

static void lookup_hints_forget(struct lookup *lookup, const char *task_id)
{
    for (size_t i = lookup->first; i < lookup->last; i++) {
        struct lookup_domain *domain = &lookup->domains[i];
        bool known = false;
        for (size_t t = 0; t < MEMORY_TASKS; t++)
            known |= strcmp(domain->known.task_ids[t], task_id) == 0;
        if (known) {
            memory_forget_task(lookup->memory, domain->id, task_id);
            memory_recall(lookup->memory, domain->id, &domain->known);
        }
    }
}

static bool read_part(struct lookup *lookup, const json_t *part, const char *call_id)
{
    if (!is_unavailable(&lookup->request, call_id))
        return true;
    if (json_array_size(part) > 1)
        return split(lookup, part);
    lookup_hints_forget(lookup, json_string_value(json_array_get(part, 0)));
    return true;
}

bool lookup_read_hints(struct lookup *lookup, bool *over)
{
    json_t *asked = lookup->doubts;
    bool read = (lookup->doubts = json_array()) != NULL;
    char call_id[CALL_ID_SIZE];

    for (size_t i = 0; read && i < json_array_size(asked); i++) {
        json_t *part = json_array_get(asked, i);
        snprintf(call_id, sizeof call_id, "%zu", i);
        read = i < PARTS ? read_part(lookup, part, call_id)
                         : json_array_append(lookup->doubts, part) == 0;
    }
    json_decref(asked);
    *over = json_array_size(lookup->doubts) == 0;
    return read;
}
