#include "policy/wall_time.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void adds_within_its_bounds(void **state)
{
    (void)state;
    static const struct {
        int64_t from, seconds, to;
    } rows[] = {
        {0, 0, 0},
        {10, 5, 15},
        {10, -15, -5},
        {INT64_MAX - 5, 4, INT64_MAX - 1},
        {INT64_MAX - 5, 5, INT64_MAX},
        {INT64_MAX - 5, 6, INT64_MAX},
        {1, INT64_MAX, INT64_MAX},
        {INT64_MIN + 5, -5, INT64_MIN},
        {INT64_MIN + 5, -6, INT64_MIN},
        {-1, INT64_MIN, INT64_MIN},
        {INT64_MIN, 1, INT64_MIN},
        {INT64_MIN, INT64_MAX, INT64_MIN},
        {INT64_MAX, -1, INT64_MAX},
        {INT64_MAX, INT64_MIN, INT64_MAX},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time sum = wall_time_add((wall_time){rows[i].from}, rows[i].seconds);
        assert_int_equal(sum.seconds, rows[i].to);
    }
}

static void compares(void **state)
{
    (void)state;
    wall_time one = {1}, two = {2};

    assert_true(wall_time_before(one, two));
    assert_false(wall_time_before(two, one));
    assert_false(wall_time_before(one, one));
    assert_true(wall_time_equal(one, one));
    assert_false(wall_time_equal(one, two));
    assert_int_equal(wall_time_later(one, two).seconds, 2);
    assert_int_equal(wall_time_later(two, one).seconds, 2);
    assert_int_equal(wall_time_later(WALL_TIME_NEVER, one).seconds, 1);
    assert_true(wall_time_equal(wall_time_later(WALL_TIME_FOREVER, one), WALL_TIME_FOREVER));
}

static void reads_date_times(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t seconds;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1969-12-31T23:59:59Z", -1},
        {"2026-11-23T21:33:17Z", 1795469597},
        {"2026-11-23t21:33:17z", 1795469597},
        {"2026-11-23T21:33:17.999999999Z", 1795469597},
        {"2026-11-23T22:33:17+01:00", 1795469597},
        {"2026-11-23T18:03:17.5-03:30", 1795469597},
        {"2026-11-23T21:33:17-00:00", 1795469597},
        {"2000-02-29T00:00:00Z", 951782400},
        {"2000-03-01T00:00:00Z", 951868800},
        {"2100-03-01T00:00:00Z", 4107542400},
        {"2016-12-31T23:59:60Z", 1483228800},
        {"2038-01-19T03:14:08Z", INT64_C(2147483648)},
        {"0000-01-01T00:00:00Z", INT64_C(-62167219200)},
        {"0001-01-01T00:00:00Z", INT64_C(-62135596800)},
        {"9999-12-31T23:59:59Z", INT64_C(253402300799)},
        {"9999-12-31T23:59:59-23:59", INT64_C(253402387139)},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time t = {-7};

        if (!wall_time_parse(rows[i].text, &t))
            fail_msg("not read: %s", rows[i].text);
        if (t.seconds != rows[i].seconds)
            fail_msg("%s read as %lld", rows[i].text, (long long)t.seconds);
    }
}

static void refuses_all_else(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "2026",
        "2026-11-23",
        "2026-11-23T21:33:17",
        "2026-11-23 21:33:17Z",
        "2026-11-23T21:33Z",
        "2026-11-23T21:33:17Z ",
        " 2026-11-23T21:33:17Z",
        "2026-11-23T21:33:17.Z",
        "2026-11-23T21:33:17,5Z",
        "2026-11-23T21:33:17+0100",
        "2026-11-23T21:33:17+01",
        "2026-11-23T21:33:17+24:00",
        "2026-11-23T21:33:17+01:60",
        "2026-11-23T21:33:17Z+01:00",
        "2026-11-23T24:00:00Z",
        "2026-11-23T21:60:00Z",
        "2026-11-23T21:33:61Z",
        "2026-00-23T21:33:17Z",
        "2026-13-23T21:33:17Z",
        "2026-11-00T21:33:17Z",
        "2026-11-31T21:33:17Z",
        "2026-02-29T21:33:17Z",
        "2100-02-29T21:33:17Z",
        "-026-11-23T21:33:17Z",
        "+2026-11-23T21:33:17Z",
        "12026-11-23T21:33:17Z",
        "2026-1-23T21:33:17Z",
        "2026-11-23T 1:33:17Z",
        "1795469597",
        "now",
    };
    wall_time t = {-7};

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (wall_time_parse(texts[i], &t))
            fail_msg("read: %s", texts[i]);
        assert_int_equal(t.seconds, -7);
    }
    assert_false(wall_time_parse(NULL, &t));
}

static void writes_as_the_server_does(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {-1, "1969-12-31T23:59:59Z"},
        {1795469597, "2026-11-23T21:33:17Z"},
        {951782400, "2000-02-29T00:00:00Z"},
        {INT64_C(-62135596800), "0001-01-01T00:00:00Z"},
        {INT64_C(-62135596801), "0001-01-01T00:00:00Z"},
        {INT64_MIN, "0001-01-01T00:00:00Z"},
        {INT64_C(253402300799), "9999-12-31T23:59:59Z"},
        {INT64_C(253402300800), "9999-12-31T23:59:59Z"},
        {INT64_MAX, "9999-12-31T23:59:59Z"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char text[WALL_TIME_TEXT_SIZE];

        memset(text, 'x', sizeof text);
        wall_time_format((wall_time){rows[i].seconds}, text);
        assert_string_equal(text, rows[i].text);
    }
}

