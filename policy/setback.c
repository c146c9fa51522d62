#include "policy/setback.h"

#include <string.h>

#include "policy/hash.h"

/* Never 0. */
static uint64_t hash_of(const char *text)
{
    uint64_t hash = hash_add(HASH_BEGIN, text, text ? strlen(text) : 0);

    return hash ? hash : 1;
}

static bool is_marked(const struct setback_mark *mark, const struct renewal_task *task)
{
    uint64_t id = hash_of(task->id);

    if (wall_time_before(task->failed_at, mark->until))
        return true;
    for (size_t i = 0; wall_time_equal(task->failed_at, mark->until) && i < SETBACK_MARKED; i++) {
        if (mark->ids[i] == id)
            return true;
    }
    return false;
}

/* All that have Failed by now. */
static void mark_all(struct setback_mark *mark, const struct setback_look *look)
{
    size_t ids = 0;

    *mark = (struct setback_mark){.until = WALL_TIME_NEVER};
    for (size_t i = 0; i < look->task_count; i++) {
        const struct renewal_task *task = &look->tasks[i];

        if (task->state != TASK_FAILED || wall_time_before(task->failed_at, mark->until))
            continue;
        if (wall_time_before(mark->until, task->failed_at))
            *mark = (struct setback_mark){.until = task->failed_at}, ids = 0;
        if (ids < SETBACK_MARKED)
            mark->ids[ids++] = hash_of(task->id);
    }
}

/* What it is of, where nothing was known before. */
static void setback_begin(struct setback *known, uint64_t order, uint64_t setup)
{
    if (known->order != 0)
        return;
    known->other_order.until = known->other_setup.until = WALL_TIME_NEVER;
    known->order = order;
    known->setup = setup;
}

static void follow_change(struct setback *known, const struct setback_look *look)
{
    setback_begin(known, look->order, look->setup);
    if (known->order != look->order) {
        mark_all(&known->other_order, look);
        known->refused_other = known->refused[0] != '\0';
    }
    if (known->setup != look->setup) {
        mark_all(&known->other_setup, look);
        known->failures = 0;
    }
    known->order = look->order;
    known->setup = look->setup;
}

/* Whether it is the refusal that was seen before: the task has not run since. */
static bool is_known(const struct setback *known, const struct renewal_task *task)
{
    return strcmp(known->refused, task->id) == 0 &&
           known->refused_reason == hash_of(task->failure_reason) &&
           task->attempts <= known->refused_attempts;
}

/* Of several the one that a collapse leaves. */
static const struct renewal_task *find_refused(const struct setback_look *look)
{
    const struct renewal_task *best = NULL;

    for (size_t i = 0; i < look->task_count; i++) {
        const struct renewal_task *task = &look->tasks[i];

        if (renewal_task_rate_limited(task) && (!best || renewal_task_waits_longer(task, best)))
            best = task;
    }
    return best;
}

static void remember_refused(struct setback *known, const struct setback_look *look)
{
    const struct renewal_task *refused = find_refused(look);

    known->refused_other = false;
    known->refused[0] = '\0';
    if (!refused)
        return;
    strncpy(known->refused, refused->id, SETBACK_ID_SIZE - 1);
    known->refused_reason = hash_of(refused->failure_reason);
    known->refused_attempts = refused->attempts;
}

/* Whether one was there whose refusal was of another order; that one stays the known one. */
static bool release_refused(struct setback *known, const struct setback_look *look)
{
    for (size_t i = 0; known->refused_other && i < look->task_count; i++) {
        struct renewal_task *task = &look->tasks[i];

        if (!renewal_task_rate_limited(task) || !is_known(known, task))
            continue;
        known->refused_attempts = task->attempts; /* a collapse may have set them back */
        task->state = TASK_PENDING;
        task->failure_reason = NULL;
        task->other_order = true;
        return true;
    }
    return false;
}

