#include "policy/decide.h"

#include "policy/collapse.h"

static bool is_stuck(const struct decision_facts *facts, const struct renewal_task *task)
{
    return renewal_task_stuck(task, facts->now, facts->stuck_after_seconds);
}

static wall_time renewal_due(const struct decision_facts *facts)
{
    return facts->forced ? WALL_TIME_NEVER : facts->renewal_due;
}

static struct collapse_facts collapse_facts_of(const struct decision_facts *facts)
{
    return (struct collapse_facts){
        .now = facts->now,
        .refused_until = facts->refused_until,
        .renewal_due = renewal_due(facts),
        .tasks = facts->tasks,
        .task_count = facts->task_count,
        .stuck_after_seconds = facts->stuck_after_seconds,
    };
}

/* The one of those that wait that stays; or NULL. */
static const struct renewal_task *find_waiting(const struct decision_facts *facts)
{
    const struct collapse_facts tasks = collapse_facts_of(facts);

    return collapse_waits(&tasks);
}

/*
 * Whether a task was refused and makes way for the one that stays: while the certificate is fresh
 * that is its next renewal.
 */
static bool gives_way(const struct decision_facts *facts, const struct renewal_task *task,
                      const struct renewal_task *waiting)
{
    return waiting && renewal_task_rate_limited(task) && !renewal_task_rate_limited(waiting) &&
           wall_time_before(task->due, waiting->due) &&
           wall_time_before(wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS), task->due);
}

/* The latest: before that time the CA refuses whatever the others say. */
static const struct renewal_task *find_rate_limited(const struct decision_facts *facts)
{
    const struct renewal_task *best = NULL, *waiting = find_waiting(facts);

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (!renewal_task_rate_limited(task) || is_stuck(facts, task) ||
            gives_way(facts, task, waiting))
            continue;
        if (!best || renewal_task_waits_longer(task, best))
            best = task;
    }
    return best;
}

/* Whether a task needs no help to run in time: due by then, or already tried. */
static bool is_under_way(const struct decision_facts *facts, wall_time wanted)
{
    const struct renewal_task *waiting = find_waiting(facts);

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];
        bool in_time = task->state == TASK_PENDING && !wall_time_before(wanted, task->due);
        bool tried = task->state == TASK_RETRY && !gives_way(facts, task, waiting);

        if ((in_time || tried) && !is_stuck(facts, task))
            return true;
    }
    return false;
}

/* The one that is left when the domain's tasks are collapsed, so that its id stays good. */
static const struct renewal_task *find_staying(const struct decision_facts *facts)
{
    const struct collapse_facts tasks = collapse_facts_of(facts);

    return collapse_stays(&tasks);
}

static const struct renewal_task *find_earliest(const struct decision_facts *facts)
{
    const struct renewal_task *best = NULL;

    for (size_t i = 0; i < facts->task_count; i++) {
        const struct renewal_task *task = &facts->tasks[i];

        if (task->state != TASK_FAILED && !is_stuck(facts, task) &&
            (!best || renewal_task_sooner(task, best)))
            best = task;
    }
    return best;
}

static struct decision without_task(enum outcome outcome, unsigned row, const char *why)
{
    return (struct decision){.outcome = outcome, .row = row, .due = WALL_TIME_NEVER, .why = why};
}

static struct decision existing(const struct renewal_task *task, unsigned row, const char *why)
{
    return (struct decision){
        .outcome = OUTCOME_EXISTING, .row = row, .id = task->id, .due = task->due, .why = why};
}

static struct decision schedule(wall_time due, unsigned row, const char *why)
{
    return (struct decision){.outcome = OUTCOME_SCHEDULE, .row = row, .due = due, .why = why};
}

static struct decision move(const struct renewal_task *task, wall_time due, unsigned row,
                            const char *why)
{
    return (struct decision){
        .outcome = OUTCOME_MOVE, .row = row, .id = task->id, .due = due, .why = why};
}

static struct decision decide_blindly(const struct decision_facts *facts)
{
    if (facts->on_lookup_failure == LOOKUP_FAILURE_REFUSE)
        return without_task(OUTCOME_REFUSE, 10, "the look-ups failed");
    if (!facts->blind_id && facts->blind_unanswered)
        return without_task(OUTCOME_REFUSE, 10,
                            "the look-ups failed, and the answer to an earlier renewal was lost");
    if (!facts->blind_id)
        return without_task(OUTCOME_FORWARD, 9, "the look-ups failed");
    return (struct decision){
        .outcome = OUTCOME_EXISTING,
        .row = 9,
        .id = facts->blind_id,
        .due = WALL_TIME_NEVER,
        .why = "the look-ups failed, and a renewal was forwarded a short while ago",
    };
}

static struct decision decide_fresh(const struct decision_facts *facts)
{
    const struct renewal_task *queued = find_staying(facts);

    if (queued)
        return existing(queued, 3, "the certificate is fresh and its next renewal is queued");
    if (facts->not_due == NOT_DUE_SCHEDULE)
        return schedule(facts->renewal_due, 5,
                        "the certificate is fresh; its renewal is queued for when it is due");
    return without_task(OUTCOME_NO_OP, 4, "the certificate is fresh");
}

static struct decision decide_refused(const struct decision_facts *facts,
                                      const struct renewal_task *earliest)
{
    wall_time until = facts->refused_until;
    const char *why = held_by_words(facts->held_by);

    if (!earliest)
        return schedule(until, 6, why);
    if (wall_time_equal(earliest->due, until))
        return existing(earliest, 6, why);
    return move(earliest, until, 6, why);
}

static struct decision decide_due(const struct decision_facts *facts, wall_time wanted)
{
    const struct renewal_task *earliest = find_earliest(facts);

    if (wall_time_before(wanted, renewal_due(facts)))
        return decide_fresh(facts);
    if (wall_time_before(wanted, facts->refused_until))
        return decide_refused(facts, earliest);
    if (earliest)
        return move(earliest, wanted, 7, "a renewal is due and the queued one comes later");
    return without_task(OUTCOME_FORWARD, 8, "a renewal is due and none is queued");
}

struct decision decide(const struct decision_facts *facts)
{
    if (!facts->looked_up)
        return decide_blindly(facts);
    if (!facts->renewable)
        return without_task(OUTCOME_FORWARD, 8, "the server has the right answer for this domain");

    const struct renewal_task *limited = find_rate_limited(facts);
    if (limited)
        return existing(limited, 1, "the CA has refused and a task waits until it no longer does");

    wall_time wanted = wall_time_later(facts->asked, facts->now);
    if (is_under_way(facts, wanted))
        return existing(find_staying(facts), 2, "a renewal is already on its way");

    return decide_due(facts, wanted);
}

const char *outcome_name(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_FORWARD:
        return "forward";
    case OUTCOME_SCHEDULE:
        return "schedule";
    case OUTCOME_EXISTING:
        return "existing";
    case OUTCOME_MOVE:
        return "move";
    case OUTCOME_NO_OP:
        return "noop";
    case OUTCOME_REFUSE:
        return "refuse";
    }
    return "unknown";
}
