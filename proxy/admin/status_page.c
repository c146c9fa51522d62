#include "proxy/admin/status_page.h"

#include <inttypes.h>
#include <string.h>

#include "proxy/admin/markup.h"
#include "proxy/admin/status_chart.h"
#include "proxy/admin/status_style.h"
#include "proxy/base/version.h"

#define REFRESH_SECONDS 60
#define RECENT_SHOWN 6

/* What each outcome means. */
static const char *const outcome_words[OUTCOMES] = {
    [OUTCOME_FORWARD] = "Sent to the server as a renewal",
    [OUTCOME_SCHEDULE] = "Sent, to run later",
    [OUTCOME_EXISTING] = "Answered with a task that was there",
    [OUTCOME_MOVE] = "Answered with a task that was moved",
    [OUTCOME_NO_OP] = "Answered as done: not due",
    [OUTCOME_REFUSE] = "Refused for the moment",
    [OUTCOME_REJECTED] = "Rejected by the server",
    [OUTCOME_UNKNOWN] = "Sent, and the answer was lost",
};

static const char *const standing_words[STANDINGS] = {
    [STANDING_EXPIRED] = "expired",
    [STANDING_HELD] = "held",
    [STANDING_MISSING] = "no certificate",
    [STANDING_DUE] = "renewal due",
    [STANDING_FRESH] = "fresh",
};

static const char *const held_words[HELD_SOURCES] = {
    [HELD_BY_CA] = "the CA would refuse",
    [HELD_BY_FAILURES] = "its orders fail",
    [HELD_BY_VALIDATIONS] = "too many validations failed",
    [HELD_BY_ACCOUNT] = "the CA&#39;s account has other orders first",
};

static bool is_known(wall_time time)
{
    return !wall_time_equal(time, WALL_TIME_NEVER);
}

/* "in 3 d 4 h", and the day under it. */
static void put_day_of(struct markup *markup, wall_time time, wall_time now)
{
    markup_distance(markup, time, now);
    markup_put(markup, "<small class=\"muted\"> ");
    markup_date(markup, time);
    markup_put(markup, "</small>");
}

/* "in 3 d 4 h", and the time itself under it. */
static void put_when(struct markup *markup, wall_time time, wall_time now)
{
    markup_distance(markup, time, now);
    markup_put(markup, "<small class=\"muted\"> ");
    markup_time(markup, time);
    markup_put(markup, "</small>");
}

static void put_tile(struct markup *markup, const char *name, uint64_t number)
{
    markup_put(markup, "<div><dt>%s</dt><dd>%" PRIu64 "</dd></div>", name, number);
}

/* To be pasted. */
static void put_command(struct markup *markup, const char *command)
{
    markup_put(markup, "<code>");
    markup_text(markup, command);
    markup_put(markup, "</code>");
}

/* What holds a domain, and why its last order failed. */
static void put_reason(struct markup *markup, const struct domain_snapshot *snapshot, wall_time now)
{
    if (wall_time_before(now, snapshot->refused_until))
        markup_put(markup, "<small>%s</small>", held_words[snapshot->held_by]);
    if (snapshot->failures > 0) {
        markup_put(markup, "<small class=\"muted\">%u failure%s since its last certificate: ",
                   snapshot->failures, snapshot->failures == 1 ? "" : "s");
        markup_name(markup, snapshot->failure);
        markup_put(markup, "</small>");
    }
}

/* ---- the page's parts ---- */

static void put_head(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                       "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">");
    if (status->query.refresh)
        markup_put(markup, "<meta http-equiv=\"refresh\" content=\"%d\">", REFRESH_SECONDS);
    markup_put(markup, "<title>renewgate: status</title>"
                       "<link rel=\"icon\" href=\"/favicon.svg\" type=\"image/svg+xml\"><style>");
    /* Its length may be more than a format takes at once. */
    markup->fine = markup->fine && buffer_append(markup->out, status_style, strlen(status_style));
    markup_put(markup, "</style></head><body>\n");
}

/* Nothing while the server takes it. */
static void put_credential(struct markup *markup, const struct status *status)
{
    char command[STATUS_RETRY_SIZE];
    if (!status->credential_rests)
        return;
    markup_put(markup, "<section aria-labelledby=\"credential\"><h2 id=\"credential\">The server "
                       "refuses the gate&#39;s own credential</h2><p>Since ");
    markup_time(markup, status->credential_refused);
    markup_put(markup, ". Until it is accepted there are no sweeps and no surveys. It is tried "
                       "again ");
    markup_distance(markup, status->credential_tried, status->now);
    status_credential_retry(command);
    markup_put(markup, ", when its file holds another one, or at once by");
    put_command(markup, command);
    markup_put(markup, "</p></section>\n");
}

