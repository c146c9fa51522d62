#include "proxy/admin/domain_metrics.h"

#include <inttypes.h>
#include <string.h>

#include "jmap/facts/domain_snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/base/plain_text.h"

struct summary {
    wall_time now;
    size_t standings[STANDINGS];
    size_t held_by[HELD_SOURCES];
    size_t failing;
    size_t tasks;
    int64_t stuck_after_seconds;
    size_t stuck;
};

static void summarise(void *user, const struct domain_snapshot *snapshot)
{
    struct summary *summary = user;
    summary->standings[domain_snapshot_standing(snapshot, summary->now)]++;
    summary->held_by[snapshot->held_by] += wall_time_before(summary->now, snapshot->refused_until);
    summary->failing += snapshot->failures > 0;
    summary->tasks += snapshot->task_count;
    summary->stuck += domain_snapshot_is_stuck(snapshot, summary->stuck_after_seconds);
}

static bool render_held(const struct summary *summary, struct buffer *out)
{
    bool fine = metrics_render_head(out, "renewgate_held_domains", "gauge",
                                    "Those for which nothing is asked of the CA yet, by why.");
    for (int by = 0; by < HELD_SOURCES; by++)
        fine = fine && buffer_format(out, "renewgate_held_domains{by=\"%s\"} %zu\n",
                                     held_by_name((enum held_by)by), summary->held_by[by]);
    return fine &&
           metrics_render_head(out, "renewgate_failing_domains", "gauge",
                               "Those whose orders have failed since their last certificate.") &&
           buffer_format(out, "renewgate_failing_domains %zu\n", summary->failing);
}

static bool render_summary(const struct gate *gate, struct buffer *out)
{
    struct summary summary = {.stuck_after_seconds = gate->config->hold.table.stuck_after_seconds,
                              .now = clock_wall()};
    domain_snapshots_each(gate->snapshots, summarise, &summary);
    bool fine =
        metrics_render_head(out, "renewgate_domains", "gauge",
                            "Domains that were looked up, by how their certificate stands.");
    for (size_t i = 0; i < STANDINGS; i++)
        fine = fine && buffer_format(out, "renewgate_domains{standing=\"%s\"} %zu\n",
                                     standing_name((enum standing)i), summary.standings[i]);
    return fine && render_held(&summary, out) &&
           metrics_render_head(out, "renewgate_queued_tasks", "gauge",
                               "Live renewal tasks of those domains when they were last seen.") &&
           buffer_format(out, "renewgate_queued_tasks %zu\n", summary.tasks) &&
           metrics_render_head(out, "renewgate_stuck_domains", "gauge",
                               "Those of the domains whose task should have run long ago.") &&
           buffer_format(out, "renewgate_stuck_domains %zu\n", summary.stuck);
}

/* One metric with a series a domain. */
struct series {
    struct buffer *out;
    const char *name;
    wall_time (*time)(const struct domain_snapshot *snapshot);
    bool fine;
};

/*
 * As the exposition format wants label values. No two texts may become one, or the page would have
 * a series twice, so what is hidden leaves its number behind: it is always below U+10000.
 */
static bool put_label(struct buffer *out, const char *text)
{
    bool fine = true;
    struct plain_character character;
    for (; fine && (character = plain_text_next(text)).len > 0; text += character.len) {
        if (character.hidden)
            fine = buffer_format(out, PLAIN_TEXT_HIDDEN "%04" PRIx32, character.code);
        else
            fine = (strchr("\\\"", *text) == NULL || buffer_append(out, "\\", 1)) &&
                   buffer_append(out, text, character.len);
    }
    return fine;
}

static void put_series(void *user, const struct domain_snapshot *snapshot)
{
    struct series *series = user;
    wall_time time = series->time(snapshot);
    if (!series->fine || wall_time_equal(time, WALL_TIME_NEVER))
        return;
    series->fine = buffer_format(series->out, "%s{domain=\"", series->name) &&
                   put_label(series->out, snapshot->name) &&
                   buffer_format(series->out, "\"} %" PRId64 "\n", time.seconds);
}

static wall_time not_after(const struct domain_snapshot *snapshot)
{
    return snapshot->not_after;
}

static wall_time renewal_due(const struct domain_snapshot *snapshot)
{
    return snapshot->renewal_due;
}

static wall_time sighted_refusal(const struct domain_snapshot *snapshot)
{
    return snapshot->refused_until;
}

static bool render_series(struct domain_snapshots *snapshots, struct buffer *out)
{
    static const struct {
        const char *name;
        const char *help;
        wall_time (*time)(const struct domain_snapshot *snapshot);
    } metrics[] = {
        {"renewgate_certificate_expiry_timestamp_seconds",
         "When the domain's newest certificate expires.", not_after},
        {"renewgate_certificate_renewal_timestamp_seconds", "When its renewal becomes due.",
         renewal_due},
        {"renewgate_domain_held_until_timestamp_seconds",
         "Until when nothing is asked of the CA for the domain.", sighted_refusal},
    };
    for (size_t i = 0; i < sizeof metrics / sizeof *metrics; i++) {
        struct series series = {
            .out = out, .name = metrics[i].name, .time = metrics[i].time, .fine = true};
        if (!metrics_render_head(out, metrics[i].name, "gauge", metrics[i].help))
            return false;
        domain_snapshots_each(snapshots, put_series, &series);
        if (!series.fine)
            return false;
    }
    return true;
}

bool domain_metrics_render(const struct gate *gate, struct buffer *out)
{
    return render_summary(gate, out) &&
           (!gate->config->metrics_domains || render_series(gate->snapshots, out));
}
