#include "proxy/audit/audit_command.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "proxy/audit/audit_report.h"
#include "proxy/base/plain_text.h"
#include "proxy/jobs/job.h"

#define EXIT_ATTENTION 1
#define EXIT_NO_AUDIT 2
/* A person waits: a server that is there and busy is asked more often than one that is not. */
#define TRIES_MAX 9
#define UNANSWERED_MAX 2
#define WIDTH_DEFAULT 80
#define WIDTH_OF_NAMES 120

struct auditor {
    struct gate *gate;
    const struct audit_options *options;
    FILE *out, *errors;
    bool shows_progress;
    struct job job;
    struct audit *audit;
    struct tls_probe *probe; /* or NULL */
    struct audit_report report;
    bool no_memory;
};

/* ---- options ---- */

const char audit_usage[] =
    "renewgate audit: read all domains with automatic certificates, change nothing, tell\n"
    "how they are\n\n"
    "  --all              also those in good state\n"
    "  --domain NAME      this domain only\n"
    "  --json             one JSON document in place of a table\n"
    "  --probe HOST:PORT  ask this TLS listener which certificate it shows for each name\n\n"
    "It needs RENEWGATE_UPSTREAM_URL and RENEWGATE_SERVICE_AUTHORIZATION. Exit status: 0\n"
    "all is well, 1 something needs a person, 2 there is no audit and a line says why.\n\n"
    "  renewgate audit --domain example.org --probe 127.0.0.1:443\n";

bool audit_options_read(struct audit_options *options, int count, char **arguments)
{
    *options = (struct audit_options){.json = false};
    for (int i = 0; i < count; i++) {
        const char *argument = arguments[i];
        bool valued = i + 1 < count && arguments[i + 1][0] != '\0';
        if (strcmp(argument, "--json") == 0)
            options->json = true;
        else if (strcmp(argument, "--all") == 0)
            options->all = true;
        else if (strcmp(argument, "--domain") == 0 && valued)
            options->domain = arguments[++i];
        else if (strcmp(argument, "--probe") == 0 && valued)
            options->listener = arguments[++i];
        else
            return false;
    }
    return true;
}

/* ---- progress, where someone looks ---- */

static void clear_progress(const struct auditor *auditor)
{
    if (auditor->shows_progress)
        fputs("\r\033[K", auditor->errors);
}

static void show_reading(void *user)
{
    const struct auditor *auditor = user;
    struct audit_progress progress = audit_progress(auditor->audit);
    if (!auditor->shows_progress)
        return;
    fprintf(auditor->errors, "\r\033[Kreading: %lu requests, %zu tasks, %zu of %zu domains",
            auditor->job.requests, progress.tasks, progress.judged, progress.domains);
    fflush(auditor->errors);
}

static void show_waiting(void *user, int64_t milliseconds)
{
    const struct auditor *auditor = user;
    if (!auditor->shows_progress)
        return;
    fprintf(auditor->errors, "\r\033[Kthe server asks for a pause of %lld s",
            (long long)milliseconds / 1000);
    fflush(auditor->errors);
}

static void show_probing(void *user, size_t done)
{
    const struct auditor *auditor = user;
    if (!auditor->shows_progress)
        return;
    fprintf(auditor->errors, "\r\033[Kasking %s: %zu names", auditor->options->listener, done);
    fflush(auditor->errors);
}

/* ---- reading ---- */

static wall_time audit_command_now(void *user)
{
    const struct auditor *auditor = user;
    return server_clock_now(&auditor->gate->clock);
}

static bool judged(void *user, const struct audit_domain *domain)
{
    struct auditor *auditor = user;
    return audit_report_add(&auditor->report, domain);
}

static void text(void *user, const struct lookup_domain *domain,
                 const struct lookup_certificate *certificate, const char *pem)
{
    struct auditor *auditor = user;
    auditor->no_memory |= !audit_report_add_text(&auditor->report, domain, certificate, pem);
}

/* NULL, or why not; static. */
static const char *read_all(struct auditor *auditor)
{
    const struct audit_context context = {
        .settings = &auditor->gate->config->hold,
        .memory = auditor->gate->memory,
        .only = auditor->options->domain,
        .every_certificate = true,
        .now = audit_command_now,
        .judged = judged,
        .text = auditor->probe != NULL ? text : NULL,
        .user = auditor,
    };
    auditor->audit = audit_create(&context);
    if (auditor->audit == NULL)
        return "out of memory";
    job_run(&auditor->job, &audit_machine, auditor->audit, NULL);
    const char *error = audit_error(auditor->audit);
    auditor->report.manual = audit_progress(auditor->audit).manual;
    auditor->report.requests = auditor->job.requests;
    auditor->report.now = audit_command_now(auditor);
    audit_destroy(auditor->audit);
    return auditor->no_memory ? "out of memory" : error;
}

/* ---- asking the listener ---- */

static size_t count_names(const struct audit_report *report)
{
    size_t count = 0;
    for (size_t i = 0; i < report->count; i++)
        count += report->rows[i].names.count;
    return count;
}