static void put_header(struct markup *markup, const struct status *status)
{
    const struct config *config = status->gate->config;
    markup_put(markup, "<header><h1>renewgate</h1><p>%s in front of ",
               config->hold.observe ? "Observing, without changing anything," : "On guard");
    markup_name(markup, config->upstream_url);
    markup_put(markup, ".</p><p class=\"muted\">As of ");
    markup_time(markup, status->now);
    markup_put(markup, ". Running since ");
    markup_time(markup, status->gate->started);
    markup_put(markup, ".</p></header>\n<main>");
    put_credential(markup, status);
    markup_put(markup, "<dl class=\"tiles\">");
    const uint64_t *totals = status->history.totals;
    put_tile(markup, "Creates in the last day", status->history.total);
    put_tile(markup, "Sent to the server", totals[OUTCOME_FORWARD] + totals[OUTCOME_SCHEDULE]);
    put_tile(markup, "Domains seen", status->domain_count);
    put_tile(markup, "Held", status->held.total);
    put_tile(markup, "Expired or missing",
             status->standings[STANDING_EXPIRED] + status->standings[STANDING_MISSING]);
    markup_put(markup,
               "</dl>\n<nav aria-label=\"Parts of this page\"><p>"
               "<a href=\"#next\">What to do</a> <a href=\"#held\">Held</a> <a href=\"#queue\">The "
               "queue</a> "
               "<a href=\"#domains\">Domains</a> <a href=\"#day\">The last day</a></p></nav>\n");
}

static void put_counts(struct markup *markup, const struct history_view *history)
{
    markup_put(markup, "<table><caption class=\"hide\">Decisions of the last day by outcome"
                       "</caption><thead><tr><th scope=\"col\">What became of a create</th>"
                       "<th scope=\"col\" class=\"count\">Count</th></tr></thead><tbody>");
    for (enum outcome outcome = 0; outcome < OUTCOMES; outcome++) {
        markup_put(markup,
                   "<tr><td><svg class=\"key\" viewBox=\"0 0 10 10\" aria-hidden=\"true\">"
                   "<rect class=\"%s\" width=\"10\" height=\"10\" rx=\"2\"/></svg>%s</td>"
                   "<td class=\"count\">%" PRIu64 "</td></tr>",
                   status_chart_class(outcome), outcome_words[outcome], history->totals[outcome]);
    }
    markup_put(markup, "</tbody></table>");
}

/* The timeline in numbers, four bars a row. */
static void put_hours(struct markup *markup, const struct history_view *history)
{
    markup_put(markup, "<details><summary>The timeline as a table</summary><table><thead><tr>"
                       "<th scope=\"col\">From</th><th scope=\"col\" class=\"count\">Sent</th>"
                       "<th scope=\"col\" class=\"count\">Other</th></tr></thead><tbody>");
    for (size_t hour = 0; hour < HISTORY_SLOTS / 4; hour++) {
        uint64_t sent = 0;
        uint64_t total = 0;
        for (size_t i = hour * 4; i < hour * 4 + 4; i++) {
            const uint32_t *counts = history->slots[i].counts;
            sent += (uint64_t)counts[OUTCOME_FORWARD] + counts[OUTCOME_SCHEDULE];
            for (size_t outcome = 0; outcome < OUTCOMES; outcome++)
                total += counts[outcome];
        }
        markup_put(markup, "<tr><td>");
        markup_time(markup, history->slots[hour * 4].begins);
        markup_put(markup,
                   "</td><td class=\"count\">%" PRIu64 "</td><td class=\"count\">%" PRIu64
                   "</td></tr>",
                   sent, total - sent);
    }
    markup_put(markup, "</tbody></table></details>");
}

/* Of one decision, in two lines. */
static void put_decision(struct markup *markup, const struct history_decision *decision,
                         wall_time now)
{
    markup_put(markup, "<tr><th scope=\"row\">");
    markup_name(markup, decision->domain[0] != '\0' ? decision->domain : decision->domain_id);
    markup_put(markup, "<small class=\"muted\">");
    markup_distance(markup, decision->at, now);
    markup_put(markup, "</small></th><td>%s%s<small class=\"muted\">",
               outcome_words[decision->outcome], decision->observed ? " (observed)" : "");
    markup_text(markup, decision->why);
    markup_put(markup, "</small></td></tr>");
}

