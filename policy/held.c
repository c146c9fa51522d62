#include "policy/held.h"

#include <string.h>

/* The server tries three times within a run (acme.rs, MAX_RETRIES), each one an order. */
#define VALIDATIONS_A_RUN 3
/* Of a task's runs no more count; the server has it try three times, with pauses of minutes. */
#define RUNS_MAX 10
#define VALIDATIONS_MAX ((size_t)VALIDATIONS_A_RUN * RUNS_MAX)

bool failure_backoff_parse(const char *text, struct failure_backoff *out)
{
    int64_t parts[2];

    if (!text)
        return false;
    if (strcmp(text, "off") == 0) {
        *out = (struct failure_backoff){0};
        return true;
    }
    text = duration_read(text, REFUSAL_LONGEST_SECONDS, &parts[0]);
    if (!text || *text != '/')
        return false;
    text = duration_read(text + 1, REFUSAL_LONGEST_SECONDS, &parts[1]);
    if (!text || *text != '\0')
        return false;
    if (parts[1] < parts[0])
        return false;
    *out = (struct failure_backoff){.first_seconds = parts[0], .longest_seconds = parts[1]};
    return true;
}

static int64_t at_longest(int64_t seconds)
{
    return seconds < REFUSAL_LONGEST_SECONDS ? seconds : REFUSAL_LONGEST_SECONDS;
}

/* What one task says about H; WALL_TIME_NEVER where it was not refused. */
static wall_time refused_by_task(const struct renewal_task *task, int64_t blind_hold_seconds,
                                 wall_time now)
{
    bool failed = task->state == TASK_FAILED;
    wall_time failed_at = wall_time_earlier(task->failed_at, now);

    if ((!failed && task->state != TASK_RETRY) || task->other_order)
        return WALL_TIME_NEVER;

    struct refusal refusal = refusal_parse(task->failure_reason);
    switch (refusal.kind) {
    case REFUSAL_NONE:
        break;
    case REFUSAL_SECONDS:
        return failed ? wall_time_add(failed_at, at_longest(refusal.seconds))
                      : wall_time_later(task->due,
                                        wall_time_add(task->tried, at_longest(refusal.seconds)));
    case REFUSAL_SOME_TIME:
        if (task->restarted)
            return task->due;
        return wall_time_add(failed ? failed_at : task->seen, blind_hold_seconds);
    }
    return WALL_TIME_NEVER;
}

/* Stored certificates, and those that the server got and has thrown away. */
struct issues {
    const wall_time *issued;
    size_t issued_count;
    const struct renewal_task *tasks;
};

static wall_time issue_at(const void *user, size_t i)
{
    const struct issues *issues = user;

    if (i < issues->issued_count)
        return issues->issued[i];

    const struct renewal_task *task = &issues->tasks[i - issues->issued_count];
    bool counts = task->state == TASK_FAILED && !task->other_order &&
                  refusal_is_thrown_away(task->failure_reason);
    return counts ? task->failed_at : WALL_TIME_NEVER;
}

static wall_time limited_until(const struct held_facts *facts)
{
    const struct issues issues = {facts->issued, facts->issued_count + facts->spent_count,
                                  facts->tasks};
    const struct issue_times times = {
        .at = issue_at, .user = &issues, .count = issues.issued_count + facts->task_count};

    return issue_limit_next_of(facts->limits.issue, &times, facts->now);
}

wall_time refused_until(const struct renewal_task *tasks, size_t task_count,
                        int64_t blind_hold_seconds, wall_time now)
{
    wall_time until = WALL_TIME_NEVER;

    for (size_t i = 0; i < task_count; i++)
        until = wall_time_later(until, refused_by_task(&tasks[i], blind_hold_seconds, now));
    return until;
}

static wall_time held_last_issue(const struct held_facts *facts)
{
    wall_time last = facts->last_issue;

    for (size_t i = 0; i < facts->issued_count; i++)
        last = wall_time_later(last, facts->issued[i]);
    return last;
}

