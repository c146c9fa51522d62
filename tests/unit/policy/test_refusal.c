/* Linked with -Wl,--wrap=strcspn: what is looked at of a text is counted. */

#include "policy/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define NEVER INT64_MIN

static size_t steps;

size_t __real_strcspn(const char *text, const char *reject);
size_t __wrap_strcspn(const char *text, const char *reject);

size_t __wrap_strcspn(const char *text, const char *reject)
{
    size_t passed = __real_strcspn(text, reject);

    steps += passed + 1;
    return passed;
}

static void reads_failure_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum refusal_kind kind;
        int64_t seconds;
    } rows[] = {
        {NULL, REFUSAL_NONE, 0},
        {"", REFUSAL_NONE, 0},
        {"Rate limited. Retry after 604793 seconds", REFUSAL_SECONDS, 604793},
        {"Rate limited. Retry after 0 seconds", REFUSAL_SECONDS, 0},
        {"Rate limited. Retry after 1 seconds", REFUSAL_SECONDS, 1},
        {"Rate limited. Retry after some time", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after 1000000000000000000 seconds", REFUSAL_SECONDS,
         INT64_C(1000000000000000000)},
        {"Rate limited. Retry after 9223372036854775807 seconds", REFUSAL_SECONDS, INT64_MAX},
        {"Rate limited. Retry after 9223372036854775808 seconds", REFUSAL_SECONDS, INT64_MAX},
        {"Rate limited. Retry after 18446744073709551615 seconds", REFUSAL_SECONDS, INT64_MAX},
        {"Rate limited. Retry after 99999999999999999999999999 seconds", REFUSAL_SECONDS,
         INT64_MAX},
        {"Rate limited. Retry after  seconds", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after -5 seconds", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after +5 seconds", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after 5.5 seconds", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after 5", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after 5 seconds.", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after some time ago", REFUSAL_SOME_TIME, 0},
        {"Rate limited. Retry after ", REFUSAL_SOME_TIME, 0},
        {"Rate limited", REFUSAL_SOME_TIME, 0},
        {"rate limited. Retry after 5 seconds", REFUSAL_NONE, 0},
        {" Rate limited. Retry after 5 seconds", REFUSAL_NONE, 0},
        {"superseded by b", REFUSAL_NONE, 0},
        {"Certificate for domain example.org is still valid; renewal is not due until "
         "2027-01-22T21:35:16Z",
         REFUSAL_NONE, 0},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct refusal refusal = refusal_parse(rows[i].text);

        if (refusal.kind != rows[i].kind || refusal.seconds != rows[i].seconds)
            fail_msg("%s", rows[i].text);
    }
}

static void reads_when_to_ask_again(void **state)
{
    (void)state;
    /* "Mon, 23 Nov 2026 21:33:17 GMT" */
    static const int64_t then = INT64_C(1795469597);
    static const struct {
        const char *text;
        int64_t now;
        int64_t seconds;
    } rows[] = {
        {"0", 0, 0},
        {"1", 0, 1},
        {"120", 0, 120},
        {"0120", 0, 120},
        {"9223372036854775807", 0, INT64_MAX},
        {"99999999999999999999999999", 0, INT64_MAX},
        {"Mon, 23 Nov 2026 21:33:17 GMT", then - 60, 61},
        {"Mon, 23 Nov 2026 21:33:17 GMT", then, 1},
        {"Mon, 23 Nov 2026 21:33:17 GMT", then + 1, 0},
        {"Mon, 23 Nov 2026 21:33:17 GMT", INT64_MAX, 0},
        {"Mon, 23 Nov 2026 21:33:17 GMT", INT64_MIN, INT64_MAX},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        int64_t seconds = -7;

        assert_true(retry_after_parse(rows[i].text, (wall_time){rows[i].now}, &seconds));
        if (seconds != rows[i].seconds)
            fail_msg("%s at %jd: %jd", rows[i].text, (intmax_t)rows[i].now, (intmax_t)seconds);
    }
}

static void refuses_what_names_no_time_to_ask_again(void **state)
{
    (void)state;
    static const char *const texts[] = {
        NULL,
        "",
        " ",
        "-1",
        "+1",
        "1.5",
        "1 ",
        " 1",
        "1s",
        "soon",
        "120, 60",
        "0x10",
        "1e3",
        "2026-11-23T21:33:17Z",
        "Monday, 23-Nov-26 21:33:17 GMT",
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t seconds = -7;

        assert_false(retry_after_parse(texts[i], (wall_time){0}, &seconds));
        assert_int_equal(seconds, -7);
    }
}

