/* The last day's decisions: what is counted where, and what is forgotten. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/telemetry/history.h"

#define QUARTER HISTORY_SLOT_SECONDS
#define LAST (HISTORY_SLOTS - 1)

static struct history *history;
static struct history_view view;

static int set_up(void **state)
{
    (void)state;
    history = history_create();
    return history ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    history_destroy(history);
    return 0;
}

static void note(enum outcome outcome, const char *domain, int64_t at)
{
    const struct hold_report report = {
        .domain_id = domain, .outcome = outcome, .why = "because", .domain_name = domain};
    history_note(history, &report, (wall_time){at});
}

static void decisions_count_in_their_quarter_of_an_hour_for_a_day(void **state)
{
    (void)state;
    int64_t noon = INT64_C(1000) * QUARTER;
    note(OUTCOME_FORWARD, "a", noon);
    note(OUTCOME_NO_OP, "a", noon + QUARTER - 1);
    note(OUTCOME_NO_OP, "a", noon + QUARTER);

    history_read(history, (wall_time){noon + QUARTER}, &view);
    assert_int_equal(view.slots[LAST - 1].counts[OUTCOME_FORWARD], 1);
    assert_int_equal(view.slots[LAST - 1].counts[OUTCOME_NO_OP], 1);
    assert_int_equal(view.slots[LAST].counts[OUTCOME_NO_OP], 1);
    assert_int_equal(view.totals[OUTCOME_NO_OP], 2);
    assert_int_equal(view.slots[LAST].begins.seconds, noon + QUARTER);

    history_read(history, (wall_time){noon + LAST * QUARTER}, &view);
    assert_int_equal(view.slots[0].counts[OUTCOME_FORWARD], 1);
    history_read(history, (wall_time){noon + HISTORY_SLOTS * QUARTER}, &view);
    assert_int_equal(view.total, 1);
    note(OUTCOME_MOVE, "a", noon + HISTORY_SLOTS * QUARTER);
    history_read(history, (wall_time){noon + HISTORY_SLOTS * QUARTER}, &view);
    assert_int_equal(view.slots[LAST].counts[OUTCOME_FORWARD], 0);
    assert_int_equal(view.total, 2);
}

static void the_latest_decisions_come_first_and_push_the_oldest_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < HISTORY_RECENT + 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "d%u", i);
        note(OUTCOME_NO_OP, name, 5000);
    }
    history_read(history, (wall_time){5000}, &view);
    assert_int_equal(view.recent_count, HISTORY_RECENT);
    assert_string_equal(view.recent[0].domain, "d22");
    assert_string_equal(view.recent[HISTORY_RECENT - 1].domain, "d3");
}

static void a_long_text_is_cut_between_characters(void **state)
{
    char name[DOMAIN_SNAPSHOT_NAME_SIZE + 10] = "x";

    (void)state;
    for (size_t i = 1; i + 2 < sizeof name; i += 2)
        memcpy(name + i, "\xc3\xbc", 3);
    note(OUTCOME_NO_OP, name, 5000);
    history_read(history, (wall_time){5000}, &view);
    assert_int_equal(strlen(view.recent[0].domain), DOMAIN_SNAPSHOT_NAME_SIZE - 1);
    assert_int_equal(strlen(view.recent[0].domain_id), OBJECT_ID_SIZE - 1);
    note(OUTCOME_NO_OP, name + 1, 5000);
    history_read(history, (wall_time){5000}, &view);
    assert_int_equal(strlen(view.recent[0].domain), DOMAIN_SNAPSHOT_NAME_SIZE - 2);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(decisions_count_in_their_quarter_of_an_hour_for_a_day),
        TEST(the_latest_decisions_come_first_and_push_the_oldest_out),
        TEST(a_long_text_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
