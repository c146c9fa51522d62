#include <inttypes.h>

#include "policy/audit.h"
#include "proxy/base/plain_text.h"
#include "proxy/jobs/explanation.h"

/* "2026-12-01T00:00:00Z (in 47 h)", or what stands for no such time. */
static void print_time(FILE *out, wall_time now, wall_time time, const char *never)
{
    char at[WALL_TIME_TEXT_SIZE], span[AUDIT_SPAN_SIZE];
    if (wall_time_is_bound(time)) {
        fputs(never, out);
        return;
    }
    bool ahead = wall_time_before(now, time);
    wall_time_format(time, at);
    audit_span(ahead ? now : time, ahead ? time : now, span);
    fprintf(out, "%s (%s%s%s)", at, ahead ? "in " : "", span, ahead ? "" : " ago");
}

static void print_decision(const struct explanation *explanation, FILE *out)
{
    const struct decision *decision = &explanation->decision;
    plain_text_print(out, explanation->name, 0);
    fprintf(out, " (id %s)\n\na create now: %s, row %u of the table: %s\n", explanation->id,
            outcome_name(decision->outcome), decision->row, decision->why);
    if (explanation->answered[0] != '\0') {
        fputs("  answered with ", out);
        plain_text_print(out, explanation->answered, 0);
        fputc('\n', out);
    }
    if (!wall_time_equal(decision->due, WALL_TIME_NEVER)) {
        fputs("  due ", out);
        print_time(out, explanation->facts.now, decision->due, "");
        fputc('\n', out);
    }
    if (explanation->unread != NULL)
        fprintf(out, "  the server could not be read: %s\n", explanation->unread);
}

static void print_rows(const struct decision_trace *trace, FILE *out)
{
    fputs("\nthe table, from its top to the row that fits\n", out);
    for (size_t i = 0; i < trace->count; i++) {
        const struct decision_step *step = &trace->steps[i];
        fprintf(out, "  %-3s  row %-2u  %s\n", step->fits ? "YES" : "no", step->row, step->asks);
    }
}

static void print_certificate(const struct explanation *explanation, FILE *out)
{
    const struct lookup_domain *found = explanation->found;
    wall_time now = explanation->facts.now;
    fputs("\nnames of its certificate\n", out);
    for (size_t i = 0; i < found->names.count; i++) {
        fputs("  ", out);
        plain_text_print(out, found->names.names[i], 0);
        fputc('\n', out);
    }
    fputs("\ncertificate with exactly these names\n", out);
    if (found->certificate_id[0] == '\0') {
        fputs("  none\n", out);
        return;
    }
    fputs("  ", out);
    plain_text_print(out, found->certificate_id, 0);
    fputs("\n  issued  ", out);
    print_time(out, now, found->newest_begin, "-");
    fputs("\n  due     ", out);
    print_time(out, now, found->renewal_due, "-");
    fputs("\n  expires ", out);
    print_time(out, now, found->newest_expiry, "-");
    fputc('\n', out);
}

static void print_task(const struct explanation *explanation, const struct renewal_task *task,
                       FILE *out)
{
    const struct decision_facts *facts = &explanation->facts;
    bool failed = task->state == TASK_FAILED;
    fputs("  ", out);
    plain_text_print(out, task->id, 0);
    fprintf(out, "  %s%s ", task_state_name(task->state), failed ? "" : ", due");
    print_time(out, facts->now, failed ? task->failed_at : task->due, "-");
    if (renewal_task_stuck(task, facts->now, facts->settings.stuck_after_seconds))
        fputs(", stuck: it counts for nothing", out);
    if (task->other_order)
        fputs(", refused for other names or another CA", out);
    if (task->failure_reason != NULL) {
        fputs(": ", out);
        plain_text_print(out, task->failure_reason, 0);
    }
    fputc('\n', out);
}

static void print_tasks(const struct explanation *explanation, FILE *out)
{
    const struct lookup_domain *found = explanation->found;
    fputs("\ntasks\n", out);
    if (found->task_count == 0)
        fputs("  none\n", out);
    for (size_t i = 0; i < found->task_count; i++)
        print_task(explanation, &found->tasks[i], out);
}

static void print_held(const struct explanation *explanation, FILE *out)
{
    static const char *const words[HELD_SOURCES] = {
        [HELD_BY_CA] = "the CA's refusals, and RENEWGATE_ISSUE_LIMIT",
        [HELD_BY_FAILURES] = "orders that failed, RENEWGATE_FAILURE_BACKOFF",
        [HELD_BY_VALIDATIONS] = "failed validations, RENEWGATE_VALIDATION_LIMIT",
        [HELD_BY_ACCOUNT] = "the account's orders, RENEWGATE_ACCOUNT_LIMIT",
    };
    const struct held *held = &explanation->held;
    wall_time now = explanation->facts.now;
    fputs("\nH, before which nothing is asked of the CA: the latest of\n", out);
    for (int i = 0; i < HELD_SOURCES; i++) {
        fprintf(out, "  %-48s ", words[i]);
        print_time(out, now, held->by_source[i], "-");
        fputc('\n', out);
    }
    if (held->failures > 0) {
        fprintf(out, "  %zu failure%s since the last certificate, the last one: ", held->failures,
                held->failures == 1 ? "" : "s");
        plain_text_print(out, held->reason != NULL ? held->reason : "-", 0);
        fputc('\n', out);
    }
}

static void print_bucket(const struct explanation *explanation,
                         const struct hold_settings *settings, FILE *out)
{
    const struct issue_limit limit = settings->issue_limit;
    if (limit.burst == 0)
        return;
    fprintf(out, "\nbucket of the CA for these names: %u in %" PRId64 " h; next certificate: ",
            limit.burst, limit.window_seconds / 3600);
    print_time(out, explanation->facts.now, explanation->held.limited, "at once");
    fputc('\n', out);
}

struct advice explanation_advice(const struct explanation *explanation, const struct config *config)
{
    const struct lookup_domain *found = explanation->found;
    const struct decision_facts *read = &explanation->facts;
    const struct renewal_task *next = NULL;
    struct advice_facts facts = {.now = read->now,
                                 .renewable = true,
                                 .held_until = read->refused_until,
                                 .held_by = read->held_by,
                                 .failures = explanation->held.failures};
    for (size_t i = 0; i < found->task_count; i++) {
        const struct renewal_task *task = &found->tasks[i];
        if (task->state == TASK_FAILED)
            continue;
        facts.live++;
        facts.stuck |= renewal_task_stuck(task, read->now, read->settings.stuck_after_seconds);
        if (next == NULL || renewal_task_sooner(task, next))
            next = task;
    }
    facts.changes = facts.live > 1;
    facts.task_id = next != NULL ? next->id : "";
    return found->renewable ? advice_of(&facts, config->upstream_url) : (struct advice){0};
}

static void print_next(const struct explanation *explanation, const struct config *config,
                       FILE *out)
{
    const struct advice advice = explanation_advice(explanation, config);
    if (advice.words == NULL)
        return;
    fprintf(out, "\nnext: %s\n", advice.words);
    if (advice.command[0] != '\0')
        fprintf(out, "  $ %s\n", advice.command);
}

void explanation_print(const struct explanation *explanation, const struct config *config,
                       FILE *out)
{
    print_decision(explanation, out);
    print_rows(&explanation->trace, out);
    if (explanation->found == NULL)
        return;
    print_certificate(explanation, out);
    print_tasks(explanation, out);
    print_held(explanation, out);
    print_bucket(explanation, &config->hold, out);
    print_next(explanation, config, out);
}
