#include "policy/account_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/renewal_tasks.h"

#define ORDERS_MAX 12
#define ISSUED(offset) {.at = AT(offset), .issued = true}
#define QUEUED(offset) {.at = AT(offset)}

struct row {
    const char *name;
    struct issue_limit limit;
    int64_t from; /* from now */
    struct order_time orders[ORDERS_MAX];
    size_t count;
    int64_t next; /* likewise */
};

/* Three orders at once, and one an hour. */
#define THREE {3, 3 * HOUR}

static const struct row rows[] = {
    {"nothing was ordered", THREE, 0, {{{0}, false}}, 0, 0},
    {"nothing was ordered, for later", THREE, DAY, {{{0}, false}}, 0, DAY},
    {"off", {0, 0}, 0, {QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(0)}, 4, 0},
    {"two of three", THREE, 0, {ISSUED(-60), ISSUED(-60)}, 2, 0},
    {"three of three", THREE, 0, {ISSUED(-60), ISSUED(-60), ISSUED(-60)}, 3, HOUR - 60},
    {"three, an hour ago", THREE, 0, {ISSUED(-HOUR), ISSUED(-HOUR), ISSUED(-HOUR)}, 3, 0},
    {"past",
     THREE,
     0,
     {QUEUED(-7 * HOUR), QUEUED(-7 * HOUR), QUEUED(-7 * HOUR), QUEUED(-7 * HOUR), QUEUED(-7 * HOUR),
      QUEUED(-7 * HOUR), QUEUED(-7 * HOUR), QUEUED(-7 * HOUR)},
     8,
     0},
    {"three, and all that there were since",
     THREE,
     0,
     {ISSUED(-5 * HOUR), ISSUED(-5 * HOUR), ISSUED(-5 * HOUR), ISSUED(-4 * HOUR), ISSUED(-3 * HOUR),
      ISSUED(-2 * HOUR), ISSUED(-HOUR), ISSUED(0)},
     8,
     HOUR},
    {"all that there were, of which the first are past",
     THREE,
     0,
     {ISSUED(-8 * HOUR), ISSUED(-7 * HOUR), ISSUED(-6 * HOUR), ISSUED(-5 * HOUR), ISSUED(-4 * HOUR),
      ISSUED(-3 * HOUR), ISSUED(-2 * HOUR), ISSUED(-HOUR), ISSUED(0)},
     9,
     HOUR},
    {"more were issued than there can be tokens: none is owed",
     THREE,
     0,
     {ISSUED(0), ISSUED(0), ISSUED(0), ISSUED(0), ISSUED(0), ISSUED(0)},
     6,
     HOUR},
    {"more are queued than there are tokens: they come first",
     THREE,
     0,
     {QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(0)},
     6,
     4 * HOUR},
    {"the next free time, behind those that have one",
     THREE,
     0,
     {QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(HOUR), QUEUED(2 * HOUR)},
     5,
     3 * HOUR},
    {"one in between is free",
     THREE,
     0,
     {QUEUED(0), QUEUED(0), QUEUED(0), QUEUED(HOUR), QUEUED(3 * HOUR)},
     5,
     2 * HOUR},
    {"a token now is another's in a while",
     THREE,
     0,
     {QUEUED(60), QUEUED(60), QUEUED(60)},
     3,
     HOUR + 60},
    {"many at once when the bucket is full again do not count",
     THREE,
     0,
     {QUEUED(5 * HOUR), QUEUED(5 * HOUR), QUEUED(5 * HOUR), QUEUED(5 * HOUR), QUEUED(5 * HOUR)},
     5,
     0},
    {"for when many come at once",
     THREE,
     5 * HOUR,
     {QUEUED(5 * HOUR), QUEUED(5 * HOUR), QUEUED(5 * HOUR), QUEUED(5 * HOUR)},
     4,
     7 * HOUR},
    {"a token is no whole number of seconds: rounded up",
     {3, 10},
     0,
     {QUEUED(0), QUEUED(0), QUEUED(0)},
     3,
     4},
    {"far times", THREE, 0, {ISSUED(-900 * DAY), {{INT64_MAX}, false}}, 2, 0},
};

static void finds_the_next_time(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time next = account_limit_next(rows[i].limit, rows[i].orders, rows[i].count,
                                            (wall_time)AT(rows[i].from), (wall_time)AT(0));
        if (next.seconds != NOW + rows[i].next)
            fail_msg("%s: %lld", rows[i].name, (long long)(next.seconds - NOW));
    }
}

static bool fits_at(const struct row *row, wall_time at, int64_t slack)
{
    return account_limit_fits(row->limit, row->orders, row->count, at, slack, (wall_time)AT(0));
}