static void reads_issue_limits(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned burst;
        int64_t window_seconds;
    } rows[] = {
        {"5/168h", 5, 168 * HOUR},      {"5/7d", 5, 7 * DAY},
        {"1/90m", 1, 90 * 60},          {"1/1s", 1, 1},
        {"1000/366d", 1000, 366 * DAY}, {"off", 0, 0},
        {"0/168h", 0, 168 * HOUR},      {"1/31622400s", 1, 366 * DAY},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct issue_limit limit = {77, 77};

        assert_true(issue_limit_parse(rows[i].text, &limit));
        assert_int_equal(limit.burst, rows[i].burst);
        assert_int_equal(limit.window_seconds, rows[i].window_seconds);
    }
}

static void refuses_other_issue_limits(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",
        "5",
        "5/",
        "5/168",
        "5/h",
        "/168h",
        "5/168w",
        "5/168H",
        "5/168hh",
        "5/168h ",
        " 5/168h",
        "-5/168h",
        "5/-168h",
        "+5/168h",
        "5 /168h",
        "5/1.5h",
        "1001/168h",
        "5/0s",
        "5/367d",
        "5/8785h",
        "Off",
        "off ",
        "5/31622401s",
        "5/168h/1",
        "99999999999999999999/1h",
        "5/99999999999999999999s",
        "5/9223372036854775807d",
        "4294967301/1h",
    };
    struct issue_limit limit = {77, 77};

    for (size_t i = 0; i < COUNT(texts); i++) {
        if (issue_limit_parse(texts[i], &limit))
            fail_msg("read: %s", texts[i]);
    }
    assert_false(issue_limit_parse(NULL, &limit));
    assert_int_equal(limit.burst, 77);
    assert_int_equal(limit.window_seconds, 77);
}

/* One token each 33.6 hours. */
#define TOKEN INT64_C(120960)
#define NOW INT64_C(1800000000)

