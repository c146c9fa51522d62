#include "policy/no_op_id.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void writes_known_ids(void **state)
{
    (void)state;
    static const struct {
        const char *domain_id, *certificate_id, *id;
    } rows[] = {
        /* What clients were once told must stay true: these never change. */
        {"b", "c", "p33okmtz9drbj"},
        {"b", "d", "p33dxicq7cg7e"},
        {"c", "b", "p33e92cfbra1p"},
        {"", "", "p33n702t1twoc"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char id[NO_OP_ID_SIZE];

        no_op_id(rows[i].domain_id, rows[i].certificate_id, id);
        assert_string_equal(id, rows[i].id);
    }
}

static void depends_on_both_and_nothing_else(void **state)
{
    (void)state;
    char first[NO_OP_ID_SIZE], second[NO_OP_ID_SIZE];

    no_op_id("bc", "d", first);
    no_op_id("bc", "d", second);
    assert_string_equal(first, second);
    no_op_id("b", "cd", second);
    assert_string_not_equal(first, second);
    no_op_id("bc", "e", second);
    assert_string_not_equal(first, second);
    no_op_id("be", "d", second);
    assert_string_not_equal(first, second);
}

static void stays_below_the_ids_with_a_meaning(void **state)
{
    (void)state;
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz792013";

    for (int i = 0; i < 20000; i++) {
        char certificate_id[16], id[NO_OP_ID_SIZE];

        snprintf(certificate_id, sizeof certificate_id, "c%d", i);
        no_op_id("b", certificate_id, id);
        assert_int_equal(strlen(id), NO_OP_ID_SIZE - 1);
        assert_int_equal(strspn(id, alphabet), NO_OP_ID_SIZE - 1);
        assert_memory_equal(id, "p33", 3);
        /* 3 is the highest digit, so this is less than every id that begins with p333. */
        assert_in_range(id[3], 'a', 'p');
        assert_string_not_equal(id, IMPOSSIBLE_DOMAIN_ID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_known_ids),
        cmocka_unit_test(depends_on_both_and_nothing_else),
        cmocka_unit_test(stays_below_the_ids_with_a_meaning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
