#include "proxy/admin/status_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "proxy/base/json_value.h"
#include "proxy/base/version.h"

static json_t *credential_json(const struct status *status)
{
    if (status->gate->credential == NULL)
        return json_null();
    char command[STATUS_RETRY_SIZE];
    status_credential_retry(command);
    return json_pack("{s:b,s:i,s:o,s:o,s:o}", "refused", (int)status->credential_rests, "refusals",
                     (int)status->credential_refusals, "refused_since",
                     json_value_of_time(status->credential_refused), "tried_again",
                     json_value_of_time(status->credential_tried), "try_now",
                     status->credential_rests ? json_string(command) : json_null());
}

static json_t *gate_json(const struct status *status)
{
    const struct config *config = status->gate->config;
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o}", "version", RENEWGATE_VERSION, "mode",
                     config->hold.observe ? "observe" : "enforce", "upstream", config->upstream_url,
                     "started", json_value_of_time(status->gate->started), "now",
                     json_value_of_time(status->now), "credential", credential_json(status));
}

/* NULL when memory runs out, as with all that follow. */
static json_t *totals_json(const struct history_view *history)
{
    json_t *totals = json_object();
    for (size_t i = 0; i < OUTCOMES; i++) {
        const char *name = outcome_name((enum outcome)i);
        if (json_object_set_new(totals, name, json_integer((json_int_t)history->totals[i])) != 0) {
            json_decref(totals);
            return NULL;
        }
    }
    return totals;
}

static json_t *slot_json(const struct history_slot *slot)
{
    json_t *json = json_pack("{s:o}", "begins", json_value_of_time(slot->begins));
    for (size_t i = 0; json != NULL && i < OUTCOMES; i++) {
        const char *name = outcome_name((enum outcome)i);
        if (slot->counts[i] > 0 &&
            json_object_set_new(json, name, json_integer(slot->counts[i])) != 0) {
            json_decref(json);
            return NULL;
        }
    }
    return json;
}

static json_t *decision_json(const struct history_decision *decision)
{
    return json_pack("{s:o,s:o,s:s,s:s,s:i,s:s,s:o,s:b}", "at", json_value_of_time(decision->at),
                     "domain", json_value_of_text(decision->domain), "domain_id",
                     decision->domain_id, "outcome", outcome_name(decision->outcome), "row",
                     (int)decision->row, "why", decision->why, "id",
                     json_value_of_text(decision->id), "observed", (int)decision->observed);
}

static json_t *decisions_json(const struct history_view *history)
{
    json_t *slots = json_array();
    json_t *recent = json_array();
    bool fine = true;
    for (size_t i = 0; fine && i < HISTORY_SLOTS; i++)
        fine = json_array_append_new(slots, slot_json(&history->slots[i])) == 0;
    for (size_t i = 0; fine && i < history->recent_count; i++)
        fine = json_array_append_new(recent, decision_json(&history->recent[i])) == 0;
    if (fine)
        return json_pack("{s:o,s:i,s:o,s:o}", "last_day", totals_json(history), "slot_seconds",
                         HISTORY_SLOT_SECONDS, "slots", slots, "recent", recent);
    json_decref(slots);
    json_decref(recent);
    return NULL;
}

static json_t *next_json(const struct status *status, const struct domain_snapshot *snapshot)
{
    const struct advice advice = status_advice(status, snapshot);
    if (advice.words == NULL)
        return json_null();
    return json_pack("{s:s,s:o}", "words", advice.words, "command",
                     json_value_of_text(advice.command));
}

static json_t *domain_json(const struct domain_snapshot *snapshot, const struct status *status)
{
    int64_t stuck_after = status->gate->config->hold.table.stuck_after_seconds;
    json_t *task = snapshot->task_count == 0
                       ? json_null()
                       : json_pack("{s:s,s:o,s:b,s:b}", "id", snapshot->task_id, "due",
                                   json_value_of_time(snapshot->task_due), "retries",
                                   (int)snapshot->task_retries, "stuck",
                                   (int)domain_snapshot_is_stuck(snapshot, stuck_after));
    bool held = wall_time_before(status->now, snapshot->refused_until);
    return json_pack("{s:s,s:s,s:s,s:o,s:o,s:o,s:o,s:o,s:i,s:o,s:o,s:i,s:o,s:o}", "id",
                     snapshot->domain_id, "name", snapshot->name, "standing",
                     standing_name(domain_snapshot_standing(snapshot, status->now)), "not_before",
                     json_value_of_time(snapshot->not_before), "not_after",
                     json_value_of_time(snapshot->not_after), "renewal_due",
                     json_value_of_time(snapshot->renewal_due), "refused_until",
                     json_value_of_time(snapshot->refused_until), "task", task, "tasks",
                     (int)snapshot->task_count, "seen", json_value_of_time(snapshot->seen),
                     "held_by", held ? json_string(held_by_name(snapshot->held_by)) : json_null(),
                     "failures", (int)snapshot->failures, "last_failure",
                     json_value_of_text(snapshot->failure), "next", next_json(status, snapshot));
}

static json_t *list_json(const struct status_list *list, const struct status *status)
{
    json_t *items = json_array();
    for (size_t i = 0; i < list->count; i++) {
        if (json_array_append_new(items, domain_json(&list->domains[i].snapshot, status)) != 0) {
            json_decref(items);
            return NULL;
        }
    }
    return json_pack("{s:I,s:o}", "total", (json_int_t)list->total, "items", items);
}

static json_t *standings_json(const struct status *status)
{
    json_t *counts = json_object();
    for (size_t i = 0; i < STANDINGS; i++) {
        json_t *number = json_integer((json_int_t)status->standings[i]);
        if (json_object_set_new(counts, standing_name((enum standing)i), number) != 0) {
            json_decref(counts);
            return NULL;
        }
    }
    return counts;
}

static json_t *status_json(const struct status *status)
{
    json_t *domains = list_json(&status->matching, status);
    json_t *about =
        json_pack("{s:I,s:o,s:s,s:I,s:I}", "known", (json_int_t)status->domain_count, "standings",
                  standings_json(status), "filter", status->query.domain, "page",
                  (json_int_t)status->query.page, "pages", (json_int_t)status->pages);
    if (json_object_update(domains, about) != 0) {
        json_decref(domains);
        domains = NULL;
    }
    json_decref(about);
    return json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:O?}", "gate", gate_json(status), "decisions",
                     decisions_json(&status->history), "to_do",
                     list_json(&status->acted_on, status), "held", list_json(&status->held, status),
                     "queue", list_json(&status->queue, status), "domains", domains, "explanation",
                     status->explanation);
}

bool status_json_render(const struct status *status, struct buffer *out)
{
    json_t *json = status_json(status);
    char *text = json_text_write_ascii(json, JSON_INDENT(1));
    bool fine =
        text != NULL && buffer_append(out, text, strlen(text)) && buffer_append(out, "\n", 1);
    free(text);
    json_decref(json);
    return fine;
}
