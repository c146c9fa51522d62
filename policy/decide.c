#include "policy/decide.h"

#include "policy/collapse.h"

struct decision_facts decision_begin(const struct decision_settings *settings, wall_time now,
                                     wall_time asked, bool forced)
{
    return (struct decision_facts){
        .now = now,
        .asked = asked,
        .forced = forced,
        .renewal_due = WALL_TIME_NEVER,
        .refused_until = WALL_TIME_NEVER,
        .settings = *settings,
    };
}

void decision_add_domain(struct decision_facts *facts, bool renewable, wall_time renewal_due,
                         wall_time refused_until, enum held_by held_by,
                         const struct renewal_task *tasks, size_t task_count,
                         const struct renewal_task *follower)
{
    facts->looked_up = true;
    facts->renewable = renewable;
    facts->renewal_due = renewal_due;
    facts->refused_until = refused_until;
    facts->held_by = held_by;
    facts->tasks = tasks;
    facts->task_count = task_count;
    facts->follower = follower;
}

/* What the rows are read with, found once. */
struct reading {
    const struct decision_facts *facts;
    wall_time wanted;                   /* D */
    wall_time renewal_due;              /* R, by a force before all time */
    const struct renewal_task *waiting; /* of those that wait the one that stays; or NULL */
    const struct renewal_task
        *staying; /* when the tasks are collapsed, so that its id stays good */
    const struct renewal_task
        *limited; /* by the CA: the latest, as it refuses whatever others say */
    const struct renewal_task *earliest; /* of the live ones */
};

static bool is_stuck(const struct reading *reading, const struct renewal_task *task)
{
    return renewal_task_stuck(task, reading->facts->now,
                              reading->facts->settings.stuck_after_seconds);
}

/*
 * Whether a task was refused and makes way for the one that stays: while the certificate is fresh
 * that is its next renewal.
 */
static bool gives_way(const struct reading *reading, const struct renewal_task *task)
{
    const struct renewal_task *waiting = reading->waiting;

    return waiting && renewal_task_rate_limited(task) && !renewal_task_rate_limited(waiting) &&
           wall_time_before(task->due, waiting->due) &&
           wall_time_before(wall_time_add(reading->facts->now, COLLAPSE_MARGIN_SECONDS), task->due);
}

static const struct renewal_task *find_rate_limited(const struct reading *reading)
{
    const struct renewal_task *best = NULL;

    for (size_t i = 0; i < reading->facts->task_count; i++) {
        const struct renewal_task *task = &reading->facts->tasks[i];

        if (!renewal_task_rate_limited(task) || is_stuck(reading, task) || gives_way(reading, task))
            continue;
        if (!best || renewal_task_waits_longer(task, best))
            best = task;
    }
    return best;
}

static const struct renewal_task *find_earliest(const struct reading *reading)
{
    const struct renewal_task *best = NULL;

    for (size_t i = 0; i < reading->facts->task_count; i++) {
        const struct renewal_task *task = &reading->facts->tasks[i];

        if (task->state != TASK_FAILED && !is_stuck(reading, task) &&
            (!best || renewal_task_sooner(task, best)))
            best = task;
    }
    return best;
}

static struct reading read_facts(const struct decision_facts *facts)
{
    struct reading reading = {
        .facts = facts,
        .wanted = wall_time_later(facts->asked, facts->now),
        .renewal_due = facts->forced ? WALL_TIME_NEVER : facts->renewal_due,
    };
    const struct collapse_facts tasks = {
        .now = facts->now,
        .refused_until = facts->refused_until,
        .renewal_due = reading.renewal_due,
        .tasks = facts->tasks,
        .task_count = facts->task_count,
        .stuck_after_seconds = facts->settings.stuck_after_seconds,
    };

    if (!facts->looked_up || !facts->renewable)
        return reading;
    reading.waiting = collapse_waits(&tasks);
    reading.staying = collapse_stays(&tasks);
    reading.limited = find_rate_limited(&reading);
    reading.earliest = find_earliest(&reading);
    return reading;
}

static struct decision without_task(enum outcome outcome, const char *why)
{
    return (struct decision){.outcome = outcome, .due = WALL_TIME_NEVER, .why = why};
}

static struct decision existing(const struct renewal_task *task, const char *why)
{
    return (struct decision){
        .outcome = OUTCOME_EXISTING, .id = task->id, .due = task->due, .why = why};
}

static struct decision schedule(wall_time due, const char *why)
{
    return (struct decision){.outcome = OUTCOME_SCHEDULE, .due = due, .why = why};
}

static struct decision move(const struct renewal_task *task, wall_time due, const char *why)
{
    return (struct decision){.outcome = OUTCOME_MOVE, .id = task->id, .due = due, .why = why};
}

/* The rows. Each is asked only where none before it fits. */

static bool is_blind_and_refuses(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_REFUSE, "the look-ups failed");
    return !reading->facts->looked_up &&
           reading->facts->settings.on_lookup_failure == LOOKUP_FAILURE_REFUSE;
}

static bool is_blind_and_unanswered(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_REFUSE,
                             "the look-ups failed, and the answer to an earlier renewal was lost");
    return !reading->facts->looked_up && !reading->facts->blind_id &&
           reading->facts->blind_unanswered;
}

static bool is_blind_and_has_one(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_EXISTING,
                             "the look-ups failed, and a renewal was forwarded a short while ago");
    decision->id = reading->facts->blind_id;
    return !reading->facts->looked_up && reading->facts->blind_id;
}

static bool is_blind(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_FORWARD, "the look-ups failed");
    return !reading->facts->looked_up;
}

static bool is_not_renewable(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_FORWARD, "the server has the right answer for this domain");
    return !reading->facts->renewable;
}