static void put_recent(struct markup *markup, const struct status *status)
{
    const struct history_view *history = &status->history;
    markup_put(markup, "<table><caption class=\"hide\">The latest decisions</caption><thead><tr>"
                       "<th scope=\"col\" class=\"name\">Latest</th>"
                       "<th scope=\"col\">Outcome</th></tr></thead>"
                       "<tbody>");
    for (size_t i = 0; i < history->recent_count && i < RECENT_SHOWN; i++)
        put_decision(markup, &history->recent[i], status->now);
    markup_put(markup, "</tbody></table>");
}

static void put_day(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<section aria-labelledby=\"day\"><h2 id=\"day\">The last day</h2>");
    if (status->history.total == 0)
        markup_put(markup, "<p class=\"muted\">No create of a renewal has come.</p>");
    else
        status_chart_timeline(markup, &status->history);
    markup_put(markup, "<div class=\"split\"><div>");
    put_counts(markup, &status->history);
    markup_put(markup, "</div><div>");
    if (status->history.recent_count > 0)
        put_recent(markup, status);
    markup_put(markup, "</div></div>");
    put_hours(markup, &status->history);
    markup_put(markup, "</section>\n");
}

/* What of a list there was no room for. */
static void put_rest(struct markup *markup, const struct status_list *list)
{
    markup_put(markup, "</tbody></table>");
    if (list->total > list->count)
        markup_put(markup, "<p class=\"muted\">and %zu more</p>", list->total - list->count);
}

static void put_held(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<section aria-labelledby=\"held\"><h2 id=\"held\">Held</h2>");
    if (status->held.total == 0) {
        markup_put(markup,
                   "<p class=\"muted\">None: every order could go to the CA.</p></section>");
        return;
    }
    markup_put(markup, "<p class=\"muted\">Nothing is asked of the CA for these yet.</p>"
                       "<table><thead><tr><th scope=\"col\">Domain</th><th "
                       "scope=\"col\">Ends</th></tr></thead><tbody>");
    for (size_t i = 0; i < status->held.count; i++) {
        const struct domain_snapshot *snapshot = &status->held.domains[i].snapshot;
        markup_put(markup, "<tr><th scope=\"row\">");
        markup_name(markup, snapshot->name);
        put_reason(markup, snapshot, status->now);
        markup_put(markup, "</th><td>");
        put_when(markup, snapshot->refused_until, status->now);
        markup_put(markup, "</td></tr>");
    }
    put_rest(markup, &status->held);
    markup_put(markup, "</section>");
}

/* Nothing while all goes its way. */
static void put_next(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<section aria-labelledby=\"next\"><h2 id=\"next\">What to do</h2>");
    if (status->acted_on.total == 0) {
        markup_put(markup, "<p class=\"muted\">Nothing.</p></section>\n");
        return;
    }
    markup_put(markup, "<table><thead><tr><th scope=\"col\" class=\"name\">Domain</th>"
                       "<th scope=\"col\">Next</th></tr></thead><tbody>");
    for (size_t i = 0; i < status->acted_on.count; i++) {
        const struct domain_snapshot *snapshot = &status->acted_on.domains[i].snapshot;
        const struct advice advice = status_advice(status, snapshot);
        char explain[ADVICE_COMMAND_SIZE];
        advice_explain(snapshot->name, explain);
        markup_put(markup, "<tr><th scope=\"row\">");
        markup_name(markup, snapshot->name);
        put_reason(markup, snapshot, status->now);
        markup_put(markup, "</th><td>");
        markup_text(markup, advice.words != NULL ? advice.words : "nothing");
        if (advice.command[0] != '\0')
            put_command(markup, advice.command);
        if (explain[0] != '\0')
            put_command(markup, explain);
        markup_put(markup, "</td></tr>");
    }
    put_rest(markup, &status->acted_on);
    markup_put(markup, "</section>\n");
}

/* Due in the past means that it is running, or about to. */
static void put_task(struct markup *markup, const struct domain_snapshot *snapshot,
                     const struct status *status)
{
    if (snapshot->task_count == 0) {
        markup_put(markup, "none");
        return;
    }
    put_when(markup, snapshot->task_due, status->now);
    if (domain_snapshot_is_stuck(snapshot, status->gate->config->hold.table.stuck_after_seconds))
        markup_put(markup, "<small class=\"muted\"> and has not run: stuck</small>");
    if (snapshot->task_retries)
        markup_put(markup, "<small class=\"muted\"> after a failure</small>");
    if (snapshot->task_count > 1)
        markup_put(markup, "<small class=\"muted\"> and %u more</small>", snapshot->task_count - 1);
}

