#include "policy/held.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/renewal_tasks.h"

#define TASKS_MAX 8
#define UNSUPPORTED                                                                                \
    "Challenge type Http01 not supported. Supported types: [Challenge { typ: Dns01, url: "         \
    "\"https://localhost/chalZ/d1\", token: Some(\"w1\"), error: None }]"
#define UNSUPPORTED_AGAIN                                                                          \
    "Challenge type Http01 not supported. Supported types: [Challenge { typ: Dns01, url: "         \
    "\"https://localhost/chalZ/e77\", token: Some(\"x5\"), error: None }]"
#define SHORT "Invalid request: Certificate expires in 1800 seconds, expected at least 3600 seconds"
#define INVALID "Authentication failed: \"Status: invalid\""
#define NOT_DUE                                                                                    \
    "Certificate for domain example.org is still valid; renewal is not due until "                 \
    "2026-11-23T21:33:17Z"

#define USUAL                                                                                      \
    .now = AT(0), .limits.backoff = {HOUR, 24 * HOUR}, .limits.issue = {5, 168 * HOUR},            \
    .limits.validation = {5, HOUR}, .limits.blind_hold_seconds = 6 * HOUR, .paced_until = NEVER

struct row {
    const char *name;
    struct held_facts facts;
    struct renewal_task tasks[TASKS_MAX];
    int64_t issued; /* how long ago; 0: nothing was */
    wall_time until;
    enum held_by by;
    size_t failures;
};

#pragma GCC diagnostic push
#ifdef __clang__
#pragma GCC diagnostic ignored "-Winitializer-overrides"
#else
#pragma GCC diagnostic ignored "-Woverride-init"
#endif

#define OTHER_SETUP(name, offset, reason)                                                          \
    {.id = (name),                                                                                 \
     .state = TASK_FAILED,                                                                         \
     .failed_at = AT(offset),                                                                      \
     .failure_reason = (reason),                                                                   \
     .other_setup = true}
#define OTHER_ORDER(name, offset, reason)                                                          \
    {.id = (name),                                                                                 \
     .state = TASK_FAILED,                                                                         \
     .failed_at = AT(offset),                                                                      \
     .failure_reason = (reason),                                                                   \
     .other_setup = true,                                                                          \
     .other_order = true}