static bool is_limited(const struct reading *reading, struct decision *decision)
{
    if (reading->limited)
        *decision = existing(reading->limited,
                             "the CA has refused and a task waits until it no longer does");
    return reading->limited;
}

/* Whether a task needs no help to run in time: due by then, or already tried. */
static bool is_under_way(const struct reading *reading, struct decision *decision)
{
    for (size_t i = 0; i < reading->facts->task_count; i++) {
        const struct renewal_task *task = &reading->facts->tasks[i];
        bool in_time = task->state == TASK_PENDING && !wall_time_before(reading->wanted, task->due);
        bool tried = task->state == TASK_RETRY && !gives_way(reading, task);

        if ((in_time || tried) && !is_stuck(reading, task)) {
            *decision = existing(reading->staying, "a renewal is already on its way");
            return true;
        }
    }
    return false;
}

static bool decide_is_fresh(const struct reading *reading)
{
    return wall_time_before(reading->wanted, reading->renewal_due);
}

static bool is_fresh_and_queued(const struct reading *reading, struct decision *decision)
{
    if (!decide_is_fresh(reading) || !reading->staying)
        return false;
    *decision =
        existing(reading->staying, "the certificate is fresh and its next renewal is queued");
    decision->next_renewal = true;
    return true;
}

static bool is_fresh_for_no_op(const struct reading *reading, struct decision *decision)
{
    *decision = without_task(OUTCOME_NO_OP, "the certificate is fresh");
    return decide_is_fresh(reading) && reading->facts->settings.not_due == NOT_DUE_NOOP;
}

static bool is_fresh_for_schedule(const struct reading *reading, struct decision *decision)
{
    *decision = schedule(reading->renewal_due,
                         "the certificate is fresh; its renewal is queued for when it is due");
    return decide_is_fresh(reading);
}

/*
 * Whether a DNS task stands for what is asked for: it renews by then. One DNS task is as good as
 * another, whenever it runs.
 */
static bool is_followed(const struct reading *reading, struct decision *decision)
{
    const struct renewal_task *follower = reading->facts->follower;

    if (!follower || is_stuck(reading, follower) ||
        (!reading->facts->ends_dns_task && follower->state != TASK_RETRY &&
         wall_time_before(reading->wanted, follower->due)))
        return false;
    *decision = existing(follower, "a DNS task that renews is already there");
    return true;
}

static bool is_held(const struct reading *reading, struct decision *decision)
{
    const struct renewal_task *earliest = reading->earliest;
    wall_time until = reading->facts->refused_until;
    const char *why = held_by_words(reading->facts->held_by);

    if (!wall_time_before(reading->wanted, until))
        return false;
    if (!earliest)
        *decision = schedule(until, why);
    else if (wall_time_equal(earliest->due, until))
        *decision = existing(earliest, why);
    else
        *decision = move(earliest, until, why);
    decision->orders = decision->held = true;
    return true;
}

static bool is_queued_for_later(const struct reading *reading, struct decision *decision)
{
    if (!reading->earliest)
        return false;
    if (reading->facts->ends_dns_task)
        *decision =
            without_task(OUTCOME_FORWARD,
                         "a renewal is due, and the queued one comes later than the DNS task's");
    else
        *decision = move(reading->earliest, reading->wanted,
                         "a renewal is due and the queued one comes later");
    decision->orders = true;
    return true;
}

static bool is_due(const struct reading *reading, struct decision *decision)
{
    (void)reading;
    *decision = without_task(OUTCOME_FORWARD, "a renewal is due and none is queued");
    decision->orders = true;
    return true;
}

static const struct {
    unsigned number;
    const char *asks;
    bool (*fits)(const struct reading *reading, struct decision *decision);
} rows[] = {
    {10, "the server could not be read, and RENEWGATE_ON_LOOKUP_FAILURE=refuse",
     is_blind_and_refuses},
    {10, "the server could not be read, and its answer to an earlier renewal was lost",
     is_blind_and_unanswered},
    {9, "the server could not be read, and a renewal was forwarded a short while ago",
     is_blind_and_has_one},
    {9, "the server could not be read", is_blind},
    {8, "the domain does not exist, or its certificates are managed by hand", is_not_renewable},
    {1, "a task waits because the CA has refused", is_limited},
    {2, "a task is due by then, runs, or is being retried", is_under_way},
    {3, "the certificate is fresh, and its next renewal is queued", is_fresh_and_queued},
    {4, "the certificate is fresh, and nothing is queued (RENEWGATE_NOT_DUE=noop)",
     is_fresh_for_no_op},
    {5, "the certificate is fresh, and nothing is queued (RENEWGATE_NOT_DUE=schedule)",
     is_fresh_for_schedule},
    {2, "a DNS task that ends with a renewal is due, or is being retried", is_followed},
    {6, "the certificate is due, but nothing is to be asked of the CA yet", is_held},
    {7, "the certificate is due, and a task is queued for later", is_queued_for_later},
    {8, "the certificate is due, and nothing is queued", is_due},
};

_Static_assert(sizeof rows / sizeof rows[0] == DECISION_STEPS, "a trace has a step for each row");

struct decision decide_by_rows(const struct decision_facts *facts, struct decision_trace *trace)
{
    const struct reading reading = read_facts(facts);
    struct decision decision = {0};
    bool fits = false;

    trace->count = 0;
    for (size_t i = 0; !fits && i < DECISION_STEPS; i++) {
        fits = rows[i].fits(&reading, &decision);
        decision.row = rows[i].number;
        trace->steps[trace->count++] =
            (struct decision_step){.row = rows[i].number, .asks = rows[i].asks, .fits = fits};
    }
    return decision;
}

struct decision decide(const struct decision_facts *facts)
{
    struct decision_trace trace;

    return decide_by_rows(facts, &trace);
}
