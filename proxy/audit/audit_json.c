#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "jmap/wire/json_text.h"
#include "proxy/audit/audit_report.h"

/* null for the bounds. */
static json_t *time_value(wall_time time)
{
    char text[WALL_TIME_TEXT_SIZE];
    if (wall_time_equal(time, WALL_TIME_NEVER) || wall_time_equal(time, WALL_TIME_FOREVER))
        return json_null();
    wall_time_format(time, text);
    return json_string(text);
}

/* Bytes of the server's, or of a listener's, that are no UTF-8 have no place in JSON. */
static json_t *text_value(const char *text)
{
    json_t *value = text != NULL ? json_string(text) : json_null();
    return value != NULL ? value : json_string("(not UTF-8)");
}

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
                                        "words", text_value(words)));
    }
    return list;
}

static json_t *names_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->names.count; i++)
        json_array_append_new(list, text_value(row->names.names[i]));
    return list;
}

static json_t *stored_of(const struct audit_row *row)
{
    json_t *list = json_array();
    for (size_t i = 0; i < row->verdict.stored; i++) {
        const struct lookup_certificate *certificate = &row->stored[i].certificate;
        const char *issuer = certificate->issuer[0] != '\0' ? certificate->issuer : NULL;
        json_array_append_new(list,
                              json_pack("{s:s, s:o, s:o, s:o, s:s}", "id", certificate->id,
                                        "issued", time_value(certificate->begins), "expires",
                                        time_value(certificate->ends), "issuer", text_value(issuer),
                                        "standing", issuer_standing_name(row->stored[i].standing)));
    }
    return list;
}

static json_t *certificates_of(const struct audit_row *row)
{
    const struct audit_verdict *verdict = &row->verdict;
    return json_pack(
        "{s:I, s:I, s:I, s:i, s:I, s:o, s:o, s:o, s:o}", "stored", (json_int_t)verdict->stored,
        "duplicates", (json_int_t)verdict->duplicates, "recent", (json_int_t)verdict->recent,
        "limit", (int)verdict->issue_limit.burst, "limit_seconds",
        (json_int_t)verdict->issue_limit.window_seconds, "newest_expiry",
        time_value(verdict->newest_expiry), "renewal_due", time_value(verdict->renewal_due), "ca",
        text_value(verdict->ca), "list", stored_of(row));
}

static json_t *tasks_of(const struct audit_verdict *verdict)
{
    return json_pack("{s:I, s:I, s:I, s:o, s:o}", "live", (json_int_t)verdict->live, "failed",
                     (json_int_t)verdict->failed, "not_due", (json_int_t)verdict->not_due,
                     "next_due", time_value(verdict->next_due), "last_failure",
                     text_value(verdict->reason));
}

static json_t *create_of(const struct decision *decision)
{
    return json_pack("{s:i, s:s, s:o, s:s}", "row", (int)decision->row, "outcome",
                     outcome_name(decision->outcome), "due", time_value(decision->due), "why",
                     decision->why);
}

static json_t *sweep_of(const struct audit_sweep *sweep)
{
    bool written = sweep->moved || sweep->scheduled;
    return json_pack("{s:I, s:I, s:b, s:b, s:o}", "removed", (json_int_t)sweep->removed, "cleared",
                     (json_int_t)sweep->cleared, "moved", sweep->moved, "scheduled",
                     sweep->scheduled, "due", time_value(written ? sweep->due : WALL_TIME_NEVER));
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
        json_array_append_new(list,
                              json_pack("{s:o, s:s, s:o}", "name", text_value(row->names.names[i]),
                                        "served", audit_served_name(service->served), "detail",
                                        text_value(service->detail[0] ? service->detail : NULL)));
    }
    return list;
}

static json_t *next_of(const struct audit_report *report, const struct audit_row *row)
{
    const struct advice advice = audit_row_advice(report, row);
    if (advice.words == NULL)
        return json_null();
    return json_pack("{s:s, s:o}", "words", advice.words, "command",
                     text_value(advice.command[0] != '\0' ? advice.command : NULL));
}

static bool print_row(const struct audit_report *report, const struct audit_row *row, FILE *out)
{
    const struct audit_verdict *verdict = &row->verdict;
    json_t *object =
        json_pack("{s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "domain",
                  text_value(row->name), "id", row->id, "names", names_of(row), "severity",
                  audit_severity_name(verdict->severity), "findings", findings_of(verdict),
                  "certificates", certificates_of(row), "tasks", tasks_of(verdict), "refused_until",
                  time_value(verdict->refused_until), "create", create_of(&verdict->decision),
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
        (json_int_t)totals.refused, "refused_until", time_value(totals.refused_until), "duplicates",
        (json_int_t)totals.duplicates, "sweep_changes", (json_int_t)totals.changes, "requests",
        (json_int_t)report->requests);
    char *text = object != NULL ? json_text_write_ascii(object, JSON_COMPACT) : NULL;
    if (text != NULL)
        fprintf(out, "\"summary\":%s", text);
    free(text);
    json_decref(object);
    return text != NULL;
}

bool audit_report_print_json(const struct audit_report *report, FILE *out)
{
    json_t *server = text_value(report->server), *now = time_value(report->now);
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
        done = print_row(report, &report->rows[i], out);
    }
    fputs("\n],", out);
    done = done && print_summary(report, out);
    fputs("}\n", out);
    return done;
}
