#include "proxy/base/json_value.h"
#include "proxy/jobs/explanation.h"

static json_t *create_json(const struct explanation *explanation)
{
    const struct decision *decision = &explanation->decision;
    return json_pack("{s:i,s:s,s:o,s:o,s:s}", "row", (int)decision->row, "outcome",
                     outcome_name(decision->outcome), "id",
                     json_value_of_text(explanation->answered), "due",
                     json_value_of_time(decision->due), "why", decision->why);
}

static json_t *rows_json(const struct decision_trace *trace)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < trace->count; i++) {
        const struct decision_step *step = &trace->steps[i];
        json_t *row = json_pack("{s:i,s:b,s:s}", "row", (int)step->row, "fits", (int)step->fits,
                                "when", step->asks);
        if (json_array_append_new(rows, row) != 0) {
            json_decref(rows);
            return NULL;
        }
    }
    return rows;
}

static json_t *names_json(const struct san_set *names)
{
    json_t *list = json_array();
    for (size_t i = 0; i < names->count; i++) {
        if (json_array_append_new(list, json_value_of_text(names->names[i])) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *certificate_json(const struct lookup_domain *found)
{
    if (found->certificate_id[0] == '\0')
        return json_null();
    return json_pack("{s:o,s:o,s:o,s:o,s:I}", "id", json_value_of_text(found->certificate_id),
                     "issued", json_value_of_time(found->newest_begin), "expires",
                     json_value_of_time(found->newest_expiry), "renewal_due",
                     json_value_of_time(found->renewal_due), "read",
                     (json_int_t)found->stored_count);
}

static json_t *task_json(const struct renewal_task *task, const struct decision_facts *facts)
{
    bool failed = task->state == TASK_FAILED;
    bool stuck = renewal_task_stuck(task, facts->now, facts->settings.stuck_after_seconds);
    return json_pack("{s:o,s:s,s:o,s:o,s:o,s:b,s:b}", "id", json_value_of_text(task->id), "state",
                     task_state_name(task->state), "due",
                     json_value_of_time(failed ? WALL_TIME_NEVER : task->due), "failed_at",
                     json_value_of_time(failed ? task->failed_at : WALL_TIME_NEVER), "reason",
                     json_value_of_text(task->failure_reason), "stuck", (int)stuck,
                     "of_other_names_or_ca", (int)task->other_order);
}

static json_t *tasks_json(const struct explanation *explanation)
{
    json_t *list = json_array();
    for (size_t i = 0; i < explanation->found->task_count; i++) {
        if (json_array_append_new(
                list, task_json(&explanation->found->tasks[i], &explanation->facts)) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *held_json(const struct explanation *explanation)
{
    const struct held *held = &explanation->held;
    wall_time until = explanation->facts.refused_until;
    bool holds = wall_time_before(explanation->facts.now, until);
    json_t *sources = json_object();
    for (int i = 0; i < HELD_SOURCES; i++) {
        if (json_object_set_new(sources, held_by_name((enum held_by)i),
                                json_value_of_time(held->by_source[i])) != 0) {
            json_decref(sources);
            return NULL;
        }
    }
    return json_pack("{s:b,s:o,s:o,s:o,s:I,s:o}", "now", (int)holds, "until",
                     json_value_of_time(until), "by",
                     wall_time_equal(until, WALL_TIME_NEVER)
                         ? json_null()
                         : json_string(held_by_name(explanation->facts.held_by)),
                     "sources", sources, "failures", (json_int_t)held->failures, "last_failure",
                     json_value_of_text(held->reason));
}

static json_t *bucket_json(const struct explanation *explanation,
                           const struct hold_settings *settings)
{
    const struct issue_limit limit = settings->issue_limit;
    const struct lookup_domain *found = explanation->found;
    wall_time window = wall_time_add(explanation->facts.now, -limit.window_seconds);
    size_t recent = 0;
    for (size_t i = 0; i < found->issued_count; i++)
        recent += wall_time_before(window, found->issued[i]);
    if (limit.burst == 0)
        return json_null();
    return json_pack("{s:I,s:I,s:I,s:o}", "limit", (json_int_t)limit.burst, "limit_seconds",
                     (json_int_t)limit.window_seconds, "issued", (json_int_t)recent, "empty_until",
                     json_value_of_time(explanation->held.limited));
}

static json_t *next_json(const struct explanation *explanation, const struct config *config)
{
    const struct advice advice = explanation_advice(explanation, config);
    if (advice.words == NULL)
        return json_null();
    return json_pack("{s:s,s:o}", "words", advice.words, "command",
                     json_value_of_text(advice.command));
}

json_t *explanation_json(const struct explanation *explanation, const struct config *config)
{
    const struct lookup_domain *found = explanation->found;
    json_t *json =
        json_pack("{s:o,s:s,s:o,s:o,s:o,s:o}", "domain", json_value_of_text(explanation->name),
                  "id", explanation->id, "time", json_value_of_time(explanation->facts.now),
                  "create", create_json(explanation), "rows", rows_json(&explanation->trace),
                  "unread", json_value_of_text(explanation->unread));
    json_t *facts = NULL;
    if (found == NULL)
        facts = json_object();
    else
        facts = json_pack("{s:b,s:o,s:o,s:o,s:o,s:o,s:o}", "automatic", (int)found->renewable,
                          "names", names_json(&found->names), "certificate",
                          certificate_json(found), "tasks", tasks_json(explanation), "held",
                          held_json(explanation), "bucket", bucket_json(explanation, &config->hold),
                          "next", next_json(explanation, config));
    if (json_object_update(json, facts) != 0) {
        json_decref(json);
        json = NULL;
    }
    json_decref(facts);
    return json;
}