static void what_it_finds_fits_and_nothing_before(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time from = AT(rows[i].from), next = AT(rows[i].next);

        if (!fits_at(&rows[i], next, 0) ||
            fits_at(&rows[i], from, 0) != wall_time_equal(from, next))
            fail_msg("%s", rows[i].name);
    }
}

/*
 * Three at once have gone out a minute later than they were to; those behind them wait as they did.
 */
static void a_chain_that_has_moved_a_little_fits(void **state)
{
    (void)state;
    const struct row row = {
        "moved", THREE, 0, {ISSUED(60), ISSUED(60), ISSUED(60), QUEUED(2 * HOUR)}, 4, 0};

    assert_true(fits_at(&row, (wall_time)AT(HOUR), 60));
    assert_false(fits_at(&row, (wall_time)AT(HOUR), 59));
    assert_false(fits_at(&row, (wall_time)AT(2 * HOUR), 59));
}

static int ascending(const void *a, const void *b)
{
    const struct order_time *x = a, *y = b;

    return wall_time_before(y->at, x->at) - wall_time_before(x->at, y->at);
}

/* Whether the CA, whose bucket is full at first, takes them all. */
static bool fits(struct issue_limit limit, const struct order_time *orders, size_t count)
{
    for (size_t first = 0; first < count; first++) {
        for (size_t last = first; last < count; last++) {
            int64_t span = orders[last].at.seconds - orders[first].at.seconds;
            int64_t allowed = limit.burst + span * limit.burst / limit.window_seconds;
            if ((int64_t)(last - first + 1) > allowed)
                return false;
        }
    }
    return true;
}

static void no_order_comes_too_early(void **state)
{
    (void)state;
    const struct issue_limit limit = {7, 1000};
    struct order_time orders[200];

    srandom(1);
    for (size_t round = 0; round < 50; round++) {
        for (size_t count = 0; count < COUNT(orders); count++) {
            int64_t from = random() % 4 ? 0 : random() % 20000;
            wall_time next =
                account_limit_next(limit, orders, count, (wall_time)AT(from), (wall_time)AT(0));
            assert_true(next.seconds >= NOW + from);
            orders[count] = (struct order_time){.at = next};
            qsort(orders, count + 1, sizeof *orders, ascending);
        }
        assert_true(fits(limit, orders, COUNT(orders)));
    }
}

/* Four hundred at once: three hundred go, and the others follow one by one. */
static void spreads_what_goes_beyond(void **state)
{
    (void)state;
    const struct issue_limit limit = {300, 3 * HOUR};
    struct order_time orders[400];

    for (size_t i = 0; i < COUNT(orders); i++) {
        orders[i] = (struct order_time){
            .at = account_limit_next(limit, orders, i, (wall_time)AT(0), (wall_time)AT(0))};
        assert_int_equal(orders[i].at.seconds - NOW, i < 300 ? 0 : (int64_t)(i - 299) * 36);
    }
}

/* Of a thousand orders as close as they may be, each is asked whether there is a better time: none
 * behind it is looked at, as there is no page to look at. */
static void a_replay_looks_at_nothing_behind_its_end(void **state)
{
    (void)state;
    const struct issue_limit limit = {1, 60};
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), count = 8 * page / sizeof(struct order_time);
    char *pages = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    struct order_time *orders = (void *)pages;
    struct account_replay replay =
        account_replay_begin(limit, (wall_time)AT(0), (wall_time)AT(0), 0);

    assert_ptr_not_equal(pages, MAP_FAILED);
    for (size_t i = 0; i < count; i++)
        orders[i] = (struct order_time){.at = AT((int64_t)i * 60)};
    for (size_t i = 0; i < count - 1; i++) {
        size_t left =
            ((char *)&orders[i + 2] - pages + (ptrdiff_t)page - 1) / (ptrdiff_t)page * page;
        mprotect(pages + left, 8 * page - left, PROT_NONE);
        assert_false(account_replay_next(&replay, orders, count, orders[i].at));
        mprotect(pages + left, 8 * page - left, PROT_READ | PROT_WRITE);
        assert_true(wall_time_equal(account_replay_time(&replay), orders[i].at));
    }
    assert_true(account_replay_next(&replay, orders, count, WALL_TIME_FOREVER));
    assert_int_equal(account_replay_time(&replay).seconds - NOW, count * 60);
    munmap(pages, 8 * page);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_next_time),
        cmocka_unit_test(what_it_finds_fits_and_nothing_before),
        cmocka_unit_test(a_chain_that_has_moved_a_little_fits),
        cmocka_unit_test(no_order_comes_too_early),
        cmocka_unit_test(spreads_what_goes_beyond),
        cmocka_unit_test(a_replay_looks_at_nothing_behind_its_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