static const struct row rows[] = {
    {"nothing", {USUAL}, {{0}}, 0, NEVER, HELD_BY_CA, 0},
    {"a failure", {USUAL}, {FAILED("a", -60, UNSUPPORTED)}, 0, AT(HOUR - 60), HELD_BY_FAILURES, 1},
    {"two",
     {USUAL},
     {FAILED("a", -60, UNSUPPORTED), FAILED("b", -2 * HOUR, DNS_ERROR)},
     0,
     AT(2 * HOUR - 60),
     HELD_BY_FAILURES,
     2},
    {"three, in another order",
     {USUAL},
     {FAILED("a", -5 * HOUR, SHORT), FAILED("b", -60, UNSUPPORTED), FAILED("c", -DAY, DNS_ERROR)},
     0,
     AT(4 * HOUR - 60),
     HELD_BY_FAILURES,
     3},
    {"more than there are tasks of: the others are remembered",
     {USUAL, .failures = 4},
     {FAILED("a", -60, UNSUPPORTED)},
     0,
     AT(8 * HOUR - 60),
     HELD_BY_FAILURES,
     4},
    {"a day at most",
     {USUAL, .failures = 1000000},
     {FAILED("a", -60, UNSUPPORTED)},
     0,
     AT(24 * HOUR - 60),
     HELD_BY_FAILURES,
     1000000},
    {"three runs of three failed validations each: all that the CA takes is owed",
     {USUAL, .forced = true},
     {{.id = "a",
       .state = TASK_FAILED,
       .failed_at = AT(-600),
       .failure_reason = INVALID,
       .attempts = 3}},
     0,
     AT(3 * 720 - 600),
     HELD_BY_VALIDATIONS,
     1},
    {"so many attempts that they cannot be",
     {USUAL, .forced = true},
     {{.id = "a",
       .state = TASK_FAILED,
       .failed_at = AT(-600),
       .failure_reason = INVALID,
       .attempts = INT64_MAX / 4}},
     0,
     AT(3 * 720 - 600),
     HELD_BY_VALIDATIONS,
     1},
    {"a refusal whose task is gone",
     {USUAL, .kept_refused = AT(DAY)},
     {PENDING("a", DAY)},
     0,
     AT(DAY),
     HELD_BY_CA,
     0},
    {"one that is over", {USUAL, .kept_refused = AT(-60)}, {{0}}, 0, NEVER, HELD_BY_CA, 0},
    {"a task that tells of a shorter one",
     {USUAL, .kept_refused = AT(DAY)},
     {RETRY("a", HOUR, LIMITED)},
     0,
     AT(HOUR),
     HELD_BY_CA,
     0},
    {"and of one that is over",
     {USUAL, .kept_refused = AT(DAY)},
     {RETRY("a", -60, LIMITED)},
     0,
     AT(DAY),
     HELD_BY_CA,
     0},
    {"validations whose tasks are gone",
     {USUAL, .invalid = (struct setback_invalid[SETBACK_INVALID]){{"a", AT(-600), 1}}},
     {{0}},
     0,
     AT(720 - 600),
     HELD_BY_VALIDATIONS,
     0},
    {"they are not counted twice",
     {USUAL, .forced = true,
      .invalid = (struct setback_invalid[SETBACK_INVALID]){{"a", AT(-600), 1}}},
     {FAILED("a", -600, INVALID)},
     0,
     AT(720 - 600),
     HELD_BY_VALIDATIONS,
     1},
    {"failures whose tasks are gone",
     {USUAL, .kept_failing = AT(HOUR), .failures = 3},
     {PENDING("a", HOUR)},
     0,
     AT(HOUR),
     HELD_BY_FAILURES,
     3},
    {"a later one that is there",
     {USUAL, .kept_failing = AT(HOUR), .failures = 3},
     {FAILED("a", 0, UNSUPPORTED)},
     0,
     AT(4 * HOUR),
     HELD_BY_FAILURES,
     3},
    {"a force ends them, too",
     {USUAL, .kept_failing = AT(HOUR), .failures = 3, .forced = true},
     {{0}},
     0,
     NEVER,
     HELD_BY_CA,
     0},
    {"their wait is over",
     {USUAL, .kept_failing = AT(-60), .failures = 3},
     {{0}},
     0,
     NEVER,
     HELD_BY_CA,
     0},
    {"what is remembered alone is none", {USUAL, .failures = 4}, {{0}}, 0, NEVER, HELD_BY_CA, 0},
    {"over", {USUAL}, {FAILED("a", -DAY, UNSUPPORTED)}, 0, AT(HOUR - DAY), HELD_BY_FAILURES, 1},
    {"at a time to come: now",
     {USUAL},
     {FAILED("a", 90 * DAY, UNSUPPORTED)},
     0,
     AT(HOUR),
     HELD_BY_FAILURES,
     1},
    {"off",
     {USUAL, .limits.backoff = {0, 0}},
     {FAILED("a", -60, UNSUPPORTED)},
     0,
     NEVER,
     HELD_BY_CA,
     1},
    {"a force", {USUAL, .forced = true}, {FAILED("a", -60, UNSUPPORTED)}, 0, NEVER, HELD_BY_CA, 1},
    {"before the last certificate",
     {USUAL},
     {FAILED("a", -DAY, UNSUPPORTED)},
     HOUR,
     NEVER,
     HELD_BY_CA,
     0},
    {"after it",
     {USUAL},
     {FAILED("a", -60, UNSUPPORTED), FAILED("b", -DAY, UNSUPPORTED)},
     HOUR,
     AT(HOUR - 60),
     HELD_BY_FAILURES,
     1},
    {"with another setup", {USUAL}, {OTHER_SETUP("a", -60, UNSUPPORTED)}, 0, NEVER, HELD_BY_CA, 0},
    {"not due, superseded, without a reason, alive",
     {USUAL},
     {FAILED("a", -60, NOT_DUE), FAILED("b", -60, "superseded by a"), FAILED("c", -60, NULL),
      RETRY("d", HOUR, DNS_ERROR), PENDING("e", HOUR)},
     0,
     NEVER,
     HELD_BY_CA,
     0},
    {"a refusal is none", {USUAL}, {FAILED("a", 0, LIMITED)}, 0, AT(604793), HELD_BY_CA, 0},
    {"a refusal of other names", {USUAL}, {OTHER_ORDER("a", 0, LIMITED)}, 0, NEVER, HELD_BY_CA, 0},
    {"a refusal with another setup holds",
     {USUAL},
     {OTHER_SETUP("a", 0, LIMITED)},
     0,
     AT(604793),
     HELD_BY_CA,
     0},
    {"the later of the two",
     {USUAL},
     {FAILED("a", 0, LIMITED), FAILED("b", -60, UNSUPPORTED)},
     0,
     AT(604793),
     HELD_BY_CA,
     1},
    {"certificates that were thrown away use up the CA's limit",
     {USUAL},
     {FAILED("a", -40 * HOUR, SHORT), FAILED("b", -39 * HOUR, SHORT),
      FAILED("c", -37 * HOUR, SHORT), FAILED("d", -33 * HOUR, SHORT),
      FAILED("e", -25 * HOUR, SHORT), FAILED("f", -25 * HOUR, SHORT)},
     0,
     AT(8 * HOUR + 36 * 60),
     HELD_BY_CA,
     6},
    {"those with other names do not",
     {USUAL},
     {OTHER_ORDER("a", 0, SHORT), OTHER_ORDER("b", 0, SHORT), OTHER_ORDER("c", 0, SHORT),
      OTHER_ORDER("d", 0, SHORT), OTHER_ORDER("e", 0, SHORT)},
     0,
     NEVER,
     HELD_BY_CA,
     0},
    {"one run with failed validations: two are left, and the next run may have three",
     {USUAL, .forced = true},
     {FAILED("a", -60, INVALID)},
     0,
     AT(11 * 60),
     HELD_BY_VALIDATIONS,
     1},
    {"a run that is long enough ago",
     {USUAL, .forced = true},
     {FAILED("a", -720, INVALID)},
     0,
     NEVER,
     HELD_BY_CA,
     1},
    {"of a limit below three, all",
     {USUAL, .forced = true, .limits.validation = {2, HOUR}},
     {FAILED("a", -60, INVALID)},
     0,
     AT(HOUR - 60),
     HELD_BY_VALIDATIONS,
     1},
    {"two within the hour are more than five, whatever the setup",
     {USUAL, .forced = true},
     {FAILED("a", -60, INVALID), OTHER_SETUP("b", -60, INVALID)},
     0,
     AT(35 * 60),
     HELD_BY_VALIDATIONS,
     1},
    {"off: no limit of validations",
     {USUAL, .forced = true, .limits.validation = {0, 0}},
     {FAILED("a", -60, INVALID), FAILED("b", -60, INVALID)},
     0,
     NEVER,
     HELD_BY_CA,
     2},
    {"the account's other orders",
     {USUAL, .paced_until = AT(36)},
     {{0}},
     0,
     AT(36),
     HELD_BY_ACCOUNT,
     0},
};

