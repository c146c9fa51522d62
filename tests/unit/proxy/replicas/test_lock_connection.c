/*
 * The time for a connection to the lock server counts while its name is looked up, too: holds wait.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/replicas/lock_connection.h"
#include "tests/unit/slow_names.h"
#include "tests/unit/with_curl.h"

static void a_name_that_is_not_found_in_time_is_not_waited_for(void **state)
{
    (void)state;
    char address[] = "lock.example:6379";
    const struct lock_server server = {.address = address};
    const struct lock_connection_settings settings = {
        .server = &server, .prefix = "", .timeout_ms = 20};
    char error[LOCK_ERROR_SIZE];
    slow_names_begin();
    assert_null(lock_connection_open(&settings, error));
    slow_names_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_that_is_not_found_in_time_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, curl_set_up, curl_tear_down);
}
