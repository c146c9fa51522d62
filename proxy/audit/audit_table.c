#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/audit/audit_report.h"
#include "proxy/base/plain_text.h"

#define NAME_LEAST 20
#define NAME_MOST 60
/* All columns but the first, with what is between them. */
#define FIGURES_WIDTH 52
#define CELL_SIZE 32
/* Of a domain's certificates so many different issuers are named. */
#define ISSUERS_MOST 8

struct table {
    const struct audit_report *report;
    const struct audit_style *style;
    FILE *out;
    int name_width;
};

/* ---- text ---- */

static const char *colour_of(enum audit_severity severity)
{
    static const char *const colours[] = {
        [AUDIT_FINE] = "\033[32m",
        [AUDIT_NOTE] = "\033[36m",
        [AUDIT_ATTENTION] = "\033[33m",
        [AUDIT_URGENT] = "\033[1;31m",
    };
    return colours[severity];
}

static void print_coloured(const struct table *table, const char *colour, const char *text)
{
    bool colours = table->style->colours && colour[0] != '\0';
    fprintf(table->out, "%s%s%s", colours ? colour : "", text, colours ? "\033[0m" : "");
}

/* Breaks at spaces; the first line stands behind `mark`, the others under it. */
static void print_wrapped(const struct table *table, int indent, const char *text)
{
    size_t room = table->style->width > (unsigned)indent + 20 ? table->style->width - indent : 20;
    size_t column = 0;
    for (const char *word = text; *word != '\0';) {
        size_t len = strcspn(word, " ");
        if (column > 0 && column + 1 + len > room) {
            fprintf(table->out, "\n%*s", indent, "");
            column = 0;
        }
        fprintf(table->out, "%s%.*s", column > 0 ? " " : "", (int)len, word);
        column += len + (column > 0);
        word += len + strspn(word + len, " ");
    }
    fputc('\n', table->out);
}

/* ---- one domain ---- */

static const char *mark_of(enum audit_severity severity)
{
    static const char *const marks[] = {
        [AUDIT_FINE] = "ok", [AUDIT_NOTE] = " -", [AUDIT_ATTENTION] = " !", [AUDIT_URGENT] = "!!"};
    return marks[severity];
}

static void print_note(const struct table *table, enum audit_severity severity, const char *text)
{
    struct buffer safe = BUFFER_EMPTY;
    plain_text_append_ascii(&safe, text);
    if (buffer_append(&safe, "", 1)) {
        fputs("   ", table->out);
        print_coloured(table, colour_of(severity), mark_of(severity));
        fputc(' ', table->out);
        print_wrapped(table, 6, buffer_content(&safe));
    }
    buffer_clear(&safe);
}

static void print_plain(const struct table *table, const char *before, const char *text)
{
    struct buffer safe = BUFFER_EMPTY;
    plain_text_append_ascii(&safe, before);
    plain_text_append_ascii(&safe, text);
    if (buffer_append(&safe, "", 1)) {
        fputs("      ", table->out);
        print_wrapped(table, 6, buffer_content(&safe));
    }
    buffer_clear(&safe);
}

/* How long until then; `past` where that is over, `never` where there is no such time. */
static void span_cell(wall_time now, wall_time then, const char *past, const char *never,
                      char cell[static CELL_SIZE])
{
    char span[AUDIT_SPAN_SIZE];
    if (wall_time_equal(then, WALL_TIME_NEVER)) {
        snprintf(cell, CELL_SIZE, "%s", never);
    } else if (!wall_time_before(now, then)) {
        snprintf(cell, CELL_SIZE, "%s", past);
    } else {
        audit_span(now, then, span);
        snprintf(cell, CELL_SIZE, "%s", span);
    }
}

static void print_figures(const struct table *table, const struct audit_row *row)
{
    const struct audit_verdict *verdict = &row->verdict;
    char expires[CELL_SIZE], renews[CELL_SIZE], stored[CELL_SIZE], recent[CELL_SIZE];
    span_cell(verdict->now, verdict->newest_expiry, "expired", "none", expires);
    span_cell(verdict->now, verdict->renewal_due, "due", "due", renews);
    snprintf(stored, sizeof stored, verdict->duplicates > 0 ? "%zu (%zu)" : "%zu", verdict->stored,
             verdict->duplicates);
    snprintf(recent, sizeof recent, verdict->issue_limit.burst > 0 ? "%zu/%u" : "%zu",
             verdict->recent, verdict->issue_limit.burst);
    fprintf(table->out, " %7s %7s %8s %5s %6zu  %-8s %2u\n", expires, renews, stored, recent,
            verdict->live, outcome_name(verdict->decision.outcome), verdict->decision.row);
}

