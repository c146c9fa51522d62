#include "policy/due.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DAY INT64_C(86400)

static void reads_the_four_parts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum renew_before part;
    } rows[] = {
        {"R12", RENEW_BEFORE_R12},
        {"R23", RENEW_BEFORE_R23},
        {"R34", RENEW_BEFORE_R34},
        {"R45", RENEW_BEFORE_R45},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        enum renew_before part = i == 0 ? RENEW_BEFORE_R45 : RENEW_BEFORE_R12;

        assert_true(renew_before_parse(rows[i].text, &part));
        assert_int_equal(part, rows[i].part);
    }
}

static void refuses_other_parts(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "R", "r23", "R23 ", " R23", "R56", "R123", "2/3"};
    enum renew_before part = RENEW_BEFORE_R34;

    for (size_t i = 0; i < COUNT(texts); i++)
        assert_false(renew_before_parse(texts[i], &part));
    assert_false(renew_before_parse(NULL, &part));
    assert_int_equal(part, RENEW_BEFORE_R34);
}

static void finds_the_due_time(void **state)
{
    (void)state;
    static const struct {
        int64_t not_before, not_after;
        enum renew_before part;
        int64_t due;
    } rows[] = {
        {0, 90 * DAY, RENEW_BEFORE_R12, 45 * DAY},
        {0, 90 * DAY, RENEW_BEFORE_R23, 60 * DAY},
        {0, 90 * DAY, RENEW_BEFORE_R34, 135 * DAY / 2},
        {0, 90 * DAY, RENEW_BEFORE_R45, 72 * DAY},
        {1000, 1000 + 90 * DAY, RENEW_BEFORE_R23, 1000 + 60 * DAY},

        /* Let's Encrypt's ninety days end a second early. */
        {1795469597, 1795469597 + 90 * DAY - 1, RENEW_BEFORE_R23, 1795469597 + 60 * DAY - 1},

        /* Rounded down, before 1970 too: it is the age that is rounded. */
        {0, 1, RENEW_BEFORE_R12, 0},
        {0, 2, RENEW_BEFORE_R23, 1},
        {0, 7, RENEW_BEFORE_R34, 5},
        {0, 9, RENEW_BEFORE_R45, 7},
        {-10, -3, RENEW_BEFORE_R12, -7},

        {5, 5, RENEW_BEFORE_R23, 5},
        {5, 4, RENEW_BEFORE_R23, 5},
        {INT64_MAX, INT64_MIN, RENEW_BEFORE_R45, INT64_MAX},

        {INT64_MIN, INT64_MAX, RENEW_BEFORE_R12, -1},
        {INT64_MIN, INT64_MAX, RENEW_BEFORE_R23, INT64_C(3074457345618258602)},
        {INT64_MIN, INT64_MAX, RENEW_BEFORE_R34, INT64_C(4611686018427387903)},
        {INT64_MIN, INT64_MAX, RENEW_BEFORE_R45, INT64_C(5534023222112865484)},
        {0, INT64_MAX, RENEW_BEFORE_R45, INT64_C(7378697629483820645)},
        {INT64_MIN, 0, RENEW_BEFORE_R12, INT64_MIN / 2},
        {INT64_MAX - 2, INT64_MAX, RENEW_BEFORE_R12, INT64_MAX - 1},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time due =
            due_at((wall_time){rows[i].not_before}, (wall_time){rows[i].not_after}, rows[i].part);
        if (due.seconds != rows[i].due)
            fail_msg("row %zu: %lld", i, (long long)due.seconds);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_four_parts),
        cmocka_unit_test(refuses_other_parts),
        cmocka_unit_test(finds_the_due_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
