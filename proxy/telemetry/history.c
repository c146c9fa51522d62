#include "proxy/telemetry/history.h"

#include <pthread.h>
#include <stdlib.h>

#include "jmap/wire/utf8.h"

struct history {
    pthread_mutex_t lock;
    struct history_slot slots[HISTORY_SLOTS]; /* each at its number modulo the count */
    struct history_decision recent[HISTORY_RECENT];
    size_t noted; /* decisions in all; the next goes to noted modulo the count */
};

struct history *history_create(void)
{
    struct history *history = calloc(1, sizeof *history);
    if (history != NULL && pthread_mutex_init(&history->lock, NULL) != 0) {
        free(history);
        return NULL;
    }
    return history;
}

void history_destroy(struct history *history)
{
    if (history == NULL)
        return;
    pthread_mutex_destroy(&history->lock);
    free(history);
}

/* Where a slot that begins then lies; the clock may have been set to a time before 1970. */
static struct history_slot *slot_at(struct history *history, wall_time begins)
{
    uint64_t number = (uint64_t)begins.seconds / HISTORY_SLOT_SECONDS;
    return &history->slots[number % HISTORY_SLOTS];
}

static wall_time slot_begin(wall_time time)
{
    return (wall_time){time.seconds - time.seconds % HISTORY_SLOT_SECONDS};
}

static void history_count(struct history *history, enum outcome outcome, wall_time now)
{
    wall_time begins = slot_begin(now);
    struct history_slot *slot = slot_at(history, begins);
    if (!wall_time_equal(slot->begins, begins))
        *slot = (struct history_slot){.begins = begins};
    slot->counts[outcome]++;
}

void history_note(struct history *history, const struct hold_report *decision, wall_time now)
{
    struct history_decision entry = {
        .at = now,
        .outcome = decision->outcome,
        .row = decision->row,
        .observed = decision->observed,
    };
    if (entry.outcome >= OUTCOMES)
        return;
    utf8_copy(entry.domain_id, sizeof entry.domain_id, decision->domain_id);
    utf8_copy(entry.why, sizeof entry.why, decision->why);
    if (decision->domain_name != NULL)
        utf8_copy(entry.domain, sizeof entry.domain, decision->domain_name);
    if (decision->id != NULL)
        utf8_copy(entry.id, sizeof entry.id, decision->id);
    pthread_mutex_lock(&history->lock);
    history_count(history, entry.outcome, now);
    history->recent[history->noted++ % HISTORY_RECENT] = entry;
    pthread_mutex_unlock(&history->lock);
}

static void read_slots(struct history *history, wall_time now, struct history_view *out)
{
    wall_time begins = wall_time_add(slot_begin(now), -(HISTORY_SLOTS - 1) * HISTORY_SLOT_SECONDS);
    for (size_t i = 0; i < HISTORY_SLOTS; i++) {
        const struct history_slot *slot = slot_at(history, begins);
        bool current = wall_time_equal(slot->begins, begins);
        out->slots[i] = current ? *slot : (struct history_slot){.begins = begins};
        for (size_t outcome = 0; outcome < OUTCOMES; outcome++) {
            out->totals[outcome] += out->slots[i].counts[outcome];
            out->total += out->slots[i].counts[outcome];
        }
        begins = wall_time_add(begins, HISTORY_SLOT_SECONDS);
    }
}

void history_read(struct history *history, wall_time now, struct history_view *out)
{
    *out = (struct history_view){0};
    pthread_mutex_lock(&history->lock);
    read_slots(history, now, out);
    while (out->recent_count < HISTORY_RECENT && out->recent_count < history->noted) {
        size_t at = (history->noted - 1 - out->recent_count) % HISTORY_RECENT;
        out->recent[out->recent_count++] = history->recent[at];
    }
    pthread_mutex_unlock(&history->lock);
}
