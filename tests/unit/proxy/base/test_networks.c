/* Which addresses are in which networks, and how both are written. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>

#include "proxy/base/networks.h"

static struct network_address address_of(const char *text)
{
    struct network_address address;
    if (!network_address_read(text, strlen(text), &address))
        fail_msg("%s is not read", text);
    return address;
}

static void tells_one_client_from_another(void **state)
{
    static const struct {
        const char *one, *other;
        bool same;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", true},
        {"2001:db8:1:2::1", "2001:db8:1:3::1", false},
        {"::192.0.2.1", "::192.0.2.2", true},
    };
    (void)state;

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct network_address one = address_of(rows[i].one), other = address_of(rows[i].other);
        one = network_address_client(&one);
        other = network_address_client(&other);
        if ((memcmp(&one, &other, sizeof one) == 0) != rows[i].same)
            fail_msg("row %zu", i);
    }
}

static void tells_who_is_in(void **state)
{
    static const struct {
        const char *list, *address;
        bool in;
    } rows[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1/32", "192.0.2.1", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.1.2.3/8", "10.9.9.9", true},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"192.0.2.128/25", "192.0.2.255", true},
        {"192.0.2.252/30", "192.0.2.251", false},
        {"192.0.2.252/30", "192.0.2.252", true},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/1", "127.255.255.255", true},
        {"0.0.0.0/1", "128.0.0.0", false},
        {"2001:db8::/32", "2001:db8:ffff::1", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"2001:db8::1", "2001:0db8:0:0::0001", true},
        {"::1/128", "::1", true},
        {"::1/128", "::2", false},
        {"::/0", "::1", true},
        {"::/0", "192.0.2.1", true},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"::ffff:192.0.2.0/120", "192.0.2.7", true},
        {"::ffff:192.0.2.0/120", "192.0.3.7", false},
        {"::ffff:c000:0201", "192.0.2.1", true},
        {"10.0.0.0/8,192.0.2.1", "192.0.2.1", true},
        {" 10.0.0.0/8 ,\t::1 ", "::1", true},
        {"10.0.0.0/8, ::1", "192.0.2.1", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct network_list list;
        struct network_address address = address_of(rows[i].address);
        assert_true(network_list_read(rows[i].list, &list));
        if (network_list_has(&list, &address) != rows[i].in)
            fail_msg("%s in \"%s\" is not %d", rows[i].address, rows[i].list, rows[i].in);
        network_list_clear(&list);
    }
}

static void refuses_what_is_no_list(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        ",",
        "10.0.0.0/8,",
        ",10.0.0.0/8",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "/8",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8/8",
        "10.0.0.0/x",
        "10.0.0",
        "10.0.0.256",
        "localhost",
        "[::1]",
        "::1%lo",
        "10.0.0.1:8",
        "10.0.0.1;2",
        "10.0.0.1 ::1",
        "10.0.0.0/0008",
        "010.0.0.1",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct network_list list;
        if (network_list_read(texts[i], &list))
            fail_msg("\"%s\" is read", texts[i]);
        assert_int_equal(list.count, 0);
        assert_null(list.networks);
    }
}

static void finds_nobody_in_an_empty_list(void **state)
{
    struct network_list list = {0};
    struct network_address address = address_of("::");
    (void)state;
    assert_false(network_list_has(&list, &address));
}

static void writes_the_usual_text(void **state)
{
    static const char *const pairs[][2] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"2001:DB8::0:1", "2001:db8::1"},
        {"::", "::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255",
         "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        char text[NETWORK_ADDRESS_TEXT_SIZE];
        struct network_address address = address_of(pairs[i][0]);
        network_address_write(&address, text);
        assert_string_equal(text, pairs[i][1]);
    }
}

static void stops_reading_at_the_length(void **state)
{
    struct network_address read, expected = address_of("192.0.2.1");
    (void)state;
    assert_true(network_address_read("192.0.2.123", 9, &read));
    assert_memory_equal(&read, &expected, sizeof read);
    assert_false(network_address_read("192.0.2.1\0.5", 12, &read));
    assert_false(network_address_read("", 0, &read));
}

static void takes_sockets_addresses(void **state)
{
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    struct network_address read, expected = address_of("192.0.2.1");
    (void)state;
    inet_pton(AF_INET, "192.0.2.1", &four.sin_addr);
    assert_true(network_address_of((const void *)&four, &read));
    assert_memory_equal(&read, &expected, sizeof read);
    inet_pton(AF_INET6, "::ffff:192.0.2.1", &six.sin6_addr);
    assert_true(network_address_of((const void *)&six, &read));
    assert_memory_equal(&read, &expected, sizeof read);
    assert_false(network_address_of(&other, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_one_client_from_another),
        cmocka_unit_test(tells_who_is_in),
        cmocka_unit_test(refuses_what_is_no_list),
        cmocka_unit_test(finds_nobody_in_an_empty_list),
        cmocka_unit_test(writes_the_usual_text),
        cmocka_unit_test(stops_reading_at_the_length),
        cmocka_unit_test(takes_sockets_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