static void replays_the_bucket(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct issue_limit limit;
        int64_t now;
        int64_t issued[12]; /* ages before now; as many as `count` */
        size_t count;
        int64_t next; /* seconds from now, or NEVER */
    } rows[] = {
        {"nothing issued", {5, 168 * HOUR}, NOW, {0}, 0, NEVER},
        {"one issued", {5, 168 * HOUR}, NOW, {0}, 1, NEVER},
        {"four at once", {5, 168 * HOUR}, NOW, {0, 0, 0, 0}, 4, NEVER},
        {"five at once", {5, 168 * HOUR}, NOW, {0, 0, 0, 0, 0}, 5, TOKEN},
        {"five an hour ago", {5, 168 * HOUR}, NOW, {HOUR, HOUR, HOUR, HOUR, HOUR}, 5, TOKEN - HOUR},
        {"a second before the token",
         {5, 168 * HOUR},
         NOW,
         {TOKEN - 1, TOKEN - 1, TOKEN - 1, TOKEN - 1, TOKEN - 1},
         5,
         1},
        {"the very second of the token",
         {5, 168 * HOUR},
         NOW,
         {TOKEN, TOKEN, TOKEN, TOKEN, TOKEN},
         5,
         NEVER},
        {"that token spent at once",
         {5, 168 * HOUR},
         NOW,
         {TOKEN, TOKEN, TOKEN, TOKEN, TOKEN, 0},
         6,
         TOKEN},
        {"that token spent an hour ago",
         {5, 168 * HOUR},
         NOW,
         {TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR, HOUR},
         6,
         TOKEN - HOUR},
        {"any order",
         {5, 168 * HOUR},
         NOW,
         {HOUR, TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR, TOKEN + HOUR},
         6,
         TOKEN - HOUR},
        {"one each day, the refill counted",
         {5, 168 * HOUR},
         NOW,
         {4 * DAY, 3 * DAY, 2 * DAY, DAY, 0},
         5,
         NEVER},
        {"one each day, more than the refill",
         {5, 168 * HOUR},
         NOW,
         {11 * DAY, 10 * DAY, 9 * DAY, 8 * DAY, 7 * DAY, 6 * DAY, 5 * DAY, 4 * DAY, 3 * DAY,
          2 * DAY, DAY, 0},
         12,
         12 * TOKEN - 11 * DAY - 4 * TOKEN},
        {"a burst older than a window still counts when each token was spent as it came",
         {5, 168 * HOUR},
         NOW,
         {6 * TOKEN, 6 * TOKEN, 6 * TOKEN, 6 * TOKEN, 6 * TOKEN, 5 * TOKEN, 4 * TOKEN, 3 * TOKEN,
          2 * TOKEN, TOKEN, 0},
         11,
         TOKEN},
        {"five, a window ago: full again",
         {5, 168 * HOUR},
         NOW,
         {7 * DAY, 7 * DAY, 7 * DAY, 7 * DAY, 7 * DAY, 0, 0, 0, 0},
         9,
         NEVER},
        {"five, a window ago, and five now",
         {5, 168 * HOUR},
         NOW,
         {7 * DAY, 7 * DAY, 7 * DAY, 7 * DAY, 7 * DAY, 0, 0, 0, 0, 0},
         10,
         TOKEN},
        {"more than the bucket holds were issued: it owes nothing",
         {5, 168 * HOUR},
         NOW,
         {HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR, HOUR},
         12,
         TOKEN - HOUR},
        {"in the future counts as now", {5, 168 * HOUR}, NOW, {-DAY, -DAY, 0, 0, -1}, 5, TOKEN},
        {"a burst of one", {1, DAY}, NOW, {HOUR}, 1, 23 * HOUR},
        {"a burst of one, over", {1, DAY}, NOW, {DAY}, 1, NEVER},
        {"a token is no whole number of seconds: rounded up", {3, 10}, NOW, {0, 0, 0}, 3, 4},
        {"a token is no whole number of seconds: not yet", {3, 10}, NOW, {3, 3, 3}, 3, 1},
        {"a token is no whole number of seconds: there", {3, 10}, NOW, {4, 4, 4}, 3, NEVER},
        {"several tokens a second", {1000, 1}, NOW, {0, 0, 0, 0}, 4, NEVER},
        {"off", {0, 0}, NOW, {0, 0, 0, 0, 0, 0}, 6, NEVER},
        {"off with a window", {0, 168 * HOUR}, NOW, {0, 0, 0, 0, 0, 0}, 6, NEVER},
        {"no window", {5, 0}, NOW, {0, 0, 0, 0, 0, 0}, 6, NEVER},
        {"a window below zero", {5, INT64_MIN}, NOW, {0, 0, 0, 0, 0, 0}, 6, NEVER},
        {"a window that no text can set", {1, INT64_MAX}, NOW, {0, 0}, 2, NEVER},
        {"now close to the end", {1, DAY}, INT64_MAX - 5, {0}, 1, 5},
        {"issued at the beginning", {1, DAY}, INT64_MAX - 5, {INT64_MAX}, 1, NEVER},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        wall_time issued[12];
        int64_t expected = rows[i].next == NEVER ? NEVER : rows[i].now + rows[i].next;

        for (size_t k = 0; k < rows[i].count; k++)
            issued[k] = (wall_time){rows[i].now - rows[i].issued[k]};
        wall_time next =
            issue_limit_next(rows[i].limit, issued, rows[i].count, (wall_time){rows[i].now});
        if (next.seconds != expected)
            fail_msg("%s: %lld", rows[i].name, (long long)next.seconds);
    }
}

static void replays_extreme_times(void **state)
{
    (void)state;
    const struct issue_limit limit = {1, DAY};
    const wall_time issued[] = {WALL_TIME_NEVER, WALL_TIME_FOREVER, {INT64_MIN + 1}};

    assert_int_equal(issue_limit_next(limit, issued, 1, (wall_time){NOW}).seconds, NEVER);
    assert_int_equal(issue_limit_next(limit, issued, 3, (wall_time){NOW}).seconds, NOW + DAY);
    assert_int_equal(issue_limit_next(limit, issued, 1, (wall_time){INT64_MAX - 1}).seconds, NEVER);
    assert_int_equal(issue_limit_next(limit, NULL, 0, (wall_time){NOW}).seconds, NEVER);
}

/* Thirty creates in a row against the limit pass exactly as the CA lets them. */
static void follows_a_client_that_waits_each_time(void **state)
{
    (void)state;
    const struct issue_limit limit = {5, 168 * HOUR};
    wall_time issued[30];
    wall_time now = {NOW};

    for (size_t i = 0; i < COUNT(issued); i++) {
        wall_time next = issue_limit_next(limit, issued, i, now);

        if (i < 5)
            assert_int_equal(next.seconds, NEVER);
        else
            assert_int_equal(next.seconds, NOW + (int64_t)(i - 4) * TOKEN);
        now = wall_time_later(now, next);
        issued[i] = now;
    }
}