/* The latest of the failures since the last certificate, and how many they are. */
static const struct renewal_task *count_failures(const struct held_facts *facts, size_t *count)
{
    const struct renewal_task *latest = NULL;
    wall_time since = held_last_issue(facts);

    *count = 0;
    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (!renewal_task_has_failed(task) || wall_time_before(task->failed_at, since))
            continue;
        ++*count;
        if (!latest || wall_time_before(latest->failed_at, task->failed_at))
            latest = task;
    }
    return latest;
}

static int64_t backoff_of(struct failure_backoff backoff, size_t failures)
{
    int64_t wait = backoff.first_seconds;

    for (size_t n = 1; n < failures && wait < backoff.longest_seconds; n++)
        wait = wait > backoff.longest_seconds / 2 ? backoff.longest_seconds : wait * 2;
    return wait;
}

/* Failed validations, of the domain's tasks and of those that are gone. */
struct validations {
    const struct held_facts *facts;
    bool gone[SETBACK_INVALID];
};

static struct validations list_validations(const struct held_facts *facts)
{
    struct validations list = {.facts = facts};

    for (size_t n = 0; facts->invalid && n < SETBACK_INVALID; n++) {
        list.gone[n] = facts->invalid[n].id[0] != '\0';
        for (size_t i = 0; list.gone[n] && i < facts->task_count; i++)
            list.gone[n] = strcmp(facts->tasks[i].id, facts->invalid[n].id) != 0;
    }
    return list;
}

static bool any_has_validated(const struct validations *list)
{
    for (size_t i = 0; i < list->facts->task_count; i++) {
        if (renewal_task_is_invalid(&list->facts->tasks[i]))
            return true;
    }
    for (size_t n = 0; n < SETBACK_INVALID; n++) {
        if (list->gone[n])
            return true;
    }
    return false;
}

static wall_time validated_at(const void *user, size_t i)
{
    const struct validations *list = user;
    const struct held_facts *facts = list->facts;
    size_t which = i / VALIDATIONS_MAX;
    wall_time failed_at = WALL_TIME_NEVER;
    int64_t attempts = 0;

    if (which < facts->task_count) {
        const struct renewal_task *task = &facts->tasks[which];
        if (renewal_task_is_invalid(task))
            failed_at = task->failed_at;
        attempts = task->attempts;
    } else if (list->gone[which - facts->task_count]) {
        failed_at = facts->invalid[which - facts->task_count].failed_at;
        attempts = facts->invalid[which - facts->task_count].attempts;
    }
    int64_t runs = attempts < 1 ? 1 : attempts < RUNS_MAX ? attempts : RUNS_MAX;
    return (int64_t)(i % VALIDATIONS_MAX) < runs * VALIDATIONS_A_RUN ? failed_at : WALL_TIME_NEVER;
}

static wall_time backed_off_until(const struct held_facts *facts, const struct renewal_task *latest,
                                  size_t failures)
{
    if (!latest || facts->limits.backoff.first_seconds == 0 || facts->forced)
        return WALL_TIME_NEVER;
    return wall_time_add(wall_time_earlier(latest->failed_at, facts->now),
                         backoff_of(facts->limits.backoff, failures));
}

static wall_time validated_from(const struct held_facts *facts)
{
    const struct validations list = list_validations(facts);
    const struct issue_times times = {.at = validated_at,
                                      .user = &list,
                                      .count =
                                          (facts->task_count + SETBACK_INVALID) * VALIDATIONS_MAX,
                                      .tokens = VALIDATIONS_A_RUN};

    return any_has_validated(&list)
               ? issue_limit_next_of(facts->limits.validation, &times, facts->now)
               : WALL_TIME_NEVER;
}

/* By its words: those of the tasks that are there, or else those that are remembered. */
static wall_time refused(const struct held_facts *facts)
{
    wall_time told = refused_until(facts->tasks, facts->task_count,
                                   facts->limits.blind_hold_seconds, facts->now);

    return wall_time_before(facts->now, told) || !wall_time_before(facts->now, facts->kept_refused)
               ? told
               : facts->kept_refused;
}

/* After failures whose tasks are gone. */
static bool waits_on(const struct held_facts *facts)
{
    return !facts->forced && wall_time_before(facts->now, facts->kept_failing);
}

