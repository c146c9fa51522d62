/* What the service manager is told, and when the watchdog is not fed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/admin/notify.h"

static int manager;
static struct notify notify;

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    if (socketpair(AF_UNIX, SOCK_DGRAM, 0, ends) != 0)
        return -1;
    manager = ends[0];
    notify = (struct notify){.socket = ends[1], .watchdog_us = 30000000};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    notify_close(&notify);
    close(manager);
    return 0;
}

static const char *told(void)
{
    static char message[512];
    ssize_t len = recv(manager, message, sizeof message - 1, MSG_DONTWAIT);
    message[len < 0 ? 0 : len] = '\0';
    return message;
}

static monotonic_time second(int64_t number)
{
    return (monotonic_time){number * NANOSECONDS_PER_SECOND};
}

static void the_watchdog_is_fed_while_all_workers_turn(void **state)
{
    const monotonic_time marks[] = {second(99), second(100), second(86)};

    (void)state;
    notify_alive(&notify, marks, 3, second(100));
    assert_string_equal(told(), "WATCHDOG=1");
}

static void one_stuck_worker_among_many_starves_it(void **state)
{
    const monotonic_time marks[] = {second(100), second(85), second(100)};

    (void)state;
    notify_alive(&notify, marks, 3, second(100));
    assert_string_equal(told(), "");
}

static void it_is_fed_again_once_the_worker_turns_again(void **state)
{
    monotonic_time mark = second(10);

    (void)state;
    notify_alive(&notify, &mark, 1, second(100));
    assert_string_equal(told(), "");
    mark = second(100);
    notify_alive(&notify, &mark, 1, second(101));
    assert_string_equal(told(), "WATCHDOG=1");
}

static void a_short_patience_does_not_make_a_turning_worker_stuck(void **state)
{
    const monotonic_time mark = second(99);

    (void)state;
    notify.watchdog_us = 1000;
    notify_alive(&notify, &mark, 1, second(101));
    assert_string_equal(told(), "WATCHDOG=1");
    notify_alive(&notify, &mark, 1, second(102));
    assert_string_equal(told(), "");
}

static void the_workers_are_looked_at_well_within_the_managers_patience(void **state)
{
    (void)state;
    assert_int_equal(notify_interval_ms(&notify), 7500);
    notify.watchdog_us = 1;
    assert_int_equal(notify_interval_ms(&notify), 1);
    notify.watchdog_us = 0;
    assert_int_equal(notify_interval_ms(&notify), -1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_watchdog_is_fed_while_all_workers_turn),
        TEST(one_stuck_worker_among_many_starves_it),
        TEST(it_is_fed_again_once_the_worker_turns_again),
        TEST(a_short_patience_does_not_make_a_turning_worker_stuck),
        TEST(the_workers_are_looked_at_well_within_the_managers_patience),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
