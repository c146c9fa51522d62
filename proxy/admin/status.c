#include "proxy/admin/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jmap/wire/array.h"
#include "proxy/base/clock.h"
#include "proxy/server/service_credential.h"

/* A domain's place in a list. */
struct pick {
    enum standing standing;
    wall_time time;
    char domain_id[OBJECT_ID_SIZE];
};

struct picks {
    struct pick *items;
    size_t count;
};

/* One walk through all domains. */
struct gathering {
    struct status *status;
    struct picks held;
    struct picks acted_on;
    struct picks queue;
    struct picks matching;
    bool failed;
};

static int status_compare(const void *a, const void *b)
{
    const struct pick *one = a;
    const struct pick *other = b;
    if (one->standing != other->standing)
        return one->standing < other->standing ? -1 : 1;
    if (!wall_time_equal(one->time, other->time))
        return wall_time_before(one->time, other->time) ? -1 : 1;
    return strcmp(one->domain_id, other->domain_id);
}

static bool status_add(struct picks *picks, const struct domain_snapshot *snapshot,
                       enum standing standing, wall_time time)
{
    struct pick *items = array_grow(picks->items, picks->count, sizeof *items);
    if (items == NULL)
        return false;
    picks->items = items;
    struct pick *pick = &picks->items[picks->count++];
    *pick = (struct pick){.standing = standing, .time = time};
    memcpy(pick->domain_id, snapshot->domain_id, OBJECT_ID_SIZE);
    return true;
}

static bool matches(const struct status_query *query, const struct domain_snapshot *snapshot)
{
    return query->domain[0] == '\0' || strcasestr(snapshot->name, query->domain) != NULL;
}

struct advice status_advice(const struct status *status, const struct domain_snapshot *snapshot)
{
    int64_t stuck_after = status->gate->config->hold.table.stuck_after_seconds;
    const struct advice_facts facts = {
        .now = server_clock_now(&status->gate->clock),
        .renewable = true,
        .held_until = snapshot->refused_until,
        .held_by = snapshot->held_by,
        .failures = snapshot->failures,
        .stuck = domain_snapshot_is_stuck(snapshot, stuck_after),
        .changes = snapshot->task_count > 1,
        .live = snapshot->task_count,
        .task_id = snapshot->task_id,
    };
    return advice_of(&facts, status->gate->config->upstream_url);
}

static void visit(void *user, const struct domain_snapshot *snapshot)
{
    struct gathering *gathering = user;
    struct status *status = gathering->status;
    enum standing standing = domain_snapshot_standing(snapshot, status->now);
    bool fine = true;
    status->standings[standing]++;
    status->domain_count++;
    status->names_one |= strcasecmp(snapshot->name, status->query.domain) == 0;
    status->task_count += snapshot->task_count;
    if (wall_time_before(status->now, snapshot->refused_until)) {
        status->held_by[snapshot->held_by]++;
        fine = status_add(&gathering->held, snapshot, STANDING_HELD, snapshot->refused_until);
    }
    if (fine && status_advice(status, snapshot).words != NULL)
        fine = status_add(&gathering->acted_on, snapshot, standing, snapshot->not_after);
    if (fine && snapshot->task_count > 0)
        fine = status_add(&gathering->queue, snapshot, STANDING_DUE, snapshot->task_due);
    if (fine && matches(&status->query, snapshot))
        fine = status_add(&gathering->matching, snapshot, standing, snapshot->not_after);
    gathering->failed = gathering->failed || !fine;
}

/* Those from the `first` on, `most` at most. */
static bool list(struct domain_snapshots *snapshots, struct picks *picks, size_t first, size_t most,
                 struct status_list *out)
{
    out->total = picks->count;
    if (first >= picks->count)
        return true;
    qsort(picks->items, picks->count, sizeof *picks->items, status_compare);
    size_t end = picks->count - first < most ? picks->count : first + most;
    out->domains = malloc((end - first) * sizeof *out->domains);
    if (out->domains == NULL)
        return false;
    for (size_t i = first; i < end; i++) {
        struct status_domain *domain = &out->domains[out->count];
        /* It may have been forgotten meanwhile. */
        if (domain_snapshots_find(snapshots, picks->items[i].domain_id, &domain->snapshot,
                                  &domain->texts))
            out->count++;
    }
    return true;
}

static bool status_gather(struct status *status)
{
    struct domain_snapshots *snapshots = status->gate->snapshots;
    struct gathering gathering = {.status = status};
    domain_snapshots_each(snapshots, visit, &gathering);
    status->names_one |= status->query.domain[0] != '\0' && gathering.matching.count == 0;
    status->pages = gathering.matching.count == 0
                        ? 1
                        : (gathering.matching.count + STATUS_PAGE - 1) / STATUS_PAGE;
    if (status->query.page > status->pages)
        status->query.page = status->pages;
    bool fine = !gathering.failed &&
                list(snapshots, &gathering.held, 0, STATUS_EXCERPT, &status->held) &&
                list(snapshots, &gathering.acted_on, 0, STATUS_EXCERPT, &status->acted_on) &&
                list(snapshots, &gathering.queue, 0, STATUS_EXCERPT, &status->queue) &&
                list(snapshots, &gathering.matching, (status->query.page - 1) * STATUS_PAGE,
                     STATUS_PAGE, &status->matching);
    free(gathering.held.items);
    free(gathering.acted_on.items);
    free(gathering.queue.items);
    free(gathering.matching.items);
    return fine;
}

static void read_credential(struct status *status)
{
    status->credential_refused = status->credential_tried = WALL_TIME_NEVER;
    if (status->gate->credential == NULL)
        return;
    struct service_credential_state state =
        service_credential_state(status->gate->credential, clock_monotonic());
    if (!state.rests)
        return;
    status->credential_rests = true;
    status->credential_refusals = state.refusals;
    status->credential_refused = wall_time_add(status->now, -(state.refused_for_ms / 1000));
    status->credential_tried = wall_time_add(status->now, state.rest_left_ms / 1000);
}

void status_credential_retry(char command[static STATUS_RETRY_SIZE])
{
    snprintf(command, STATUS_RETRY_SIZE, "kill -HUP %ld", (long)getpid());
}

struct status *status_read(const struct gate *gate, const struct status_query *query)
{
    struct status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return NULL;
    status->gate = gate;
    status->query = *query;
    status->now = clock_wall();
    read_credential(status);
    history_read(gate->history, status->now, &status->history);
    if (!status_gather(status)) {
        status_free(status);
        return NULL;
    }
    return status;
}

void status_free(struct status *status)
{
    if (status == NULL)
        return;
    json_decref(status->explanation);
    free(status->held.domains);
    free(status->acted_on.domains);
    free(status->queue.domains);
    free(status->matching.domains);
    free(status);
}