/* A hundred thousand, in an order that is none. */
static wall_time scattered(const void *user, size_t i)
{
    ++*(size_t *)user;
    return (wall_time){NOW - (int64_t)(i * 7919 % 100000) * 3600};
}

static void looks_at_each_of_many_once(void **state)
{
    (void)state;
    size_t looks = 0;
    const struct issue_times times = {.at = scattered, .user = &looks, .count = 100000};
    const struct issue_limit limit = {5, 168 * HOUR};

    /* One an hour: the bucket has owed all that it can, and the last one was taken now. */
    assert_int_equal(issue_limit_next_of(limit, &times, (wall_time){NOW}).seconds, NOW + TOKEN);
    assert_int_equal(looks, 100000);
}

static void knows_what_only_says_not_due(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool not_due;
    } rows[] = {
        {"Certificate for domain example.org is still valid; renewal is not due until "
         "2026-11-23T21:33:17Z",
         true},
        {"Certificate for domain example.org is still valid; renewal is not due until ", false},
        {"Certificate for domain example.org is still valid; renewal is not due until tomorrow",
         false},
        {"Certificate for domain example.org is still valid", false},
        {"certificate for domain example.org is still valid; renewal is not due until "
         "2026-11-23T21:33:17Z",
         false},
        {"Rate limited. Retry after 5 seconds", false},
        {"", false},
        {NULL, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(refusal_is_not_due(rows[i].text), rows[i].not_due);
}

/* As v0.16.5 writes them; the first three behind an order that is done. */
static void tells_certificates_that_were_thrown_away(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool thrown_away;
    } rows[] = {
        {"Invalid request: Certificate expires in 1797 seconds, expected at least 3600 seconds",
         true},
        {"Registry error: ValidationError { errors: [Required { property: Issuer }] }", true},
        {"Cryptographic error: Failed to parse X.509 certificate: Parsing Error: "
         "Der(UnexpectedTag { expected: Some(Tag(16)), actual: Tag(0) })",
         true},
        {"Cryptographic error: Failed to parse PEM: malformed framing", true},
        {"Cryptographic error: No certificates found in PEM", true},
        {"Cryptographic error: Certificate not_before time is out of range", true},
        {"Cryptographic error: Certificate not_after time is out of range", true},
        {"Cryptographic error: Failed to generate key pair: no entropy", false},
        {"Cryptographic error: Failed to create certificate params: bad name", false},
        {"Invalid request: ACME not configured for domain", false},
        {"Order is invalid: Registry error: no", false},
        {"", false},
        {NULL, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(refusal_is_thrown_away(rows[i].text), rows[i].thrown_away);
}

static void tells_failures_that_say_the_same(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } rows[] = {
        {"HTTP error: 500 at https://ca.test/o/17", "HTTP error: 503 at https://ca.test/o/18",
         true},
        {"no answer", "no answer", true},
        {"no  answer ", " no answer", true},
        {"no answer", "no answer 5", false},
        {"no answer at all", "no answer at 5", false},
        {"a b1", "b1 a", false},
        {"", NULL, true},
        {"a", NULL, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_int_equal(refusal_same(rows[i].a, rows[i].b), rows[i].same);
        assert_int_equal(refusal_same(rows[i].b, rows[i].a), rows[i].same);
    }
}

/* A CA's page, or what a client has written, can be long. */
static void looks_at_each_word_of_a_reason_once(void **state)
{
    (void)state;
    enum { WORDS = 10000 };
    char *text = malloc(2 * WORDS + 1);

    assert_non_null(text);
    for (size_t i = 0; i < WORDS; i++)
        memcpy(text + 2 * i, "a ", 3);
    steps = 0;
    assert_true(refusal_same(text, text));
    assert_in_range(steps, 1, 8 * WORDS);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_certificates_that_were_thrown_away),
        cmocka_unit_test(tells_failures_that_say_the_same),
        cmocka_unit_test(looks_at_each_word_of_a_reason_once),
        cmocka_unit_test(knows_what_only_says_not_due),
        cmocka_unit_test(reads_failure_reasons),
        cmocka_unit_test(reads_when_to_ask_again),
        cmocka_unit_test(refuses_what_names_no_time_to_ask_again),
        cmocka_unit_test(reads_issue_limits),
        cmocka_unit_test(refuses_other_issue_limits),
        cmocka_unit_test(replays_the_bucket),
        cmocka_unit_test(replays_extreme_times),
        cmocka_unit_test(follows_a_client_that_waits_each_time),
        cmocka_unit_test(looks_at_each_of_many_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
