/* The host is found in whatever form it has. */

#include "policy/url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

static void finds_the_host(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
    } rows[] = {
        {"https://mail.example.org", "mail.example.org"},
        {"https://mail.example.org/", "mail.example.org"},
        {"http://mail.example.org:8080/jmap/", "mail.example.org"},
        {"https://mail.example.org?a=b://c", "mail.example.org"},
        {"https://mail.example.org#a", "mail.example.org"},
        {"http://127.0.0.1:8080", "127.0.0.1"},
        {"http://[::1]", "[::1]"},
        {"http://[2001:db8::1]:8080/jmap/", "[2001:db8::1]"},
        {"http://[::1/", "["},
        {"http://", ""},
        {"mail.example.org", NULL},
        {"/jmap/", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const char *authority = url_authority(rows[i].url);
        if (rows[i].host == NULL) {
            assert_null(authority);
            continue;
        }
        assert_non_null(authority);
        assert_int_equal(url_host_len(authority), strlen(rows[i].host));
        assert_memory_equal(authority, rows[i].host, strlen(rows[i].host));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
