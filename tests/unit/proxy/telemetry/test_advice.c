/*
 * What a person does next: for each state one thing, and nothing in a command that a shell obeys.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/telemetry/advice.h"

#define SERVER "http://127.0.0.1:8080"

static const struct advice_facts healthy = {
    .now = {1000}, .renewable = true, .held_until = {0}, .live = 1, .task_id = "jp173xlcamqa"};

static void nothing_is_to_be_done_about_a_healthy_domain(void **state)
{
    (void)state;
    assert_null(advice_of(&healthy, SERVER).words);
}

static void each_state_has_its_words(void **state)
{
    struct advice_facts facts = healthy;
    struct advice advice;

    (void)state;
    facts.held_until.seconds = 2000;
    for (int by = 0; by < HELD_SOURCES; by++) {
        facts.held_by = (enum held_by)by;
        advice = advice_of(&facts, SERVER);
        assert_non_null(advice.words);
        assert_int_equal(advice.command[0] != '\0', by == HELD_BY_FAILURES);
    }
    facts.live = 0;
    facts.held_by = HELD_BY_FAILURES;
    assert_string_equal(advice_of(&facts, SERVER).command, "renewgate sweep");
    facts = healthy;
    facts.stuck = true;
    assert_string_equal(advice_of(&facts, SERVER).command, "renewgate sweep");
    facts = healthy;
    facts.live = 0;
    assert_string_equal(advice_of(&facts, SERVER).command, "renewgate sweep");
    facts = healthy;
    facts.renewable = false;
    advice = advice_of(&facts, SERVER);
    assert_non_null(advice.words);
    assert_string_equal(advice.command, "");
    facts = healthy;
    facts.failures = 1;
    assert_non_null(advice_of(&facts, SERVER).words);
}

static void what_others_chose_is_no_command(void **state)
{
    static const char *const hostile[] = {"a'; reboot; '", "a b", "$(x)", "-x", "a\nb", "`x`", ""};
    struct advice_facts facts = healthy;
    char command[ADVICE_COMMAND_SIZE];

    (void)state;
    facts.held_until.seconds = 2000;
    facts.held_by = HELD_BY_FAILURES;
    assert_non_null(strstr(advice_of(&facts, SERVER).command, "\"jp173xlcamqa\""));
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        facts.task_id = hostile[i];
        assert_string_equal(advice_of(&facts, SERVER).command, "");
        advice_explain(hostile[i], command);
        assert_string_equal(command, "");
        assert_string_equal(advice_of(&healthy, hostile[i]).command, "");
    }
    advice_explain("example.org", command);
    assert_string_equal(command, "renewgate explain example.org");
}

int main(void)
{
    program_invocation_name = "renewgate";

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_to_be_done_about_a_healthy_domain),
        cmocka_unit_test(each_state_has_its_words),
        cmocka_unit_test(what_others_chose_is_no_command),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
