#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "jmap/wire/json_text.h"
#include "proxy/audit/audit_report.h"
#include "proxy/base/json_value.h"

static json_t *findings_of(const struct audit_verdict *verdict)
{
    json_t *list = json_array();
    for (int kind = 0; kind < AUDIT_KINDS; kind++) {
        char words[AUDIT_WORDS_SIZE];
        if (verdict->findings[kind] == AUDIT_FINE)
            continue;
        audit_words(verdict, kind, words);
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:o}", "kind", audit_kind_name(kind),
                                        "severity", audit_severity_name(verdict->findings[kind]),
                                        "words", json_value_of_text(words)));
    }
    return list;
}

static json_t *names_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->names.count; i++)
        json_array_append_new(list, json_value_of_text(row->names.names[i]));
    return list;
}

static json_t *stored_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->verdict.stored; i++) {
        const struct lookup_certificate *certificate = &row->stored[i].certificate;
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o, s:o, s:s}", "id", certificate->id,
                                        "issued", json_value_of_time(certificate->begins),
                                        "expires", json_value_of_time(certificate->ends), "issuer",
                                        json_value_of_text(certificate->issuer), "standing",
                                        issuer_standing_name(row->stored[i].standing)));
    }
    return list;
}

static json_t *certificates_of(const struct audit_row *row)
{
    const struct audit_verdict *verdict = &row->verdict;
    return json_pack("{s:I, s:I, s:I, s:i, s:I, s:o, s:o, s:o, s:o}", "stored",
                     (json_int_t)verdict->stored, "duplicates", (json_int_t)verdict->duplicates,
                     "recent", (json_int_t)verdict->recent, "limit",
                     (int)verdict->issue_limit.burst, "limit_seconds",
                     (json_int_t)verdict->issue_limit.window_seconds, "newest_expiry",
                     json_value_of_time(verdict->newest_expiry), "renewal_due",
                     json_value_of_time(verdict->renewal_due), "ca",
                     json_value_of_text(verdict->ca), "list", stored_of(row));
}

static json_t *tasks_of(const struct audit_verdict *verdict)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "live", (json_int_t)verdict->live, "failed",
                     (json_int_t)verdict->failed, "not_due", (json_int_t)verdict->not_due,
                     "next_due", json_value_of_time(verdict->next_due), "last_failure",
                     json_value_of_text(verdict->reason));
}

static json_t *create_of(const struct decision *decision)
{
    return json_pack("{s:i, s:s, s:o, s:s}", "row", (int)decision->row, "outcome",
                     outcome_name(decision->outcome), "due", json_value_of_time(decision->due),
                     "why", decision->why);
}

static json_t *sweep_of(const struct audit_sweep *sweep)
{
    bool written = sweep->moved || sweep->scheduled;
    return json_pack("{s:I, s:I, s:b, s:b, s:o}", "removed", (json_int_t)sweep->removed, "cleared",
                     (json_int_t)sweep->cleared, "moved", sweep->moved, "scheduled",
                     sweep->scheduled, "due",
                     json_value_of_time(written ? sweep->due : WALL_TIME_NEVER));
}

static json_t *texts_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->text_count; i++) {
        const struct stored_text *text = &row->texts[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:b, s:s?, s:i, s:s?}", "id", text->id, "readable",
                                        text->readable, "key", text->readable ? text->key : NULL,
                                        "chain", (int)text->chain, "fault", text->fault));
    }
    return list;
}

static json_t *services_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; row->services != NULL && i < row->names.count; i++) {
        const struct audit_service *service = &row->services[i];
        json_array_append_new(list, json_pack("{s:o, s:s, s:o}", "name",
                                              json_value_of_text(row->names.names[i]), "served",
                                              audit_served_name(service->served), "detail",
                                              json_value_of_text(service->detail)));
    }
    return list;
}

static json_t *next_of(const struct audit_report *report, const struct audit_row *row)
{
    const struct advice advice = audit_row_advice(report, row);
    if (advice.words == NULL)
        return json_null();
    return json_pack("{s:s, s:o}", "words", advice.words, "command",
                     json_value_of_text(advice.command));
}

static bool json_print_row(const struct audit_report *report, const struct audit_row *row,
                           FILE *out)
{
    const struct audit_verdict *verdict = &row->verdict;
    json_t *object = json_pack(
        "{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "domain",
        json_value_of_text(row->name), "id", row->id, "names", names_of(row), "severity",
        audit_severity_name(verdict->severity), "findings", findings_of(verdict), "certificates",
        certificates_of(row), "tasks", tasks_of(verdict), "refused_until",
        json_value_of_time(verdict->refused_until), "create", create_of(&verdict->decision),
        "sweep", sweep_of(&verdict->sweep), "next", next_of(report, row));
    if (object != NULL && report->listener != NULL) {
        json_object_set_new(object, "stored", texts_of(row));
        json_object_set_new(object, "served", services_of(row));
    }
    char *text = object != NULL ? json_text_write_ascii(object, JSON_COMPACT) : NULL;
    if (text != NULL)
        fputs(text, out);
    free(text);
    json_decref(object);
    return text != NULL;
}

static bool print_summary(const struct audit_report *report, FILE *out)
{
    struct audit_totals totals = audit_report_totals(report);
    json_t *object = json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:o, s:I, s:I, s:I}", "domains",
        (json_int_t)report->count, "urgent", (json_int_t)totals.by_severity[AUDIT_URGENT],
        "attention", (json_int_t)totals.by_severity[AUDIT_ATTENTION], "note",
        (json_int_t)totals.by_severity[AUDIT_NOTE], "fine",
        (json_int_t)totals.by_severity[AUDIT_FINE], "manual", (json_int_t)report->manual, "refused",
        (json_int_t)totals.refused, "refused_until", json_value_of_time(totals.refused_until),
        "duplicates", (json_int_t)totals.duplicates, "sweep_changes", (json_int_t)totals.changes,
        "requests", (json_int_t)report->requests);
    char *text = object != NULL ? json_text_write_ascii(object, JSON_COMPACT) : NULL;
    if (text != NULL)
        fprintf(out, "\"summary\":%s", text);
    free(text);
    json_decref(object);
    return text != NULL;
}

bool audit_report_print_json(const struct audit_report *report, FILE *out)
{
    json_t *server = json_value_of_text(report->server), *now = json_value_of_time(report->now);
    char *name = json_text_write_ascii(server, JSON_ENCODE_ANY);
    char *time = json_text_write_ascii(now, JSON_ENCODE_ANY);
    bool done = name != NULL && time != NULL;
    if (done)
        fprintf(out, "{\"server\":%s,\"time\":%s,\"domains\":[", name, time);
    free(name);
    free(time);
    json_decref(server);
    json_decref(now);
    for (size_t i = 0; done && i < report->count; i++) {
        fputs(i > 0 ? ",\n" : "\n", out);
        done = json_print_row(report, &report->rows[i], out);
    }
    fputs("\n],", out);
    done = done && print_summary(report, out);
    fputs("}\n", out);
    return done;
}
