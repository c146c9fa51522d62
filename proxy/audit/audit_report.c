#include "proxy/audit/audit_report.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "jmap/wire/array.h"

static void clear_row(struct audit_row *row)
{
    free(row->name);
    free(row->reason);
    san_set_clear(&row->names);
    free(row->stored);
    free(row->texts);
    free(row->services);
}

void audit_report_clear(struct audit_report *report)
{
    for (size_t i = 0; i < report->count; i++)
        clear_row(&report->rows[i]);
    free(report->rows);
    *report = (struct audit_report){.count = 0};
}

static bool report_make_room(struct audit_report *report)
{
    struct audit_row *rows = array_grow(report->rows, report->count, sizeof *rows);
    if (rows == NULL)
        return false;
    report->rows = rows;
    return true;
}

static bool copy_names(const struct san_set *names, struct san_set *copy)
{
    bool done = true;
    for (size_t i = 0; done && i < names->count; i++)
        done = san_set_add(copy, names->names[i], strlen(names->names[i]));
    return done;
}

static bool copy_stored(const struct lookup_domain *found, struct audit_row *row)
{
    row->stored = calloc(found->stored_count + 1, sizeof *row->stored);
    for (size_t i = 0; row->stored != NULL && i < found->stored_count; i++) {
        struct audit_stored *stored = &row->stored[i];
        stored->certificate = found->stored[i];
        stored->standing = issuer_judge(stored->certificate.issuer, found->directory);
        if (row->verdict.issuer == found->stored[i].issuer)
            row->verdict.issuer = stored->certificate.issuer;
    }
    return row->stored != NULL;
}

static const struct renewal_task *earliest_live(const struct audit_domain *domain)
{
    const struct renewal_task *best = NULL;
    for (size_t i = 0; i < domain->task_count; i++) {
        const struct renewal_task *task = &domain->tasks[i];
        if (task->state != TASK_FAILED && (best == NULL || renewal_task_sooner(task, best)))
            best = task;
    }
    return best;
}

struct advice audit_row_advice(const struct audit_report *report, const struct audit_row *row)
{
    const struct audit_verdict *verdict = &row->verdict;
    const struct audit_sweep *sweep = &verdict->sweep;
    const struct advice_facts facts = {
        .now = verdict->now,
        .renewable = verdict->findings[AUDIT_NO_PROVIDER] == AUDIT_FINE,
        .held_until = row->held.until,
        .held_by = row->held.by,
        .failures = verdict->failures,
        .stuck = verdict->stuck > 0,
        .changes = sweep->removed > 0 || sweep->cleared > 0 || sweep->moved || sweep->scheduled,
        .live = verdict->live,
        .task_id = row->task_id,
    };
    return advice_of(&facts, report->server);
}

bool audit_report_add(struct audit_report *report, const struct audit_domain *domain)
{
    const struct lookup_domain *found = domain->found;
    struct audit_row row = {.verdict = domain->verdict};
    strncpy(row.id, found->id, sizeof row.id - 1);
    row.name = strdup(found->name);
    row.reason = row.verdict.reason != NULL ? strdup(row.verdict.reason) : NULL;
    bool copied = row.name != NULL && (row.reason != NULL) == (row.verdict.reason != NULL) &&
                  copy_names(&found->names, &row.names) && copy_stored(found, &row) &&
                  report_make_room(report);
    if (!copied) {
        clear_row(&row);
        return false;
    }
    const struct renewal_task *next = earliest_live(domain);
    if (next != NULL)
        strncpy(row.task_id, next->id, sizeof row.task_id - 1);
    row.held = domain->held;
    row.held.reason = NULL;
    row.verdict.reason = row.reason;
    row.verdict.decision.id = NULL; /* the task's, which does not stay */
    report->rows[report->count++] = row;
    return true;
}

static int compare_ids(const void *id, const void *row)
{
    return strcmp(id, ((const struct audit_row *)row)->id);
}