/* One moment of every day of the years that four digits can say. */
static void reads_what_it_writes(void **state)
{
    (void)state;

    for (int64_t t = INT64_C(-62135596800); t <= INT64_C(253402300799); t += 86399) {
        char text[WALL_TIME_TEXT_SIZE];
        wall_time back = {0};

        wall_time_format((wall_time){t}, text);
        if (!wall_time_parse(text, &back) || back.seconds != t)
            fail_msg("%lld was written as %s", (long long)t, text);
    }
}

static void reads_http_dates(void **state)
{
    (void)state;
    static const struct {
        const char *text, *date_time;
    } rows[] = {
        {"Mon, 23 Nov 2026 21:33:17 GMT", "2026-11-23T21:33:17Z"},
        {"Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"},
        {"Thu, 01 Jan 1970 00:00:00 GMT", "1970-01-01T00:00:00Z"},
        {"Thu, 29 Feb 2024 23:59:59 GMT", "2024-02-29T23:59:59Z"},
        {"Fri, 31 Dec 9999 23:59:59 GMT", "9999-12-31T23:59:59Z"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time got = {-1}, expected;

        assert_true(wall_time_parse(rows[i].date_time, &expected));
        assert_true(wall_time_parse_http(rows[i].text, &got));
        assert_int_equal(got.seconds, expected.seconds);
    }
}

static void refuses_other_http_dates(void **state)
{
    (void)state;
    static const char *const rows[] = {
        NULL,
        "",
        "Mon",
        "Mon, 23 Nov 2026 21:33:17",
        "Mon, 23 Nov 2026 21:33:17 UTC",
        "Mon, 23 Nov 2026 21:33:17 +0000",
        "Mon, 23 Nov 2026 21:33:17 GMT ",
        " Mon, 23 Nov 2026 21:33:17 GMT",
        "mon, 23 Nov 2026 21:33:17 GMT",
        "Mon, 23 nov 2026 21:33:17 GMT",
        "Mon, 3 Nov 2026 21:33:17 GMT",
        "Mon, 30 Feb 2026 21:33:17 GMT",
        "Mon, 00 Nov 2026 21:33:17 GMT",
        "Mon, 23 Nov 26 21:33:17 GMT",
        "Mon, 23 Nov 2026 24:33:17 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "2026-11-23T21:33:17Z",
        "0",
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time got = {-1};

        assert_false(wall_time_parse_http(rows[i], &got));
        assert_int_equal(got.seconds, -1);
    }
}

/* As seen on v0.16.5 and v0.16.19; NULL: refused. */
static void reads_times_as_the_server_does(void **state)
{
    static const struct {
        const char *text, *read;
    } all[] = {
        {"2090-01-01T00:00:00Z", "2090-01-01T00:00:00Z"},
        {"2090-01-01T00:00:00.999Z", "2090-01-01T00:00:00Z"},
        {"2090-02-31T00:00:00Z", "2090-03-03T00:00:00Z"},
        {"2090-1-1T0:0:0Z", "2090-10-10T00:00:00Z"},
        {"2090-01-01T00:00:00", "2090-01-01T00:00:00Z"},
        {"2090-01-01T00:00:00Zgarbage", "2090-01-01T00:00:00Z"},
        {"2090-01-01T00:00:00+23:59", "2089-12-31T00:01:00Z"},
        {"2090-01-01T00:00:00.5-01:30", "2090-01-01T01:30:00Z"},
        {"2090-01-01T00:00:000", "2090-01-01T00:00:00Z"},
        {"1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"},
        {"1970-01-01T00:00:00+01:00", "1969-12-31T23:00:00Z"},
        {"3000-12-31T23:59:59Z", "3000-12-31T23:59:59Z"},
        {"1969-12-31T23:59:59Z", NULL},
        {"3001-01-01T00:00:00Z", NULL},
        {"2090-01-01", NULL},
        {"2090-01-01T00:00:60Z", NULL},
        {"2090-01-01t00:00:00z", NULL},
        {"2090-01-01 00:00:00Z", NULL},
        {"2090-13-01T00:00:00Z", NULL},
        {"2090-01-01T00:00:00+24:00", NULL},
        {"", NULL},
        {NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        char text[WALL_TIME_TEXT_SIZE];
        wall_time time = {42};
        assert_int_equal(wall_time_parse_server(all[i].text, &time), all[i].read != NULL);
        if (all[i].read) {
            wall_time_format(time, text);
            assert_string_equal(text, all[i].read);
        } else {
            assert_int_equal(time.seconds, 42);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_times_as_the_server_does),
        cmocka_unit_test(adds_within_its_bounds),
        cmocka_unit_test(compares),
        cmocka_unit_test(reads_date_times),
        cmocka_unit_test(refuses_all_else),
        cmocka_unit_test(writes_as_the_server_does),
        cmocka_unit_test(reads_what_it_writes),
        cmocka_unit_test(reads_http_dates),
        cmocka_unit_test(refuses_other_http_dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
