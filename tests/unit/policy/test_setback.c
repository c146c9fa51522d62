#include "policy/setback.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "tests/unit/renewal_tasks.h"

#define INVALID "Authentication failed: \"Status: invalid\""

/*
 * One look after another: each row says with what order and setup, and what becomes of its tasks.
 */

static bool look(struct setback *known, uint64_t order, uint64_t setup, struct renewal_task *tasks,
                 size_t count)
{
    return setback_review(known, &(struct setback_look){.order = order,
                                                        .setup = setup,
                                                        .tasks = tasks,
                                                        .task_count = count,
                                                        .issued = WALL_TIME_NEVER,
                                                        .now = AT(0)});
}

static struct renewal_task limited(const char *id, int64_t attempts)
{
    struct renewal_task task = RETRY(id, 7 * DAY, LIMITED);

    task.attempts = attempts;
    return task;
}

static void a_refusal_is_of_the_order_that_it_was_first_seen_with(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task task = limited("a", 1);

    assert_true(look(&known, 1, 1, &task, 1));
    assert_int_equal(task.state, TASK_RETRY);

    for (size_t again = 0; again < 3; again++) {
        task = limited("a", 1);
        assert_true(look(&known, 2, 2, &task, 1));
        assert_int_equal(task.state, TASK_PENDING);
        assert_null(task.failure_reason);
        assert_true(task.other_order);
    }

    /* A collapse has forgotten its attempts. */
    task = limited("a", 0);
    look(&known, 2, 2, &task, 1);
    assert_int_equal(task.state, TASK_PENDING);

    /* It has run, and was refused with the new names. */
    task = limited("a", 1);
    look(&known, 2, 2, &task, 1);
    assert_int_equal(task.state, TASK_RETRY);
    task = limited("a", 1);
    look(&known, 2, 3, &task, 1);
    assert_int_equal(task.state, TASK_RETRY);
}

static void a_refusal_that_was_never_seen_counts(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task task = limited("a", 1);

    look(&known, 1, 1, &task, 1);
    task = limited("b", 1);
    look(&known, 2, 2, &task, 1);
    assert_int_equal(task.state, TASK_RETRY);
}

static void another_setup_does_not_end_a_refusal(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task tasks[] = {limited("a", 1), FAILED("b", -HOUR, LIMITED)};

    look(&known, 1, 1, tasks, 2);
    look(&known, 1, 2, tasks, 2);
    assert_int_equal(tasks[0].state, TASK_RETRY);
    assert_false(tasks[1].other_order);
    assert_true(tasks[1].other_setup);
}

static void failures_are_of_the_setup_that_they_were_seen_with(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task tasks[] = {FAILED("a", -HOUR, DNS_ERROR), FAILED("b", -60, DNS_ERROR),
                                   FAILED("c", -60, DNS_ERROR)};

    assert_true(look(&known, 1, 1, tasks, 2));
    assert_int_equal(known.failures, 2);
    look(&known, 1, 1, tasks, 2);
    assert_int_equal(known.failures, 2);

    look(&known, 1, 2, tasks, 2);
    assert_true(tasks[0].other_setup && tasks[1].other_setup);
    assert_int_equal(known.failures, 0);

    /* In the same second, but after the change. */
    look(&known, 1, 2, tasks, 3);
    assert_true(tasks[0].other_setup && tasks[1].other_setup);
    assert_false(tasks[2].other_setup);
    assert_int_equal(known.failures, 1);

    /* Back again: what failed so before is not known to fail so now. */
    look(&known, 1, 1, tasks, 3);
    assert_true(tasks[2].other_setup);
}

/* Sweeps remove those that say the same; the wait goes on growing. */
static void failures_that_are_gone_stay_counted(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task tasks[] = {FAILED("a", -DAY, DNS_ERROR), FAILED("b", -HOUR, DNS_ERROR),
                                   FAILED("c", -60, DNS_ERROR)};

    look(&known, 1, 1, tasks, 1);
    look(&known, 1, 1, tasks + 1, 1);
    look(&known, 1, 1, tasks + 2, 1);
    assert_int_equal(known.failures, 3);
    assert_false(look(&known, 1, 1, NULL, 0));
}

static void a_certificate_ends_the_count(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task tasks[] = {FAILED("a", -DAY, DNS_ERROR), FAILED("b", -60, DNS_ERROR)};
    struct setback_look issued = {
        .order = 1, .setup = 1, .tasks = tasks, .task_count = 2, .issued = AT(-HOUR)};

    look(&known, 1, 1, tasks, 1);
    setback_review(&known, &issued);
    assert_int_equal(known.failures, 1);
}

static void keep(struct setback *known, wall_time issued, wall_time refused, wall_time failing)
{
    setback_keep(
        known,
        &(struct setback_hold){
            .order = 1, .setup = 1, .issued = issued, .refused = refused, .failing = failing});
}

static void assert_kept(const struct setback *known, int64_t refused, int64_t failing)
{
    const struct setback_hold kept = setback_kept(known);

    assert_int_equal(kept.refused.seconds, refused);
    assert_int_equal(kept.failing.seconds, failing);
}