bool audit_report_add_text(struct audit_report *report, const struct lookup_domain *domain,
                           const struct lookup_certificate *certificate, const char *pem)
{
    if (report->count == 0)
        return true;
    struct audit_row *row =
        bsearch(domain->id, report->rows, report->count, sizeof *report->rows, compare_ids);
    if (row == NULL)
        return true;
    struct stored_text *grown = realloc(row->texts, (row->text_count + 1) * sizeof *grown);
    if (grown == NULL)
        return false;
    row->texts = grown;
    stored_text_read(&grown[row->text_count], certificate, &domain->names, pem);
    if (grown[row->text_count++].fault != NULL)
        audit_add_damaged(&row->verdict);
    return true;
}

/* ---- what is served ---- */

/* One that is stored and served; by its dates where no text can be read. NULL: there is none. */
static const struct stored_text *find_stored(const struct audit_row *row,
                                             const struct tls_answer *answer)
{
    for (size_t i = 0; i < row->text_count; i++) {
        const struct stored_text *text = &row->texts[i];
        if (text->readable ? memcmp(text->digest, answer->digest, sizeof text->digest) == 0
                           : wall_time_equal(text->ends, answer->ends))
            return text;
    }
    return NULL;
}

static enum audit_served judge_answer(const struct audit_report *report,
                                      const struct audit_row *row, const struct tls_answer *answer)
{
    const struct stored_text *stored = find_stored(row, answer);
    if (!answer->answered)
        return AUDIT_SERVED_NOTHING;
    if (answer->self_signed && stored == NULL)
        return AUDIT_SERVED_SELF_SIGNED;
    if (!answer->covers)
        return AUDIT_SERVED_OTHER_NAME;
    if (!wall_time_before(report->now, answer->ends))
        return AUDIT_SERVED_EXPIRED;
    if (stored == NULL)
        return AUDIT_SERVED_UNKNOWN;
    return wall_time_equal(stored->ends, row->verdict.newest_expiry) ? AUDIT_SERVED_NEWEST
                                                                     : AUDIT_SERVED_OLDER;
}

void audit_report_serve(struct audit_report *report, struct audit_row *row, size_t name,
                        const struct tls_answer *answer)
{
    struct audit_service *service = &row->services[name];
    service->served = judge_answer(report, row, answer);
    if (!answer->answered)
        memcpy(service->detail, answer->detail, sizeof service->detail);
    audit_add_served(&row->verdict, service->served);
}

/* ---- all of it ---- */

static int compare_rows(const void *a, const void *b)
{
    const struct audit_row *x = a, *y = b;
    int order = (int)y->verdict.severity - (int)x->verdict.severity;
    for (size_t kind = 0; order == 0 && kind < AUDIT_KINDS; kind++)
        order = (int)y->verdict.findings[kind] - (int)x->verdict.findings[kind];
    if (order == 0)
        order = strcasecmp(x->name, y->name);
    return order != 0 ? order : strcmp(x->id, y->id);
}

void audit_report_sort(struct audit_report *report)
{
    if (report->count > 0)
        qsort(report->rows, report->count, sizeof *report->rows, compare_rows);
}

struct audit_totals audit_report_totals(const struct audit_report *report)
{
    struct audit_totals totals = {.refused_until = WALL_TIME_NEVER};
    for (size_t i = 0; i < report->count; i++) {
        const struct audit_verdict *verdict = &report->rows[i].verdict;
        const struct audit_sweep *sweep = &verdict->sweep;
        totals.by_severity[verdict->severity]++;
        totals.refused += verdict->findings[AUDIT_REFUSED] != AUDIT_FINE;
        totals.refused_until = wall_time_later(totals.refused_until, verdict->refused_until);
        totals.duplicates += verdict->duplicates;
        totals.changes += sweep->removed + sweep->cleared + sweep->moved + sweep->scheduled;
    }
    return totals;
}