void held_prolong(struct held *held, enum held_by by, wall_time until)
{
    held->by_source[by] = wall_time_later(held->by_source[by], until);
    if (wall_time_before(held->until, until)) {
        held->until = until;
        held->by = by;
    }
}

struct held held_until(const struct held_facts *facts)
{
    struct held held = {
        .until = WALL_TIME_NEVER, .refused = refused(facts), .limited = limited_until(facts)};
    const struct renewal_task *latest = count_failures(facts, &held.failures);
    bool goes_on = waits_on(facts);

    if ((latest || goes_on) && held.failures < facts->failures)
        held.failures = facts->failures;
    held.reason = latest ? latest->failure_reason : NULL;

    const wall_time by_source[HELD_SOURCES] = {
        [HELD_BY_CA] = wall_time_later(held.refused, held.limited),
        [HELD_BY_FAILURES] = wall_time_later(backed_off_until(facts, latest, held.failures),
                                             goes_on ? facts->kept_failing : WALL_TIME_NEVER),
        [HELD_BY_VALIDATIONS] = validated_from(facts),
        [HELD_BY_ACCOUNT] = facts->paced_until,
    };
    for (int source = 0; source < HELD_SOURCES; source++) {
        held.by_source[source] = WALL_TIME_NEVER;
        held_prolong(&held, (enum held_by)source, by_source[source]);
    }
    return held;
}

const char *held_by_name(enum held_by by)
{
    static const char *const names[HELD_SOURCES] = {
        [HELD_BY_CA] = "ca",
        [HELD_BY_FAILURES] = "failures",
        [HELD_BY_VALIDATIONS] = "validations",
        [HELD_BY_ACCOUNT] = "account",
    };

    return names[by];
}

const char *held_by_words(enum held_by by)
{
    switch (by) {
    case HELD_BY_CA:
        return "the CA would refuse before then";
    case HELD_BY_FAILURES:
        return "its orders fail, and the next one waits until then";
    case HELD_BY_VALIDATIONS:
        return "too many validations failed, and the CA would refuse before then";
    case HELD_BY_ACCOUNT:
        return "the account has as many orders as the CA takes before then";
    case HELD_SOURCES:
        break;
    }
    return "";
}

/* A certificate that was thrown away, or a failed validation, that a limit is reckoned by. */
static bool is_reckoned(const struct held_facts *facts, const struct renewal_task *task)
{
    const struct issue_limit *limit =
        refusal_is_thrown_away(task->failure_reason) ? &facts->limits.issue
        : refusal_is_invalid(task->failure_reason)   ? &facts->limits.validation
                                                     : NULL;

    return limit && limit->burst > 0 &&
           wall_time_before(wall_time_add(facts->now, -limit->window_seconds), task->failed_at);
}

/* The later one, and of two in the same second the one whose id sorts last. */
static bool is_newer(const struct renewal_task *a, const struct renewal_task *b)
{
    if (!wall_time_equal(a->failed_at, b->failed_at))
        return wall_time_before(b->failed_at, a->failed_at);
    return strcmp(a->id, b->id) > 0;
}

static bool has_failed(const struct renewal_task *task)
{
    return task->state == TASK_FAILED && refusal_is_failure(task->failure_reason);
}

/* Where the newest stands that says the same; NULL where there is no room for one more reason. */
static const struct renewal_task **held_place_of(const struct renewal_task **newest,
                                                 const struct renewal_task *task)
{
    for (size_t i = 0; i < HELD_REASONS; i++) {
        if (!newest[i] || refusal_same(newest[i]->failure_reason, task->failure_reason))
            return &newest[i];
    }
    return NULL;
}

size_t held_find_spent(const struct held_facts *facts, bool *spent)
{
    const struct renewal_task *newest[HELD_REASONS] = {NULL};
    size_t found = 0;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];
        const struct renewal_task **place = has_failed(task) ? held_place_of(newest, task) : NULL;

        if (place && (!*place || is_newer(task, *place)))
            *place = task;
    }
    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];
        const struct renewal_task **place = has_failed(task) ? held_place_of(newest, task) : NULL;

        spent[i] = place && *place && *place != task && !is_reckoned(facts, task);
        found += spent[i];
    }
    return found;
}