/* The newest few, by their tasks, for as long as they may count; other failures do not stay. */
static void failed_validations_that_are_gone_stay_known(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task tasks[] = {FAILED("a", -HOUR, INVALID), FAILED("b", -6 * HOUR, INVALID),
                                   FAILED("c", -DAY, INVALID),  FAILED("d", -60, DNS_ERROR),
                                   FAILED("e", -120, INVALID),  FAILED("f", -180, INVALID)};

    look(&known, 1, 1, tasks, COUNT(tasks));
    look(&known, 1, 1, tasks, COUNT(tasks));
    for (size_t again = 0; again < 2; again++) {
        size_t found = 0;
        for (size_t i = 0; i < SETBACK_INVALID; i++)
            found += strchr("abef", known.invalid[i].id[0]) != NULL;
        assert_int_equal(found, SETBACK_INVALID);
        assert_true(look(&known, 2, 2, NULL, 0));
        assert_int_equal(known.failures, 0);
    }
    struct setback_look later = {
        .order = 1, .setup = 1, .issued = WALL_TIME_NEVER, .now = AT(31 * DAY)};
    assert_false(setback_review(&known, &later));
}

/* A refusal is the order's, a failure the setup's; to keep one leaves the other. */
static void each_is_kept_for_what_it_was_of(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task waits = PENDING("b", 7 * DAY);

    keep(&known, WALL_TIME_NEVER, (wall_time)AT(DAY), WALL_TIME_NEVER);
    look(&known, 1, 1, &waits, 1);
    assert_kept(&known, NOW + DAY, INT64_MIN);
    keep(&known, WALL_TIME_NEVER, WALL_TIME_NEVER, (wall_time)AT(HOUR));
    assert_true(look(&known, 1, 1, &waits, 1));
    assert_kept(&known, NOW + DAY, NOW + HOUR);
    look(&known, 1, 2, &waits, 1);
    assert_kept(&known, NOW + DAY, INT64_MIN);
}

/* So the wait goes on growing, although nothing tells of the failures before. */
static void failures_that_are_kept_stay_counted(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task failed = FAILED("f", -HOUR, DNS_ERROR);
    const struct setback_hold hold = {.order = 1,
                                      .setup = 1,
                                      .issued = WALL_TIME_NEVER,
                                      .refused = WALL_TIME_NEVER,
                                      .failing = AT(-HOUR),
                                      .failures = 3,
                                      .counted = AT(-DAY)};

    setback_keep(&known, &hold);
    assert_true(look(&known, 1, 1, &failed, 1));
    assert_int_equal(setback_kept(&known).failures, 4);
    assert_int_equal(setback_kept(&known).counted.seconds, NOW - HOUR);
    look(&known, 1, 2, &failed, 1);
    assert_int_equal(setback_kept(&known).failures, 0);
}

static void what_is_kept_ends_with_the_task_that_waits_for_it(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task waits = PENDING("b", 7 * DAY), failed = FAILED("f", -DAY, DNS_ERROR);
    const wall_time until = AT(7 * DAY), none = NEVER;

    keep(&known, WALL_TIME_NEVER, until, until);
    for (size_t again = 0; again < 2; again++) {
        assert_true(look(&known, 1, 1, &waits, 1));
        assert_kept(&known, until.seconds, until.seconds);
    }
    /* Not for other names, and still for these. */
    look(&known, 2, 2, &waits, 1);
    assert_kept(&known, none.seconds, none.seconds);
    look(&known, 1, 1, &waits, 1);
    assert_kept(&known, until.seconds, until.seconds);

    look(&known, 1, 1, &failed, 1);
    assert_kept(&known, none.seconds, none.seconds);
    look(&known, 1, 1, &waits, 1);
    assert_kept(&known, none.seconds, none.seconds);
    assert_false(look(&known, 1, 1, &waits, 1));
}

static void what_is_kept_ends_with_the_next_certificate(void **state)
{
    (void)state;
    struct setback known = {0};
    struct renewal_task waits = PENDING("b", 7 * DAY);
    struct setback_look seen = {
        .order = 1, .setup = 1, .tasks = &waits, .task_count = 1, .issued = AT(-DAY)};

    keep(&known, seen.issued, (wall_time)AT(DAY), (wall_time)AT(DAY));
    setback_review(&known, &seen);
    assert_kept(&known, NOW + DAY, NOW + DAY);
    seen.issued = (wall_time){NOW - HOUR};
    assert_false(setback_review(&known, &seen));
    assert_kept(&known, INT64_MIN, INT64_MIN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failed_validations_that_are_gone_stay_known),
        cmocka_unit_test(each_is_kept_for_what_it_was_of),
        cmocka_unit_test(failures_that_are_kept_stay_counted),
        cmocka_unit_test(what_is_kept_ends_with_the_task_that_waits_for_it),
        cmocka_unit_test(what_is_kept_ends_with_the_next_certificate),
        cmocka_unit_test(a_refusal_is_of_the_order_that_it_was_first_seen_with),
        cmocka_unit_test(a_refusal_that_was_never_seen_counts),
        cmocka_unit_test(another_setup_does_not_end_a_refusal),
        cmocka_unit_test(failures_are_of_the_setup_that_they_were_seen_with),
        cmocka_unit_test(failures_that_are_gone_stay_counted),
        cmocka_unit_test(a_certificate_ends_the_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
