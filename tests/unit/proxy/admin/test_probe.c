/* Whoever asks for readiness waits for no name longer than for an answer. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/admin/probe.h"
#include "tests/unit/slow_names.h"
#include "tests/unit/with_curl.h"

static void a_probe_has_an_end_while_its_name_is_looked_up(void **state)
{
    (void)state;
    char url[] = "http://mail.example";
    const struct config config = {.upstream_url = url, .connect_timeout_ms = 60000};
    struct probe_result result;
    slow_names_begin();
    probe_live(&config, "192.0.2.1", 20, &result);
    assert_int_equal(result.status, 0);
    slow_names_end();
    probe_clear(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_probe_has_an_end_while_its_name_is_looked_up),
    };
    return cmocka_run_group_tests(tests, curl_set_up, curl_tear_down);
}
