/* The PROXY protocol's headers: whose a connection is, and what is no header. */

#include "proxy/clients/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define FOUR "\xc0\x00\x02\x07\xc0\x00\x02\x08\x30\x39\x01\xbb"
#define SIX                                                                                        \
    "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x08"         \
    "\x30\x39\x01\xbb"
#define UNIX                                                                                       \
    "/a......................................................................................."    \
    ".................../b...................................................................."    \
    "......................................"
#define TEXT(text) text, sizeof(text) - 1

struct row {
    const char *bytes;
    size_t len;
    const char *client; /* NULL: not told */
};

static const struct row headers[] = {
    {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 12345 443\r\n"), "192.0.2.7"},
    {TEXT("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"), "255.255.255.255"},
    {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 0 0\r\n"), "192.0.2.7"},
    {TEXT("PROXY TCP6 2001:db8::7 2001:db8::8 12345 443\r\n"), "2001:db8::7"},
    {TEXT("PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 443\r\n"), "192.0.2.7"},
    {TEXT("PROXY UNKNOWN\r\n"), NULL},
    {TEXT("PROXY UNKNOWN what ever it says\r\n"), NULL},
    {TEXT("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
          "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
     NULL},
    {TEXT(SIGNATURE "\x21\x11\0\x0c" FOUR), "192.0.2.7"},
    {TEXT(SIGNATURE "\x21\x21\0\x24" SIX), "2001:db8::7"},
    {TEXT(SIGNATURE "\x21\x11\0\x13" FOUR "\x04\0\x04...."), "192.0.2.7"},
    {TEXT(SIGNATURE "\x21\x31\0\xd8" UNIX), NULL},
    {TEXT(SIGNATURE "\x21\x12\0\x0c" FOUR), NULL},
    {TEXT(SIGNATURE "\x21\0\0\0"), NULL},
    {TEXT(SIGNATURE "\x21\0\0\x03..."), NULL},
    {TEXT(SIGNATURE "\x21\x01\0\0"), NULL},
    {TEXT(SIGNATURE "\x21\x10\0\0"), NULL},
    {TEXT(SIGNATURE "\x20\0\0\0"), NULL},
    {TEXT(SIGNATURE "\x20\x11\0\x0c" FOUR), NULL},
    {TEXT(SIGNATURE "\x20\xff\0\x02.."), NULL},
};

/* Just as many bytes as are told, so that a step too far is seen. */
static enum proxy_header_state read(const char *bytes, size_t len, struct proxy_header *out)
{
    char *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, bytes, len);
    enum proxy_header_state state = proxy_header_read(copy, len, out);
    free(copy);
    return state;
}

static void reads_whose_a_connection_is(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        const struct row *row = &headers[i];
        struct proxy_header header;
        char text[NETWORK_ADDRESS_TEXT_SIZE];
        if (read(row->bytes, row->len, &header) != PROXY_HEADER_WHOLE)
            fail_msg("row %zu is not whole", i);
        assert_int_equal(header.len, row->len);
        assert_true(header.is_told == (row->client != NULL));
        if (row->client == NULL)
            continue;
        network_address_write(&header.client, text);
        assert_string_equal(text, row->client);
    }
}

static void waits_at_every_point_before_the_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        for (size_t len = 0; len < headers[i].len; len++) {
            struct proxy_header header;
            if (read(headers[i].bytes, len, &header) != PROXY_HEADER_PARTIAL)
                fail_msg("row %zu, %zu bytes", i, len);
        }
    }
}

static void leaves_what_comes_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        struct proxy_header header;
        size_t len = headers[i].len;
        char *both = malloc(2 * len);
        memcpy(both, headers[i].bytes, len);
        memcpy(both + len, headers[i].bytes, len);
        assert_int_equal(read(both, 2 * len, &header), PROXY_HEADER_WHOLE);
        assert_int_equal(header.len, len);
        free(both);
    }
}

static void refuses_what_is_none(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {TEXT("G"), NULL},
        {TEXT("GET / HTTP/1.1\r\n"), NULL},
        {TEXT("proxy UNKNOWN\r\n"), NULL},
        {TEXT("PROXY\r\n"), NULL},
        {TEXT("PROXY \r\n"), NULL},
        {TEXT("PROXY UNKNOWN\n"), NULL},
        {TEXT("PROXY UNKNOWN\r\r\n"), NULL},
        {TEXT("PROXY UNKNOWN \rx"), NULL},
        {TEXT("PROXY UNKNOWNS\r\n"), NULL},
        {TEXT("PROXY  UNKNOWN\r\n"), NULL},
        {TEXT("PROXY TCP4\r\n"), NULL},
        {TEXT("PROXY TCP5 192.0.2.7 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY UDP4 192.0.2.7 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1 \r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1 2 \r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1 2 3\r\n"), NULL},
        {TEXT("PROXY TCP4  192.0.2.7 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 01 2\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1 65536\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7 192.0.2.8 1 -2\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.256 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY TCP4 192.0.2.7\0 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY TCP4 ::1 ::1 1 2\r\n"), NULL},
        {TEXT("PROXY TCP6 192.0.2.7 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY TCP4 mail.test 192.0.2.8 1 2\r\n"), NULL},
        {TEXT("PROXY UNKNOWN ......................................................................"
              "............................."),
         NULL},
        {TEXT("\r\n\r\nGET"), NULL},
        {TEXT("\r\n\r\n\0\r\nQUIX\n"), NULL},
        {TEXT(SIGNATURE "\x11\x11\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x31\x11\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x22\x11\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x41\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x13\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x11\0\x0b" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x21\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x31\0\x0c" FOUR), NULL},
        {TEXT(SIGNATURE "\x21\x11\x0f\xf1"), NULL},
        {TEXT(SIGNATURE "\x20\0\xff\xff"), NULL},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct proxy_header header;
        if (read(rows[i].bytes, rows[i].len, &header) != PROXY_HEADER_MALFORMED)
            fail_msg("row %zu is taken", i);
    }
}

/* Whatever byte is damaged: an answer within the bounds. */
static void survives_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        size_t len = headers[i].len;
        char *bytes = malloc(len);
        for (size_t at = 0; at < len; at++) {
            for (unsigned value = 0; value < 256; value++) {
                struct proxy_header header;
                memcpy(bytes, headers[i].bytes, len);
                bytes[at] = (char)value;
                if (read(bytes, len, &header) == PROXY_HEADER_WHOLE)
                    assert_in_range(header.len, 1, len);
            }
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_whose_a_connection_is),
        cmocka_unit_test(waits_at_every_point_before_the_end),
        cmocka_unit_test(leaves_what_comes_behind),
        cmocka_unit_test(refuses_what_is_none),
        cmocka_unit_test(survives_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
