/* Plans for any set of tasks: what waits is left with one task, what is due with at least one. */

#include "policy/collapse.h"
#include "tests/fuzz/fuzz.h"

#define TASKS_MOST 16
#define TASK_BYTES 6

static const char *const reasons[] = {NULL, "Rate limited. Retry after 5 seconds",
                                      "Rate limited. Retry after some time", "Timeout"};

static void read_task(const uint8_t *data, struct renewal_task *task, char id[static 4])
{
    snprintf(id, 4, "t%c", 'a' + data[0] % TASKS_MOST);
    *task = (struct renewal_task){
        .id = id,
        .state = (enum task_state)(data[1] % 3),
        .due = {(int8_t)data[2] * 20},
        .failed_at = {(int8_t)data[2]},
        .seen = WALL_TIME_NEVER,
        .failure_reason = reasons[data[3] % 4],
        .restarted = data[4] & 1,
        .attempts = data[4] >> 1,
        .tried = data[5] & 1 ? (wall_time){(int8_t)data[5]} : WALL_TIME_NEVER,
    };
}

static bool is_stuck(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return renewal_task_stuck(task, facts->now, facts->stuck_after_seconds);
}

static bool is_due(const struct collapse_facts *facts, const struct renewal_task *task)
{
    return !wall_time_before(wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS), task->due);
}

/* In a sweep the one that is due beyond the account's limit is put off, where it is alone. */
static bool is_put_off(const struct collapse_facts *facts, const struct collapse_plan *plan,
                       size_t i)
{
    wall_time soon = wall_time_add(facts->now, COLLAPSE_MARGIN_SECONDS);

    return facts->upkeep && i == plan->survivor && wall_time_before(soon, facts->not_before) &&
           !wall_time_before(plan->due, facts->not_before);
}

static void check(const struct collapse_facts *facts, const struct collapse_plan *plan,
                  const enum collapse_fate *fates)
{
    size_t due = 0, due_left = 0, waiting = 0, waiting_left = 0, stuck_left = 0, put_off = 0;

    for (size_t i = 0; i < facts->task_count; i++) {
        bool removed = fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_YIELDS;
        if (facts->tasks[i].state == TASK_FAILED) {
            MUST(!removed && fates[i] != COLLAPSE_REWRITTEN);
        } else if (is_stuck(facts, &facts->tasks[i])) {
            MUST(fates[i] == COLLAPSE_REMOVED || fates[i] == COLLAPSE_LEFT);
            stuck_left += !removed;
        } else if (is_due(facts, &facts->tasks[i])) {
            due++;
            due_left += !removed;
            MUST(fates[i] != COLLAPSE_REMOVED);
            MUST(fates[i] != COLLAPSE_REWRITTEN || is_put_off(facts, plan, i));
            put_off += fates[i] == COLLAPSE_REWRITTEN;
        } else {
            waiting++;
            waiting_left += !removed;
        }
    }
    MUST(put_off == 0 || (due == 1 && waiting == 0));
    MUST(due_left == (due > 0) && waiting_left == (waiting > 0));
    MUST(stuck_left == 0 || due + waiting + plan->makes == 0);
    MUST(plan->makes == (facts->upkeep && due + waiting == 0));
    MUST(waiting == 0 || plan->survivor < facts->task_count);
    MUST(waiting == 0 || facts->upkeep ||
         !wall_time_before(plan->due, facts->tasks[plan->survivor].due));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct renewal_task tasks[TASKS_MOST];
    enum collapse_fate fates[TASKS_MOST];
    char ids[TASKS_MOST][4];
    struct collapse_facts facts = {.tasks = tasks};

    if (size < 3)
        return 0;
    facts.refused_until = data[0] & 1 ? (wall_time){(int8_t)data[0] * 20} : WALL_TIME_NEVER;
    facts.renewal_due = data[1] & 1 ? (wall_time){(int8_t)data[1] * 20} : WALL_TIME_NEVER;
    facts.upkeep = data[2] & 2;
    facts.stuck_after_seconds = data[2] & 4 ? 600 : 0;
    facts.not_before = data[2] & 8 ? (wall_time){data[2] * 10} : WALL_TIME_NEVER;
    facts.expires = wall_time_add(facts.renewal_due, data[2] & 16 ? 3600 : 0);
    data += 3;
    size -= 3;
    for (; size >= TASK_BYTES && facts.task_count < TASKS_MOST; facts.task_count++) {
        read_task(data, &tasks[facts.task_count], ids[facts.task_count]);
        data += TASK_BYTES;
        size -= TASK_BYTES;
    }
    struct collapse_plan plan = collapse_plan(&facts, fates);
    check(&facts, &plan, fates);
    MUST(collapse_plan(&facts, NULL).changes == plan.changes);
    return 0;
}