/* A long name has a line of its own. */
static void print_first_line(const struct table *table, const struct audit_row *row)
{
    enum audit_severity severity = row->verdict.severity;
    struct buffer name = BUFFER_EMPTY;
    plain_text_append_ascii(&name, row->name);
    if (!buffer_append(&name, "", 1))
        return;
    bool fits = name.len - 1 <= (size_t)table->name_width;
    print_coloured(table, colour_of(severity), mark_of(severity));
    fprintf(table->out, fits ? " %-*s" : " %-*s\n   ", table->name_width, buffer_content(&name));
    if (!fits)
        fprintf(table->out, "%*s", table->name_width, "");
    print_figures(table, row);
    buffer_clear(&name);
}

static void print_findings(const struct table *table, const struct audit_row *row)
{
    char words[AUDIT_WORDS_SIZE];
    for (int kind = 0; kind < AUDIT_KINDS; kind++) {
        enum audit_severity severity = row->verdict.findings[kind];
        if (severity == AUDIT_FINE || kind == AUDIT_SERVED || kind == AUDIT_DAMAGED)
            continue;
        audit_words(&row->verdict, kind, words);
        print_note(table, severity, words);
    }
    audit_sweep_words(&row->verdict, words);
    if (words[0] != '\0')
        print_plain(table, "a sweep would ", words);
}

/* On a line of its own, however long, to be pasted. */
static void print_next(const struct table *table, const struct audit_row *row)
{
    const struct advice advice = audit_row_advice(table->report, row);
    if (advice.words == NULL)
        return;
    print_plain(table, "next: ", advice.words);
    if (advice.command[0] != '\0')
        fprintf(table->out, "      $ %s\n", advice.command);
}

static void print_services(const struct table *table, const struct audit_row *row)
{
    for (size_t i = 0; row->services != NULL && i < row->names.count; i++) {
        const struct audit_service *service = &row->services[i];
        struct buffer line = BUFFER_EMPTY;
        if (service->served == AUDIT_SERVED_NEWEST)
            continue;
        buffer_format(&line, "%s %s%s%s", row->names.names[i], audit_served_words(service->served),
                      service->detail[0] != '\0' ? ": " : "", service->detail);
        if (buffer_append(&line, "", 1))
            print_note(table,
                       service->served >= AUDIT_SERVED_EXPIRED ? AUDIT_URGENT : AUDIT_ATTENTION,
                       buffer_content(&line));
        buffer_clear(&line);
    }
}

static void print_texts(const struct table *table, const struct audit_row *row)
{
    for (size_t i = 0; i < row->text_count; i++) {
        const struct stored_text *text = &row->texts[i];
        char line[128];
        snprintf(line, sizeof line, "certificate %s: %s%s%s", text->id,
                 text->readable ? text->key : "", text->readable && text->fault ? ", " : "",
                 text->fault != NULL ? text->fault : "");
        if (text->fault != NULL)
            print_note(table, AUDIT_ATTENTION, line);
        else if (table->style->names)
            print_plain(table, line, "");
    }
}

/* Whether a certificate before it has the same issuer. */
static bool is_repeated(const struct audit_row *row, size_t which)
{
    for (size_t i = 0; i < which; i++) {
        if (strcmp(row->stored[i].certificate.issuer, row->stored[which].certificate.issuer) == 0)
            return true;
    }
    return false;
}

/* Each once. */
static void print_issuers(const struct table *table, const struct audit_row *row)
{
    struct buffer line = BUFFER_EMPTY;
    size_t named = 0;
    for (size_t i = 0; i < row->verdict.stored && named < ISSUERS_MOST; i++) {
        const char *issuer = row->stored[i].certificate.issuer;
        if (issuer[0] == '\0' || is_repeated(row, i))
            continue;
        buffer_format(&line, "%s%s", named++ > 0 ? "; " : "", issuer);
    }
    if (named > 0 && buffer_append(&line, "", 1))
        print_plain(table, "issued by ", buffer_content(&line));
    buffer_clear(&line);
}

static void print_names(const struct table *table, const struct audit_row *row)
{
    struct buffer line = BUFFER_EMPTY;
    for (size_t i = 0; i < row->names.count; i++)
        buffer_format(&line, "%s%s", i > 0 ? ", " : "", row->names.names[i]);
    if (row->names.count > 0 && buffer_append(&line, "", 1))
        print_plain(table, "names: ", buffer_content(&line));
    buffer_clear(&line);
}

