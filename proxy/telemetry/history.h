#ifndef RENEWGATE_PROXY_TELEMETRY_HISTORY_H
#define RENEWGATE_PROXY_TELEMETRY_HISTORY_H

/*
 * What the gate decided in the last day, counted by the quarter of an hour, and its latest
 * decisions one by one. It has a fixed size, and begins anew with the process.
 *
 * Shared by all threads.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "jmap/create/hold_report.h"
#include "jmap/facts/domain_snapshot.h"
#include "jmap/wire/object_id.h"
#include "policy/wall_time.h"

#define HISTORY_SLOT_SECONDS 900
#define HISTORY_SLOTS 96
#define HISTORY_RECENT 20
#define HISTORY_WHY_SIZE 128

struct history;

struct history_slot {
    wall_time begins;
    uint32_t counts[OUTCOMES];
};

/* One decision; texts that do not fit are cut. */
struct history_decision {
    wall_time at;
    char domain[DOMAIN_SNAPSHOT_NAME_SIZE]; /* its name, or "" where no look-up told it */
    char domain_id[OBJECT_ID_SIZE];
    char id[OBJECT_ID_SIZE]; /* the answered task's, or "" */
    char why[HISTORY_WHY_SIZE];
    enum outcome outcome;
    unsigned row;
    bool observed;
};

struct history_view {
    struct history_slot slots[HISTORY_SLOTS]; /* oldest first, the last one is now's */
    uint64_t totals[OUTCOMES];                /* of all slots */
    uint64_t total;
    struct history_decision recent[HISTORY_RECENT]; /* latest first */
    size_t recent_count;
};

/* NULL when memory runs out. */
struct history *history_create(void);

/* NULL is allowed. */
void history_destroy(struct history *history);

void history_note(struct history *history, const struct hold_report *decision, wall_time now);

void history_read(struct history *history, wall_time now, struct history_view *out);

#endif
