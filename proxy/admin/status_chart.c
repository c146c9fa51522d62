#include "proxy/admin/status_chart.h"

#include <inttypes.h>

#define SLOT_WIDTH 10
#define TIMELINE_HEIGHT 112
#define LIFE_WIDTH 300

const char *status_chart_class(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_FORWARD:
    case OUTCOME_SCHEDULE:
        return "sent";
    case OUTCOME_REFUSE:
        return "moot";
    case OUTCOME_REJECTED:
    case OUTCOME_UNKNOWN:
        return "bad";
    default:
        return "kept";
    }
}

static uint64_t slot_total(const struct history_slot *slot)
{
    uint64_t total = 0;
    for (size_t i = 0; i < OUTCOMES; i++)
        total += slot->counts[i];
    return total;
}

/* One on top of the other. A few among many must be seen, so each is two pixels high at least. */
static void put_bar(struct markup *markup, const struct history_slot *slot, size_t place,
                    uint64_t most)
{
    uint64_t bottom = TIMELINE_HEIGHT - 2;
    for (size_t i = 0; i < OUTCOMES; i++) {
        uint64_t height = slot->counts[i] * (uint64_t)(TIMELINE_HEIGHT - 16) / most;
        if (slot->counts[i] == 0)
            continue;
        if (height < 2)
            height = 2;
        height = height > bottom ? bottom : height;
        bottom -= height;
        markup_put(markup,
                   "<rect class=\"%s\" x=\"%zu\" y=\"%" PRIu64 "\" width=\"%d\" height=\"%" PRIu64
                   "\"/>",
                   status_chart_class((enum outcome)i), place * SLOT_WIDTH + 1, bottom,
                   SLOT_WIDTH - 2, height);
    }
}

void status_chart_timeline(struct markup *markup, const struct history_view *history)
{
    uint64_t most = 1;
    for (size_t i = 0; i < HISTORY_SLOTS; i++) {
        uint64_t total = slot_total(&history->slots[i]);
        most = total > most ? total : most;
    }
    markup_put(markup,
               "<svg class=\"times\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"none\" "
               "role=\"img\" aria-label=\"Timeline of the last day: %" PRIu64
               " decisions, at most %" PRIu64 " in a quarter of an hour\">",
               HISTORY_SLOTS * SLOT_WIDTH, TIMELINE_HEIGHT, history->total,
               history->total == 0 ? 0 : most);
    for (size_t i = 0; i < HISTORY_SLOTS; i++)
        put_bar(markup, &history->slots[i], i, most);
    markup_put(markup,
               "<rect class=\"rule\" x=\"0\" y=\"%d\" width=\"%d\" height=\"1\"/></svg>"
               "<div class=\"axis\" aria-hidden=\"true\"><span>24 h ago</span><span>18 h</span>"
               "<span>12 h</span><span>6 h</span><span>now</span></div>",
               TIMELINE_HEIGHT - 1, HISTORY_SLOTS * SLOT_WIDTH);
}

/* Where a time lies between the two ends, in pixels. */
static int chart_place_of(const struct domain_snapshot *snapshot, wall_time time)
{
    double life = (double)snapshot->not_after.seconds - (double)snapshot->not_before.seconds;
    double age = (double)time.seconds - (double)snapshot->not_before.seconds;
    if (life <= 0 || age >= life)
        return LIFE_WIDTH;
    return age <= 0 ? 0 : (int)(age / life * LIFE_WIDTH);
}

static const char *life_class(enum standing standing)
{
    switch (standing) {
    case STANDING_FRESH:
        return "kept";
    case STANDING_HELD:
        return "moot";
    case STANDING_DUE:
        return "sent";
    default:
        return "bad";
    }
}

/* What is past is filled; the upright mark is the renewal. */
void status_chart_life(struct markup *markup, const struct domain_snapshot *snapshot, wall_time now)
{
    int renewal = chart_place_of(snapshot, snapshot->renewal_due);
    int present = chart_place_of(snapshot, now);
    markup_put(markup,
               "<svg class=\"life\" viewBox=\"0 0 %d 12\" preserveAspectRatio=\"none\" "
               "role=\"img\" aria-label=\"%d %% of the certificate&#39;s life is past, its "
               "renewal is due at %d %%\">"
               "<rect class=\"track\" x=\"0\" y=\"3\" width=\"%d\" height=\"6\"/>"
               "<rect class=\"%s\" x=\"0\" y=\"3\" width=\"%d\" height=\"6\"/>"
               "<rect class=\"mark\" x=\"%d\" y=\"0\" width=\"2\" height=\"12\"/></svg>",
               LIFE_WIDTH, present * 100 / LIFE_WIDTH, renewal * 100 / LIFE_WIDTH, LIFE_WIDTH,
               life_class(domain_snapshot_standing(snapshot, now)), present,
               renewal > LIFE_WIDTH - 2 ? LIFE_WIDTH - 2 : renewal);
}
