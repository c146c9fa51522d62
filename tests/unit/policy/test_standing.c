/* How a domain's certificate stands. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policy/standing.h"

#define NOW 1000

static void the_worst_that_fits_counts(void **state)
{
    static const struct {
        int64_t not_after;
        int64_t renewal_due;
        int64_t refused_until;
        enum standing standing;
    } rows[] = {
        {NOW + 9, NOW + 1, INT64_MIN, STANDING_FRESH},
        {NOW + 9, NOW, INT64_MIN, STANDING_DUE},
        {NOW + 9, NOW - 1, NOW, STANDING_DUE},
        {NOW + 9, NOW - 1, NOW + 1, STANDING_HELD},
        {NOW + 9, NOW + 1, NOW + 1, STANDING_HELD},
        {NOW, NOW - 5, INT64_MIN, STANDING_EXPIRED},
        {NOW, NOW - 5, NOW + 1, STANDING_EXPIRED},
        {INT64_MIN, INT64_MIN, INT64_MIN, STANDING_MISSING},
        {INT64_MIN, INT64_MIN, NOW + 1, STANDING_MISSING},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct standing_facts facts = {
            .not_after = {rows[i].not_after},
            .renewal_due = {rows[i].renewal_due},
            .refused_until = {rows[i].refused_until},
        };
        if (standing_of(&facts, (wall_time){NOW}) != rows[i].standing)
            fail_msg("row %zu", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_worst_that_fits_counts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
