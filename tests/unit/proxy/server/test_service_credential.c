/* When a refused credential may be tried again, and what ends its rest. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/server/service_credential.h"

#define MINUTES INT64_C(60000)
#define VALUE "Basic YWRtaW46c2VjcmV0"

static monotonic_time at(int64_t milliseconds)
{
    return (monotonic_time){milliseconds * NANOSECONDS_PER_MILLISECOND};
}

/* Whether a request may be made then; `value` is the arena's, until the next call. */
static bool takes(struct service_credential *credential, int64_t milliseconds, const char *expected)
{
    struct arena arena = ARENA_EMPTY;
    const char *value;
    enum service_credential_taken taken =
        service_credential_take(credential, at(milliseconds), &arena, &value);
    if (taken == SERVICE_CREDENTIAL_TAKEN)
        assert_string_equal(value, expected);
    else
        assert_null(value);
    arena_clear(&arena);
    return taken == SERVICE_CREDENTIAL_TAKEN;
}

static void rests_longer_each_time(void **state)
{
    static const int64_t rests[] = {10, 20, 40, 80, 160, 320, 360, 360, 360};
    struct service_credential *credential = service_credential_open(VALUE, NULL);
    int64_t now = 0;
    (void)state;
    for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
        assert_true(takes(credential, now, VALUE));
        assert_int_equal(service_credential_answered(credential, VALUE, 401, at(now)),
                         SERVICE_CREDENTIAL_REFUSED);
        struct service_credential_state shown = service_credential_state(credential, at(now));
        assert_true(shown.rests);
        assert_int_equal(shown.refusals, i + 1);
        assert_int_equal(shown.refused_for_ms, now);
        assert_int_equal(shown.rest_left_ms, rests[i] * MINUTES);
        assert_false(takes(credential, now + rests[i] * MINUTES - 1, VALUE));
        now += rests[i] * MINUTES;
    }
    service_credential_close(credential);
}

/* A day of trying costs nine failed logins and no hundred. */
static void stays_below_what_the_server_bans_for(void **state)
{
    struct service_credential *credential = service_credential_open(VALUE, NULL);
    unsigned tries = 0;
    (void)state;
    for (int64_t now = 0; now < 24 * 60 * MINUTES; now += 1000) {
        if (!takes(credential, now, VALUE))
            continue;
        tries++;
        service_credential_answered(credential, VALUE, 401, at(now));
    }
    assert_int_equal(tries, 9);
    service_credential_close(credential);
}

static void one_request_tries_it(void **state)
{
    struct service_credential *credential = service_credential_open(VALUE, NULL);
    (void)state;
    assert_true(takes(credential, 0, VALUE));
    assert_true(takes(credential, 0, VALUE));
    service_credential_answered(credential, VALUE, 401, at(0));
    /* The other one was under way then, and neither refusal nor success of it says more. */
    assert_int_equal(service_credential_answered(credential, VALUE, 401, at(1)),
                     SERVICE_CREDENTIAL_NO_NEWS);
    assert_int_equal(service_credential_answered(credential, VALUE, 200, at(1)),
                     SERVICE_CREDENTIAL_NO_NEWS);
    assert_int_equal(service_credential_state(credential, at(0)).refusals, 1);

    assert_true(takes(credential, 10 * MINUTES, VALUE));
    assert_false(takes(credential, 10 * MINUTES, VALUE));
    /* No answer, and one that came before the credential was looked at. */
    assert_int_equal(service_credential_answered(credential, VALUE, 0, at(10 * MINUTES)),
                     SERVICE_CREDENTIAL_NO_NEWS);
    assert_int_equal(service_credential_answered(credential, VALUE, 503, at(10 * MINUTES)),
                     SERVICE_CREDENTIAL_NO_NEWS);
    assert_false(takes(credential, 11 * MINUTES - 1, VALUE));
    assert_true(takes(credential, 11 * MINUTES, VALUE));
    assert_int_equal(service_credential_answered(credential, VALUE, 200, at(11 * MINUTES)),
                     SERVICE_CREDENTIAL_ACCEPTED);
    assert_true(takes(credential, 11 * MINUTES, VALUE));
    assert_false(service_credential_state(credential, at(11 * MINUTES)).rests);
    /* And the first rest is short again. */
    service_credential_answered(credential, VALUE, 401, at(12 * MINUTES));
    assert_int_equal(service_credential_state(credential, at(12 * MINUTES)).rest_left_ms,
                     10 * MINUTES);
    service_credential_close(credential);
}

static void only_a_refusal_counts(void **state)
{
    static const unsigned others[] = {0, 200, 400, 403, 429, 500, 503};
    struct service_credential *credential = service_credential_open(VALUE, NULL);
    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        assert_int_equal(service_credential_answered(credential, VALUE, others[i], at(0)),
                         SERVICE_CREDENTIAL_NO_NEWS);
        assert_true(takes(credential, 0, VALUE));
    }
    service_credential_close(credential);
}

static void an_operator_ends_the_rest(void **state)
{
    struct service_credential *credential = service_credential_open(VALUE, NULL);
    (void)state;
    service_credential_answered(credential, VALUE, 401, at(0));
    assert_false(takes(credential, 1, VALUE));
    service_credential_wake(credential);
    assert_true(takes(credential, 1, VALUE));
    service_credential_close(credential);
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void follows_its_file(void **state)
{
    char path[] = "/tmp/credential-XXXXXX";
    char error[SERVICE_CREDENTIAL_ERROR_SIZE] = "";
    (void)state;
    close(mkstemp(path));
    put(path, VALUE "\n");
    struct service_credential *credential = service_credential_open(VALUE, path);
    service_credential_answered(credential, VALUE, 401, at(0));

    /* It is read once, since it may have changed before it was watched. */
    assert_false(service_credential_is_stale(credential));
    assert_true(service_credential_is_stale(credential));
    assert_int_equal(service_credential_read(credential, error), SERVICE_CREDENTIAL_SAME);
    assert_false(service_credential_is_stale(credential));
    assert_false(takes(credential, 1, VALUE));

    put(path, "Bearer another-one");
    assert_false(service_credential_is_stale(credential));
    assert_true(service_credential_is_stale(credential));
    assert_int_equal(service_credential_read(credential, error), SERVICE_CREDENTIAL_CHANGED);
    assert_true(takes(credential, 1, "Bearer another-one"));
    /* What was sent before says nothing of the new one. */
    assert_int_equal(service_credential_answered(credential, VALUE, 401, at(2)),
                     SERVICE_CREDENTIAL_NO_NEWS);

    put(path, "no authorization\nvalue");
    assert_int_equal(service_credential_read(credential, error), SERVICE_CREDENTIAL_UNREADABLE);
    assert_string_equal(error, "it does not hold an Authorization value");
    unlink(path);
    assert_int_equal(service_credential_read(credential, error), SERVICE_CREDENTIAL_UNREADABLE);
    assert_string_equal(error, "No such file or directory");
    assert_true(takes(credential, 3, "Bearer another-one"));
    service_credential_close(credential);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_longer_each_time),
        cmocka_unit_test(stays_below_what_the_server_bans_for),
        cmocka_unit_test(one_request_tries_it),
        cmocka_unit_test(only_a_refusal_counts),
        cmocka_unit_test(an_operator_ends_the_rest),
        cmocka_unit_test(follows_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