#pragma GCC diagnostic pop

static size_t count_tasks(const struct renewal_task *tasks)
{
    size_t count = 0;

    while (count < TASKS_MAX && tasks[count].id)
        count++;
    return count;
}

static void the_latest_source_counts(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        const wall_time issued[] = {AT(-rows[i].issued)};
        struct held_facts facts = rows[i].facts;

        facts.tasks = rows[i].tasks;
        facts.task_count = count_tasks(rows[i].tasks);
        facts.issued = issued;
        facts.issued_count = rows[i].issued > 0;

        struct held held = held_until(&facts);
        if (!wall_time_equal(held.until, rows[i].until))
            fail_msg("%s: %lld", rows[i].name, (long long)(held.until.seconds - NOW));
        if (held.by != rows[i].by || held.failures != rows[i].failures)
            fail_msg("%s: by %d, %zu failures", rows[i].name, held.by, held.failures);
        assert_true(strlen(held_by_words(held.by)) > 0);
    }
}

static void tells_the_latest_reason(void **state)
{
    (void)state;
    const struct renewal_task tasks[] = {FAILED("a", -DAY, SHORT), FAILED("b", -60, DNS_ERROR),
                                         FAILED("c", -HOUR, INVALID), FAILED("d", 0, NOT_DUE)};
    const struct held_facts facts = {USUAL, .tasks = tasks, .task_count = COUNT(tasks)};

    assert_string_equal(held_until(&facts).reason, DNS_ERROR);
}

