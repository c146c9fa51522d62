/* Who may hold how much of the budget for requests that are needed whole. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/base/budget.h"

#define MEBIBYTE ((size_t)1 << 20)

static struct budget *new_budget(size_t limit)
{
    struct budget *budget = malloc(sizeof *budget);

    assert_non_null(budget);
    assert_true(budget_init(budget, limit));
    return budget;
}

static void test_one_client_gets_half(void **state)
{
    (void)state;
    struct budget *budget = new_budget(8 * MEBIBYTE);
    struct budget_account first, second;

    budget_open(&first, budget, "192.0.2.1");
    budget_open(&second, budget, "192.0.2.1");
    assert_true(budget_take(&first, 3 * MEBIBYTE));
    assert_false(budget_fits(&second, 2 * MEBIBYTE));
    assert_false(budget_take(&second, 2 * MEBIBYTE));
    assert_true(budget_take(&second, MEBIBYTE));
    assert_false(budget_take(&second, 1));
    budget_close(&first);
    assert_true(budget_take(&second, 1));
    budget_close(&second);
    assert_int_equal(atomic_load(&budget->used), 0);
    free(budget);
}

/* Small requests find room beside large ones, until all is used up. */
static void test_large_requests_leave_a_quarter(void **state)
{
    (void)state;
    struct budget *budget = new_budget(8 * MEBIBYTE);
    struct budget_account accounts[3];
    char client[32];
    size_t small = 0;

    for (size_t i = 0; i < 3; i++) {
        snprintf(client, sizeof client, "192.0.2.%zu", i);
        budget_open(&accounts[i], budget, client);
        assert_int_equal(budget_take(&accounts[i], 3 * MEBIBYTE), i < 2);
    }
    for (size_t i = 0; i < 100; i++) {
        struct budget_account account;
        snprintf(client, sizeof client, "198.51.100.%zu", i);
        budget_open(&account, budget, client);
        small += budget_take(&account, BUDGET_SMALL);
        assert_false(budget_take(&account, 1));
    }
    assert_int_equal(small, 2 * MEBIBYTE / BUDGET_SMALL);
    free(budget);
}

static bool share_one(struct budget *budget, const char *a, const char *b)
{
    struct budget_account first, second;

    budget_open(&first, budget, a);
    budget_open(&second, budget, b);
    return first.share == second.share;
}

/* Addresses of one IPv6 network are one client, whatever else of them differs. */
static void test_who_is_a_client(void **state)
{
    (void)state;
    struct budget *budget = new_budget(MEBIBYTE);

    assert_true(share_one(budget, "2001:db8:1:2::1", "2001:db8:1:2:ffff::9"));
    assert_true(share_one(budget, "192.0.2.1", "::ffff:192.0.2.1"));
    assert_true(share_one(budget, "unknown", "unknown"));
    size_t met = 0;
    for (unsigned i = 0; i < 200; i++) {
        char a[48], b[48];
        snprintf(a, sizeof a, "192.0.2.%u", i);
        snprintf(b, sizeof b, "192.0.3.%u", i);
        met += share_one(budget, a, b);
        snprintf(a, sizeof a, "2001:db8:1:%x::1", i);
        snprintf(b, sizeof b, "2001:db8:2:%x::1", i);
        met += share_one(budget, a, b);
    }
    assert_true(met < 20);
    free(budget);
}

static void test_what_is_kept(void **state)
{
    (void)state;
    struct budget *budget = new_budget(8 * MEBIBYTE);
    struct budget_account account;

    budget_open(&account, budget, "192.0.2.1");
    assert_true(budget_take(&account, 3 * MEBIBYTE));
    budget_keep(&account, MEBIBYTE);
    assert_int_equal(account.held, MEBIBYTE);
    assert_int_equal(atomic_load(&budget->used), MEBIBYTE);
    budget_keep(&account, 2 * MEBIBYTE);
    assert_int_equal(account.held, MEBIBYTE);
    assert_false(budget_take(&account, SIZE_MAX));
    assert_false(budget_fits(&account, SIZE_MAX));
    budget_close(&account);
    budget_close(&account);
    assert_int_equal(atomic_load(&budget->used), 0);
    free(budget);
}

/* Whether it was large pieces or many small ones; and not for what comes and goes all the time. */
static void test_what_is_given_back_goes_to_the_system(void **state)
{
    (void)state;
    struct budget *budget = new_budget(64 * MEBIBYTE);
    struct budget_account accounts[256];

    for (size_t i = 0; i < 256; i++) {
        budget_open(&accounts[i], budget, "192.0.2.1");
        assert_true(budget_take(&accounts[i], 100000));
    }
    assert_false(budget_trim(budget));
    for (size_t i = 0; i < 256; i++)
        budget_close(&accounts[i]);
    assert_true(budget_trim(budget));
    assert_false(budget_trim(budget));
    for (size_t i = 0; i < 1000; i++) {
        budget_open(&accounts[0], budget, "192.0.2.1");
        assert_true(budget_take(&accounts[0], 100000));
        budget_close(&accounts[0]);
    }
    assert_false(budget_trim(budget));
    budget_open(&accounts[0], budget, "192.0.2.1");
    assert_true(budget_take(&accounts[0], 20 * MEBIBYTE));
    budget_keep(&accounts[0], 0);
    assert_true(budget_trim(budget));
    budget_close(&accounts[0]);
    free(budget);
}

static void test_it_is_told_once_a_second(void **state)
{
    (void)state;
    struct budget *budget = new_budget(MEBIBYTE);
    uint64_t count = 0;

    assert_true(budget_tells(budget, 1, &count));
    assert_int_equal(count, 1);
    assert_false(budget_tells(budget, 1, &count));
    assert_false(budget_tells(budget, 1, &count));
    assert_true(budget_tells(budget, 2, &count));
    assert_int_equal(count, 3);
    free(budget);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_client_gets_half),
        cmocka_unit_test(test_large_requests_leave_a_quarter),
        cmocka_unit_test(test_who_is_a_client),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_what_is_given_back_goes_to_the_system),
        cmocka_unit_test(test_it_is_told_once_a_second),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