static void put_queue(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<section aria-labelledby=\"queue\"><h2 id=\"queue\">The queue</h2>");
    if (status->queue.total == 0) {
        markup_put(markup, "<p class=\"muted\">No renewal was queued when last seen.</p>"
                           "</section>");
        return;
    }
    markup_put(markup,
               "<p class=\"muted\">%zu tasks of %zu domains, as last seen; the next ones:</p>"
               "<table><thead><tr><th scope=\"col\">Domain</th><th scope=\"col\">Due</th></tr>"
               "</thead><tbody>",
               status->task_count, status->queue.total);
    for (size_t i = 0; i < status->queue.count; i++) {
        const struct domain_snapshot *snapshot = &status->queue.domains[i].snapshot;
        markup_put(markup, "<tr><th scope=\"row\">");
        markup_name(markup, snapshot->name);
        markup_put(markup, "</th><td>");
        put_task(markup, snapshot, status);
        markup_put(markup, "</td></tr>");
    }
    put_rest(markup, &status->queue);
    markup_put(markup, "</section>");
}

/* ---- the domains ---- */

static void put_domain(struct markup *markup, const struct domain_snapshot *snapshot,
                       const struct status *status)
{
    wall_time now = status->now;
    enum standing standing = domain_snapshot_standing(snapshot, now);
    markup_put(markup, "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">");
    markup_name(markup, snapshot->name);
    markup_put(markup, "<small class=\"muted\">seen ");
    markup_distance(markup, snapshot->seen, now);
    markup_put(markup, "</small>");
    markup_put(markup, "</th><td role=\"cell\"><span class=\"state %s\">%s</span></td>",
               standing_name(standing), standing_words[standing]);
    markup_put(markup, "<td role=\"cell\" class=\"wide\">");
    if (is_known(snapshot->not_after))
        status_chart_life(markup, snapshot, now);
    markup_put(markup, "</td><td role=\"cell\" data-of=\"Renewal due\">");
    if (is_known(snapshot->not_after))
        put_day_of(markup, snapshot->renewal_due, now);
    markup_put(markup, "</td><td role=\"cell\" data-of=\"Expires\">");
    if (is_known(snapshot->not_after))
        put_day_of(markup, snapshot->not_after, now);
    markup_put(markup, "</td><td role=\"cell\" data-of=\"Task\">");
    put_task(markup, snapshot, status);
    markup_put(markup, "</td></tr>\n");
}

static void put_page_link(struct markup *markup, const struct status *status, size_t page,
                          const char *words)
{
    if (page < 1 || page > status->pages)
        return;
    markup_put(markup, "<a href=\"/?domain=");
    markup_query_value(markup, status->query.domain);
    markup_put(markup, "&amp;page=%zu#domains\">%s</a>", page, words);
}

static void put_filter(struct markup *markup, const struct status *status)
{
    markup_put(markup,
               "<form method=\"get\" action=\"/#domains\" role=\"search\"><label for=\"domain\">"
               "Part of a name</label><input type=\"search\" id=\"domain\" "
               "name=\"domain\" maxlength=\"%d\" value=\"",
               DOMAIN_SNAPSHOT_NAME_SIZE - 1);
    markup_text(markup, status->query.domain);
    markup_put(markup, "\"><button type=\"submit\">Show</button></form>");
}

static void put_table(struct markup *markup, const struct status *status)
{
    static const char *const columns[] = {"Domain",      "State",   "Certificate",
                                          "Renewal due", "Expires", "Task"};
    markup_put(markup, "<table class=\"cards\" role=\"table\"><caption class=\"hide\">Domains, "
                       "worst first</caption><thead role=\"rowgroup\"><tr role=\"row\">");
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++)
        markup_put(markup, "<th role=\"columnheader\" scope=\"col\">%s</th>", columns[i]);
    markup_put(markup, "</tr></thead><tbody role=\"rowgroup\">\n");
    for (size_t i = 0; i < status->matching.count; i++)
        put_domain(markup, &status->matching.domains[i].snapshot, status);
    markup_put(markup, "</tbody></table>");
}