static void table_print_row(const struct table *table, const struct audit_row *row)
{
    print_first_line(table, row);
    print_findings(table, row);
    print_services(table, row);
    print_texts(table, row);
    print_issuers(table, row);
    print_next(table, row);
    if (table->style->names) {
        print_names(table, row);
        print_plain(table, "a create now: ", row->verdict.decision.why);
    }
}

/* ---- the summary ---- */

static void print_count(const struct table *table, const char *colour, size_t count,
                        const char *one, const char *many, const char *more)
{
    char line[160];
    if (count == 0)
        return;
    snprintf(line, sizeof line, "%6zu %s%s", count, count == 1 ? one : many, more);
    print_coloured(table, colour, line);
    fputc('\n', table->out);
}

static void print_refused(const struct table *table, const struct audit_totals *totals)
{
    char at[WALL_TIME_TEXT_SIZE], span[AUDIT_SPAN_SIZE], more[80];
    wall_time_format(totals->refused_until, at);
    audit_span(table->report->now, totals->refused_until, span);
    snprintf(more, sizeof more, " by the CA%s until %s (%s)",
             totals->refused == 1 ? "" : ", the last", at, span);
    print_count(table, "", totals->refused, "is refused", "are refused", more);
}

static void print_summary(const struct table *table)
{
    const struct audit_report *report = table->report;
    struct audit_totals totals = audit_report_totals(report);
    char at[WALL_TIME_TEXT_SIZE];
    wall_time_format(report->now, at);
    struct buffer server = BUFFER_EMPTY;
    plain_text_append_ascii(&server, report->server);
    if (buffer_append(&server, "", 1))
        fprintf(table->out, "%s, %s\n", buffer_content(&server), at);
    buffer_clear(&server);
    fprintf(table->out, "%6zu domain%s with automatic certificates\n", report->count,
            report->count == 1 ? "" : "s");
    print_count(table, colour_of(AUDIT_URGENT), totals.by_severity[AUDIT_URGENT],
                "needs a person now", "need a person now", "");
    print_count(table, colour_of(AUDIT_ATTENTION), totals.by_severity[AUDIT_ATTENTION],
                "needs a person, or the gate", "need a person, or the gate", "");
    print_count(table, colour_of(AUDIT_NOTE), totals.by_severity[AUDIT_NOTE],
                "works, with something to know", "work, with something to know", "");
    print_count(table, colour_of(AUDIT_FINE), totals.by_severity[AUDIT_FINE], "is well", "are well",
                table->style->all || report->count == 0 ? "" : " (--all lists them)");
    print_refused(table, &totals);
    print_count(table, "", totals.duplicates, "stored certificate", "stored certificates",
                " came while another was fresh, which the gate prevents");
    print_count(table, "", totals.changes, "change to the queue", "changes to the queue",
                " would be made by a sweep");
    print_count(table, "", report->manual, "further domain is", "further domains are",
                " managed by hand");
}

/* ---- all of it ---- */

static int name_width(const struct audit_report *report, const struct audit_style *style)
{
    int most = style->width > FIGURES_WIDTH + 3 + NAME_LEAST ? (int)style->width - FIGURES_WIDTH - 3
                                                             : NAME_LEAST;
    int width = NAME_LEAST;
    for (size_t i = 0; i < report->count; i++) {
        int len = (int)strnlen(report->rows[i].name, NAME_MOST);
        width = len > width ? len : width;
    }
    return width < most ? width : most;
}

static bool is_listed(const struct audit_style *style, const struct audit_row *row)
{
    return style->all || row->verdict.severity != AUDIT_FINE;
}

void audit_report_print(const struct audit_report *report, const struct audit_style *style,
                        FILE *out)
{
    const struct table table = {
        .report = report,
        .style = style,
        .out = out,
        .name_width = name_width(report, style),
    };
    size_t listed = 0;
    for (size_t i = 0; i < report->count; i++) {
        if (!is_listed(style, &report->rows[i]))
            continue;
        if (listed++ == 0)
            fprintf(out, "   %-*s %7s %7s %8s %5s %6s  %s\n", table.name_width, "DOMAIN", "EXPIRES",
                    "RENEWAL", "STORED", "ISSUED", "TASKS", "CREATE NOW");
        table_print_row(&table, &report->rows[i]);
    }
    if (listed > 0)
        fputc('\n', out);
    print_summary(&table);
}