/* False when memory runs out. */
static bool serve_rows(struct audit_report *report, const struct tls_answer *answers)
{
    for (size_t i = 0; i < report->count; i++) {
        struct audit_row *row = &report->rows[i];
        row->services = calloc(row->names.count + 1, sizeof *row->services);
        if (row->services == NULL)
            return false;
        for (size_t n = 0; n < row->names.count; n++)
            audit_report_serve(report, row, n, answers++);
    }
    return true;
}

static const char *probe_all(struct auditor *auditor)
{
    struct audit_report *report = &auditor->report;
    size_t count = count_names(report), next = 0;
    const char **names = calloc(count + 1, sizeof *names);
    struct tls_answer *answers = calloc(count + 1, sizeof *answers);
    for (size_t i = 0; names != NULL && i < report->count; i++) {
        for (size_t n = 0; n < report->rows[i].names.count; n++)
            names[next++] = report->rows[i].names.names[n];
    }
    bool done = names != NULL && answers != NULL &&
                tls_probe_ask(auditor->probe, names, count, answers, show_probing, auditor) &&
                serve_rows(report, answers);
    free(names);
    free(answers);
    return done ? NULL : "out of memory";
}

/* ---- telling ---- */

/* Of the terminal; a pipe has none. */
static unsigned width_of(FILE *out)
{
    struct winsize size;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return WIDTH_DEFAULT;
    return size.ws_col;
}

/* https://no-color.org: any value but an empty one. */
static bool wants_colours(FILE *out)
{
    const char *no_colour = getenv("NO_COLOR"), *kind = getenv("TERM");
    bool refused = no_colour != NULL && no_colour[0] != '\0';
    return isatty(fileno(out)) && !refused && (kind == NULL || strcmp(kind, "dumb") != 0);
}

/* False after a line on `errors`. */
static bool audit_command_tell(struct auditor *auditor)
{
    unsigned width = width_of(auditor->out);
    const struct audit_style style = {
        .colours = wants_colours(auditor->out),
        .all = auditor->options->all || auditor->options->domain != NULL,
        .names = auditor->options->domain != NULL || width >= WIDTH_OF_NAMES,
        .width = width,
    };
    bool done = true;
    audit_report_sort(&auditor->report);
    if (auditor->options->json)
        done = audit_report_print_json(&auditor->report, auditor->out);
    else
        audit_report_print(&auditor->report, &style, auditor->out);
    if (fflush(auditor->out) == 0 && !ferror(auditor->out) && done)
        return true;
    fputs("renewgate: the audit could not be written\n", auditor->errors);
    return false;
}

static int status_of(const struct audit_report *report)
{
    struct audit_totals totals = audit_report_totals(report);
    bool needed = totals.by_severity[AUDIT_URGENT] + totals.by_severity[AUDIT_ATTENTION] > 0;
    return needed ? EXIT_ATTENTION : EXIT_SUCCESS;
}

static bool audit_command_complain(const struct auditor *auditor, const char *error)
{
    const char *detail = auditor->job.detail;
    fprintf(auditor->errors, "renewgate: no audit: %s%s", error, detail[0] != '\0' ? ": " : "");
    plain_text_print(auditor->errors, detail, 0);
    fprintf(auditor->errors, " (%s)\n", auditor->gate->config->upstream_url);
    return false;
}

/* False after a line on `errors`. */
static bool audit_command_gather(struct auditor *auditor)
{
    const char *error = read_all(auditor);
    if (error == NULL && auditor->probe != NULL)
        error = probe_all(auditor);
    clear_progress(auditor);
    if (error != NULL)
        return audit_command_complain(auditor, error);
    if (auditor->options->domain != NULL && auditor->report.count + auditor->report.manual == 0)
        return audit_command_complain(auditor, "the server has no domain of that name");
    return true;
}

static int audit_command_run(struct auditor *auditor)
{
    const struct job_settings settings = {
        .tries_max = TRIES_MAX,
        .unanswered = UNANSWERED_MAX,
        .watcher = {.asks = show_reading, .waits = show_waiting, .user = auditor},
    };
    int status = EXIT_NO_AUDIT;
    if (!job_open(&auditor->job, auditor->gate, &settings))
        audit_command_complain(auditor, "out of memory or files");
    else if (audit_command_gather(auditor) && audit_command_tell(auditor))
        status = status_of(&auditor->report);
    job_close(&auditor->job);
    audit_report_clear(&auditor->report);
    return status;
}

int audit_command(struct gate *gate, const struct audit_options *options, FILE *out, FILE *errors)
{
    struct auditor auditor = {
        .gate = gate,
        .options = options,
        .out = out,
        .errors = errors,
        .shows_progress = isatty(fileno(errors)),
        .report = {.server = gate->config->upstream_url, .listener = options->listener},
    };
    const char *error;
    if (gate->config->service_authorization == NULL) {
        fputs("renewgate: an audit needs RENEWGATE_SERVICE_AUTHORIZATION\n", errors);
        return EXIT_NO_AUDIT;
    }
    if (options->listener != NULL) {
        auditor.probe = tls_probe_open(options->listener, &error);
        if (auditor.probe == NULL) {
            fprintf(errors, "renewgate: --probe \"%s\": %s\n", options->listener, error);
            return EXIT_NO_AUDIT;
        }
    }
    int status = audit_command_run(&auditor);
    tls_probe_close(auditor.probe);
    return status;
}
