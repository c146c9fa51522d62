/* How files are shared out: the gate's own first, then clients', and never more than there are. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/base/open_files.h"

struct row {
    unsigned long allowed;
    struct open_files_wish wish;
    unsigned clients, challenges, upgraded, passages;
};

static const struct row table[] = {
    /* enough for all */
    {65536, {.workers = 4, .clients = 8192}, 8192, 0, 8192, 0},
    {65536, {.workers = 4, .clients = 8192, .challenges = 256}, 8192, 256, 8192, 0},
    /* enough for clients, WebSockets have the rest */
    {16384 + 4096 + 58, {.workers = 4, .clients = 8192}, 7680, 0, 2560, 0},
    {1024, {.workers = 2, .clients = 8192}, 369, 0, 122, 0},
    {1024, {.workers = 2, .clients = 8192, .challenges = 128}, 277, 122, 92, 0},
    {64, {.workers = 1, .clients = 8192}, 12, 0, 3, 0},
    {65536, {.workers = 4, .clients = 8192, .passages = 64}, 8192, 0, 8192, 64},
    {100, {.workers = 1, .clients = 8192, .passages = 64}, 19, 0, 6, 8},
    /* not even for its own: one each */
    {64, {.workers = 8, .clients = 64, .challenges = 512}, 8, 8, 8, 0},
    {0, {.workers = 1, .clients = 64, .passages = 64}, 1, 0, 1, 1},
};

static void test_shares(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct open_files files = open_files_share_of(table[i].allowed, &table[i].wish);
        assert_int_equal(files.allowed, table[i].allowed);
        assert_int_equal(files.clients, table[i].clients);
        assert_int_equal(files.challenges, table[i].challenges);
        assert_int_equal(files.upgraded, table[i].upgraded);
        assert_int_equal(files.passages, table[i].passages);
    }
}

static void test_what_is_wanted_is_enough(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 64; workers *= 2) {
        const struct open_files_wish wish = {workers, 8192, 64 * workers, 64};
        unsigned long wanted = open_files_share_of(0, &wish).wanted;
        struct open_files files = open_files_share_of(wanted, &wish);
        assert_int_equal(files.clients, wish.clients);
        assert_int_equal(files.upgraded, wish.clients);
        assert_int_equal(files.challenges, wish.challenges);
        assert_int_equal(files.passages, wish.passages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_what_is_wanted_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