static void the_newest_of_those_that_say_the_same_is_enough(void **state)
{
    (void)state;
    static const struct {
        struct renewal_task task;
        bool spent;
    } some[] = {
        {FAILED("a", -3 * HOUR, UNSUPPORTED), true},
        {FAILED("b", -HOUR, UNSUPPORTED_AGAIN), true},
        {FAILED("c", -60, UNSUPPORTED), false},
        {FAILED("b2", -60, UNSUPPORTED_AGAIN), true}, /* in the same second */
        {FAILED("d", -2 * HOUR, DNS_ERROR), false},
        {FAILED("e", -DAY, SHORT), false}, /* the CA's limit is reckoned by it */
        {FAILED("f", -HOUR, SHORT), false},
        {FAILED("g", -8 * DAY, SHORT), true},
        {FAILED("h", -2 * HOUR, INVALID), true},
        {FAILED("i", -1800, INVALID), false},
        {FAILED("j", -60, INVALID), false},
        {FAILED("k", -DAY, LIMITED), false},
        {FAILED("l", -HOUR, LIMITED), false},
        {FAILED("m", -HOUR, NOT_DUE), false},
        {FAILED("n", -60, NOT_DUE), false},
        {RETRY("o", -HOUR, DNS_ERROR), false},
        {PENDING("p", -HOUR), false},
    };
    struct renewal_task tasks[COUNT(some)];
    const struct held_facts facts = {USUAL, .tasks = tasks, .task_count = COUNT(tasks)};

    for (size_t i = 0; i < COUNT(some); i++)
        tasks[i] = some[i].task;
    bool spent[COUNT(some)];
    size_t found = held_find_spent(&facts, spent), wanted = 0;

    for (size_t i = 0; i < COUNT(some); i++) {
        if (spent[i] != some[i].spent)
            fail_msg("%s", some[i].task.id);
        wanted += some[i].spent;
    }
    assert_int_equal(found, wanted);
}

static void tasks_of_more_reasons_than_are_told_apart_are_left(void **state)
{
    (void)state;
    char reasons[HELD_REASONS + 2][24];
    struct renewal_task tasks[2 * COUNT(reasons)];
    bool spent[COUNT(tasks)];
    const struct held_facts facts = {USUAL, .tasks = tasks, .task_count = COUNT(tasks)};

    for (size_t i = 0; i < COUNT(tasks); i++) {
        size_t r = i % COUNT(reasons);
        reasons[r][0] = (char)('a' + r);
        memcpy(reasons[r] + 1, " has failed", 12);
        tasks[i] = (struct renewal_task){.id = i < COUNT(reasons) ? "a" : "b",
                                         .state = TASK_FAILED,
                                         .failed_at = AT(-60),
                                         .failure_reason = reasons[r]};
    }
    assert_int_equal(held_find_spent(&facts, spent), HELD_REASONS);
    for (size_t i = 0; i < COUNT(tasks); i++)
        assert_int_equal(spent[i], i < HELD_REASONS);
}

static void reads_a_backoff(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool good;
        int64_t first, longest;
    } texts[] = {
        {"1h/24h", true, HOUR, DAY},
        {"off", true, 0, 0},
        {"5m/1d", true, 300, DAY},
        {"1s/1s", true, 1, 1},
        {"31d/31d", true, 31 * DAY, 31 * DAY},
        {"2h/1h", false, 0, 0},
        {"1h/32d", false, 0, 0},
        {"0h/1h", false, 0, 0},
        {"1h", false, 0, 0},
        {"1h/", false, 0, 0},
        {"/1h", false, 0, 0},
        {"1h/24h ", false, 0, 0},
        {"1/24", false, 0, 0},
        {"1h24h", false, 0, 0},
        {"", false, 0, 0},
        {"-1h/1h", false, 0, 0},
        {"1w/1w", false, 0, 0},
        {"99999999999999999999s/99999999999999999999s", false, 0, 0},
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct failure_backoff backoff = {7, 7};
        bool good = failure_backoff_parse(texts[i].text, &backoff);

        if (good != texts[i].good || backoff.first_seconds != (good ? texts[i].first : 7) ||
            backoff.longest_seconds != (good ? texts[i].longest : 7))
            fail_msg("%s", texts[i].text);
    }
    assert_false(failure_backoff_parse(NULL, &(struct failure_backoff){0}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_latest_source_counts),
        cmocka_unit_test(tells_the_latest_reason),
        cmocka_unit_test(the_newest_of_those_that_say_the_same_is_enough),
        cmocka_unit_test(tasks_of_more_reasons_than_are_told_apart_are_left),
        cmocka_unit_test(reads_a_backoff),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
