#include "proxy/jobs/sweep_command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "jmap/tidy/queue_change.h"
#include "jmap/queue/sweep.h"
#include "proxy/base/plain_text.h"
#include "proxy/jobs/sweeper.h"

struct printer {
    const struct sweep_options *options;
    FILE *out;
    FILE *errors;
    unsigned long changes;
    unsigned long skipped;
};

const char sweep_usage[] =
    "renewgate sweep: tidy up the queue of all domains once, as the gate itself does\n"
    "every now and then\n\n"
    "  --dry-run  tell what it would change, and change nothing\n"
    "  --json     a JSON object a line in place of a table\n\n"
    "It needs RENEWGATE_UPSTREAM_URL and RENEWGATE_SERVICE_AUTHORIZATION. Exit status: 0,\n"
    "or 1 where it did not come to its end or passed over a domain, and a line says why.\n\n"
    "  renewgate sweep --dry-run\n";

bool sweep_options_read(struct sweep_options *options, int count, char **arguments)
{
    *options = (struct sweep_options){0};
    for (int i = 0; i < count; i++) {
        if (strcmp(arguments[i], "--dry-run") == 0)
            options->dry_run = true;
        else if (strcmp(arguments[i], "--json") == 0)
            options->json = true;
        else
            return false;
    }
    return true;
}

/* NULL, which leaves the member out, for the bounds. */
static const char *time_text(wall_time time, char text[static WALL_TIME_TEXT_SIZE])
{
    if (wall_time_is_bound(time))
        return NULL;
    wall_time_format(time, text);
    return text;
}

static void sweep_print_json(const struct printer *printer, const struct queue_change *change)
{
    char due[WALL_TIME_TEXT_SIZE];
    char old_due[WALL_TIME_TEXT_SIZE];
    json_t *object =
        json_pack("{s:s, s:s, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*, s:s*}", "action",
                  queue_action_name(change->action), "domain_id", change->domain_id, "domain",
                  change->domain_name, "id", change->id, "due", time_text(change->due, due),
                  "survivor", change->survivor, "old_state", change->old_state, "old_due",
                  time_text(change->old_due, old_due), "old_reason", change->old_reason);
    char *text = object != NULL ? json_text_write_ascii(object, JSON_COMPACT) : NULL;
    if (text != NULL)
        fprintf(printer->out, "%s\n", text);
    free(text);
    json_decref(object);
}

static const char *or_dash(const char *text)
{
    return text != NULL ? text : "-";
}

static void sweep_print_row(const struct printer *printer, const struct queue_change *change)
{
    char due[WALL_TIME_TEXT_SIZE];
    char old_due[WALL_TIME_TEXT_SIZE];
    const char *name = change->domain_name != NULL ? change->domain_name : change->domain_id;
    if (printer->changes == 0)
        fprintf(printer->out, "%-10s  %-30s  %-13s  %-20s  %-20s  %s\n", "ACTION", "DOMAIN", "TASK",
                "WAS DUE", "IS DUE", "STAYS");
    fprintf(printer->out, "%-10s  ", queue_action_name(change->action));
    plain_text_print(printer->out, name, 30);
    fputs("  ", printer->out);
    plain_text_print(printer->out, or_dash(change->id), 13);
    fprintf(printer->out, "  %-20s  %-20s  ", or_dash(time_text(change->old_due, old_due)),
            or_dash(time_text(change->due, due)));
    plain_text_print(printer->out, or_dash(change->survivor), 0);
    fputc('\n', printer->out);
}

static void print_change(void *user, const struct queue_change *change)
{
    struct printer *printer = user;
    if (printer->options->json)
        sweep_print_json(printer, change);
    else
        sweep_print_row(printer, change);
    printer->changes++;
}

static void print_skip(void *user, const struct sweep_skip *skip)
{
    struct printer *printer = user;
    const char *name = skip->domain_name != NULL ? skip->domain_name : skip->domain_id;
    fprintf(printer->errors, "renewgate: %s was passed over: %s\n", name, skip->error);
    printer->skipped++;
}

int sweep_command(struct gate *gate, const struct sweep_options *options, FILE *out, FILE *errors)
{
    bool dry_run = options->dry_run || gate->config->hold.observe;
    struct printer printer = {.options = options, .out = out, .errors = errors};
    const struct sweeper_handler handler = {
        .changed = print_change, .skipped = print_skip, .user = &printer};
    const char *error = "it needs RENEWGATE_SERVICE_AUTHORIZATION";
    if (gate->config->service_authorization != NULL) {
        struct sweeper *sweeper = sweeper_create(gate, dry_run, &handler);
        error = sweeper != NULL ? sweeper_sweep(sweeper) : "out of memory";
        sweeper_destroy(sweeper);
    }
    if (error != NULL) {
        fprintf(errors, "renewgate: the sweep did not come to its end: %s\n", error);
        return EXIT_FAILURE;
    }
    if (!options->json)
        fprintf(out, "%lu change%s %s\n", printer.changes, printer.changes == 1 ? "" : "s",
                dry_run ? "to be made; none was, this is a dry run" : "made");
    return printer.skipped == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
