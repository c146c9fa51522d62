/*
 * Whom the gate takes to be known to the server: for an hour, and of how many. Linked as
 * test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/server/callers.h"
#include "tests/unit/failing_memory.h"

#define HOUR INT64_C(3600000)

static monotonic_time at(int64_t milliseconds)
{
    return (monotonic_time){milliseconds * NANOSECONDS_PER_MILLISECOND};
}

static int set_up(void **state)
{
    *state = callers_create();
    return *state ? 0 : -1;
}

static int tear_down(void **state)
{
    callers_destroy(*state);
    return 0;
}

static void who_was_let_create_is_known_for_an_hour(void **state)
{
    struct callers *callers = *state;

    assert_false(callers_know(callers, "Basic a", at(1)));
    callers_note(callers, "Basic a", true, at(1));
    assert_true(callers_know(callers, "Basic a", at(HOUR)));
    assert_false(callers_know(callers, "Basic a", at(HOUR + 1)));
    assert_false(callers_know(callers, "Basic b", at(1)));
    assert_false(callers_know(callers, "Basic ", at(1)));
    callers_note(callers, "Basic a", true, at(HOUR + 1));
    assert_true(callers_know(callers, "Basic a", at(2 * HOUR)));
}

static void who_is_refused_is_known_no_more(void **state)
{
    struct callers *callers = *state;

    callers_note(callers, "Basic a", true, at(1));
    callers_note(callers, "Basic b", false, at(2));
    assert_true(callers_know(callers, "Basic a", at(3)));
    callers_note(callers, "Basic a", false, at(4));
    assert_false(callers_know(callers, "Basic a", at(5)));
}

static void without_a_credential_nobody_is_known(void **state)
{
    struct callers *callers = *state;

    callers_note(callers, NULL, true, at(1));
    assert_false(callers_know(callers, NULL, at(1)));
    callers_note(callers, "", true, at(1));
    assert_true(callers_know(callers, "", at(1)));
    assert_false(callers_know(callers, NULL, at(1)));
}

/* Who comes is known, however many there are, and who came last is not forgotten for it. */
static void of_too_many_those_of_long_ago_are_forgotten(void **state)
{
    struct callers *callers = *state;
    size_t known = 0;
    char name[32];

    for (int i = 1; i <= 20000; i++) {
        snprintf(name, sizeof name, "Basic %d", i);
        callers_note(callers, name, true, at(i));
        assert_true(callers_know(callers, name, at(i)));
    }
    for (int i = 1; i <= 20000; i++) {
        snprintf(name, sizeof name, "Basic %d", i);
        known += callers_know(callers, name, at(20000));
    }
    assert_in_range(known, 3000, 4096);
    assert_false(callers_know(callers, "Basic 1", at(20000)));
}

static void without_memory_there_are_none(void **state)
{
    (void)state;
    left = 0;
    struct callers *callers = callers_create();
    left = INT_MAX;
    assert_null(callers);
    callers_destroy(callers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_was_let_create_is_known_for_an_hour, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_is_refused_is_known_no_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_a_credential_nobody_is_known, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_too_many_those_of_long_ago_are_forgotten, set_up,
                                        tear_down),
        cmocka_unit_test(without_memory_there_are_none),
    };

    return cmocka_run_group_tests_name("callers", tests, NULL, NULL);
}