static void put_pages(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<nav aria-label=\"Pages of domains\"><p>");
    put_page_link(markup, status, status->query.page - 1, "Previous");
    markup_put(markup, "<span class=\"muted\">Page %zu of %zu </span>", status->query.page,
               status->pages);
    put_page_link(markup, status, status->query.page + 1, "Next");
    markup_put(markup, "</p></nav>");
}

static void put_no_match(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<p>None of %zu domains has this in its name: ", status->domain_count);
    markup_name(markup, status->query.domain);
    markup_put(markup, ". <a href=\"/#domains\">Show all</a></p>");
}

static void put_domains(struct markup *markup, const struct status *status)
{
    markup_put(markup, "<section aria-labelledby=\"domains\"><h2 id=\"domains\">Domains</h2>");
    put_filter(markup, status);
    if (status->domain_count == 0) {
        markup_put(markup, "<p class=\"muted\">None yet: the gate shows what it has looked up "
                           "since it was started.</p></section>");
        return;
    }
    if (status->matching.total == 0) {
        put_no_match(markup, status);
    } else {
        markup_put(markup,
                   "<p class=\"muted\">%zu of %zu, worst first. The bar is the "
                   "certificate&#39;s life up to now; the mark in it is the renewal.</p>",
                   status->matching.total, status->domain_count);
        put_table(markup, status);
        put_pages(markup, status);
    }
    markup_put(markup, "</section>\n");
}

/* Of the one domain that is asked for by its whole name; nothing for any other. */
static void put_explanation(struct markup *markup, const struct status *status)
{
    const json_t *create = json_object_get(status->explanation, "create");
    const json_t *rows = json_object_get(status->explanation, "rows");
    const char *error = json_string_value(json_object_get(status->explanation, "error"));
    size_t i;
    json_t *row;
    if (status->explanation == NULL)
        return;
    markup_put(markup, "<section aria-labelledby=\"why\"><h2 id=\"why\">A create now for ");
    markup_name(markup, status->query.domain);
    markup_put(markup, "</h2>");
    if (create == NULL) {
        markup_put(markup, "<p class=\"muted\">No explanation: ");
        markup_text(markup, error != NULL ? error : "");
        markup_put(markup, ".</p></section>\n");
        return;
    }
    markup_put(markup, "<p>");
    markup_text(markup, json_string_value(json_object_get(create, "outcome")));
    markup_put(markup, ": ");
    markup_text(markup, json_string_value(json_object_get(create, "why")));
    markup_put(markup, "</p><table><caption class=\"hide\">The table, from its top to the row that "
                       "fits</caption><thead><tr><th scope=\"col\">Row</th><th scope=\"col\">"
                       "Where</th><th scope=\"col\">It fits</th></tr></thead><tbody>");
    json_array_foreach(rows, i, row)
    {
        markup_put(markup, "<tr><td>%" JSON_INTEGER_FORMAT "</td><td>",
                   json_integer_value(json_object_get(row, "row")));
        markup_name(markup, json_string_value(json_object_get(row, "when")));
        markup_put(markup, "</td><td>%s</td></tr>",
                   json_is_true(json_object_get(row, "fits")) ? "yes" : "no");
    }
    markup_put(markup, "</tbody></table><p class=\"muted\">The facts are in <a "
                       "href=\"/status.json?domain=");
    markup_query_value(markup, status->query.domain);
    markup_put(markup, "\">the same as JSON</a>.</p></section>\n");
}

static void put_footer(struct markup *markup, const struct status *status)
{
    markup_put(markup,
               "</main>\n<footer><nav aria-label=\"Other pages\">"
               "<a href=\"/status.json\">The same as JSON</a>"
               "<a href=\"/metrics\">Metrics</a><a href=\"%s\">%s</a></nav>"
               "<p class=\"muted\"><small>renewgate %s</small></p></footer>"
               "</body></html>\n",
               status->query.refresh ? "/" : "/?refresh=1",
               status->query.refresh ? "Stop refreshing" : "Refresh every minute",
               RENEWGATE_VERSION);
}

bool status_page_render(const struct status *status, struct buffer *out)
{
    struct markup markup = {.out = out, .fine = true};
    put_head(&markup, status);
    put_header(&markup, status);
    put_next(&markup, status);
    markup_put(&markup, "<div class=\"split\">");
    put_held(&markup, status);
    put_queue(&markup, status);
    markup_put(&markup, "</div>\n");
    put_domains(&markup, status);
    put_explanation(&markup, status);
    put_day(&markup, status);
    put_footer(&markup, status);
    return markup.fine;
}