static void count_failures(struct setback *known, const struct setback_look *look)
{
    wall_time latest = known->failures > 0 ? known->counted : WALL_TIME_NEVER;
    wall_time since = wall_time_later(latest, look->issued);

    if (wall_time_before(latest, look->issued))
        known->failures = 0;
    for (size_t i = 0; i < look->task_count; i++) {
        const struct renewal_task *task = &look->tasks[i];

        if (!renewal_task_has_failed(task) || !wall_time_before(since, task->failed_at))
            continue;
        known->failures++;
        latest = wall_time_later(latest, task->failed_at);
    }
    known->counted = latest;
}

/* Who takes away the task that waits for its end ends it. */
static bool is_over(const struct setback *known, const struct setback_look *look)
{
    for (size_t i = 0; i < look->task_count; i++) {
        if (look->tasks[i].state != TASK_FAILED)
            return wall_time_before(known->kept.issued, look->issued);
    }
    return true;
}

/* The place of that task, else of the oldest. */
static struct setback_invalid *place_of_invalid(struct setback *known, const char *id)
{
    struct setback_invalid *oldest = &known->invalid[0];

    for (size_t i = 0; i < SETBACK_INVALID; i++) {
        struct setback_invalid *invalid = &known->invalid[i];
        if (strcmp(invalid->id, id) == 0)
            return invalid;
        if (oldest->id[0] &&
            (!invalid->id[0] || wall_time_before(invalid->failed_at, oldest->failed_at)))
            oldest = invalid;
    }
    return oldest;
}

/* Whether any is known, of tasks that are there or not. */
static bool note_invalid(struct setback *known, const struct setback_look *look)
{
    wall_time past = wall_time_add(look->now, -SETBACK_INVALID_SECONDS);
    bool any = false;

    for (size_t i = 0; i < look->task_count; i++) {
        const struct renewal_task *task = &look->tasks[i];
        struct setback_invalid *place = place_of_invalid(known, task->id);

        if (!renewal_task_is_invalid(task) ||
            (place->id[0] && wall_time_before(task->failed_at, place->failed_at)))
            continue;
        *place = (struct setback_invalid){.failed_at = task->failed_at, .attempts = task->attempts};
        strncpy(place->id, task->id, SETBACK_ID_SIZE - 1);
    }
    for (size_t i = 0; i < SETBACK_INVALID; i++) {
        if (wall_time_before(known->invalid[i].failed_at, past))
            known->invalid[i] = (struct setback_invalid){.id = ""};
        any |= known->invalid[i].id[0] != '\0';
    }
    return any;
}

void setback_keep(struct setback *known, const struct setback_hold *hold)
{
    setback_begin(known, hold->order, hold->setup);
    known->kept.issued = hold->issued;
    if (!wall_time_equal(hold->refused, WALL_TIME_NEVER)) {
        known->kept.order = hold->order;
        known->kept.refused = hold->refused;
    }
    if (!wall_time_equal(hold->failing, WALL_TIME_NEVER)) {
        known->kept.setup = hold->setup;
        known->kept.failing = hold->failing;
        if (known->failures < hold->failures) {
            known->failures = hold->failures;
            known->counted = hold->counted;
        }
    }
}

struct setback_hold setback_kept(const struct setback *known)
{
    struct setback_hold kept = known->kept;

    kept.failures = known->failures;
    kept.counted = known->counted;
    if (kept.order == 0 || kept.order != known->order)
        kept.refused = WALL_TIME_NEVER;
    if (kept.setup == 0 || kept.setup != known->setup)
        kept.failing = WALL_TIME_NEVER;
    return kept;
}

bool setback_review(struct setback *known, const struct setback_look *look)
{
    bool any = false;

    follow_change(known, look);
    if (is_over(known, look))
        known->kept = (struct setback_hold){0};
    for (size_t i = 0; i < look->task_count; i++) {
        struct renewal_task *task = &look->tasks[i];

        if (task->state == TASK_FAILED) {
            task->other_order = is_marked(&known->other_order, task);
            task->other_setup = task->other_order || is_marked(&known->other_setup, task);
        }
        any |= task->state == TASK_FAILED || renewal_task_rate_limited(task);
    }
    if (!release_refused(known, look))
        remember_refused(known, look);
    count_failures(known, look);
    any |= known->kept.order != 0 || known->kept.setup != 0;
    if (!any)
        known->failures = 0;
    return note_invalid(known, look) || any;
}
