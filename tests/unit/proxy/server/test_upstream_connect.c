/*
 * While the server's name is looked up nobody waits for that who has given up, and however many
 * wait for it, it is looked up once.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/server/upstream.h"
#include "tests/unit/loopback.h"
#include "tests/unit/slow_names.h"
#include "tests/unit/with_curl.h"

#define REQUESTS 8
#define LONG_TIME 60000

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    (void)detail;
    *(enum upstream_failure *)user = failure;
}

static const struct transfer_handler handler = {.done = on_done};

struct fixture {
    struct loop loop;
    struct upstream *upstream;
    struct arena arena;
    enum upstream_failure failures[REQUESTS]; /* UPSTREAM_FAILURES: done() has not been called */
    struct transfer *transfers[REQUESTS];
};

static void turn(struct fixture *fixture)
{
    upstream_run(fixture->upstream, clock_monotonic());
    loop_wait(&fixture->loop, 1);
}

static void start(struct fixture *fixture, size_t i)
{
    const struct upstream_request request = {
        .method = "GET", .target = "/", .body_kind = BODY_NONE, .arena = &fixture->arena};
    fixture->failures[i] = UPSTREAM_FAILURES;
    fixture->transfers[i] =
        transfer_start(fixture->upstream, &request, &handler, &fixture->failures[i]);
    assert_non_null(fixture->transfers[i]);
}

static void wait_until_asked(struct fixture *fixture)
{
    while (sem_trywait(&names_asked) != 0)
        turn(fixture);
}

/* So many more of the name's look-ups have begun. */
static int asked_since(void)
{
    int count;
    sem_getvalue(&names_asked, &count);
    return count;
}

static enum upstream_failure outcome(struct fixture *fixture, size_t i)
{
    while (fixture->failures[i] == UPSTREAM_FAILURES)
        turn(fixture);
    return fixture->failures[i];
}

/* The name is being looked up for the first request. */
static void begin_at(struct fixture *fixture, const char *url, int64_t connect_timeout_ms)
{
    const struct upstream_settings settings = {.url = url,
                                               .connect_timeout_ms = connect_timeout_ms,
                                               .idle_timeout_ms = LONG_TIME,
                                               .head_limit = 16384};
    *fixture = (struct fixture){0};
    slow_names_begin();
    assert_true(loop_open(&fixture->loop));
    fixture->upstream = upstream_create(&settings, &fixture->loop);
    assert_non_null(fixture->upstream);
    start(fixture, 0);
    wait_until_asked(fixture);
}

static void begin(struct fixture *fixture, int64_t connect_timeout_ms)
{
    begin_at(fixture, "http://mail.example", connect_timeout_ms);
}

static void stop(struct fixture *fixture)
{
    upstream_destroy(fixture->upstream);
    loop_close(&fixture->loop);
    arena_clear(&fixture->arena);
    slow_names_end();
}

static void a_client_that_leaves_waits_for_no_name(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LONG_TIME);
    transfer_cancel(fixture.transfers[0]);
    stop(&fixture);
}

static void nor_does_a_request_whose_time_is_up(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, 20);
    assert_int_equal(outcome(&fixture, 0), UPSTREAM_CONNECT);
    stop(&fixture);
}

static void clients_that_leave_begin_no_more_look_ups(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LONG_TIME);
    transfer_cancel(fixture.transfers[0]);
    for (size_t i = 1; i < REQUESTS; i++) {
        start(&fixture, i);
        turn(&fixture);
        transfer_cancel(fixture.transfers[i]);
    }
    assert_int_equal(asked_since(), 0);
    stop(&fixture);
}

static void nor_do_requests_whose_time_is_up(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, 20);
    for (size_t i = 0; i < REQUESTS; i++) {
        if (i > 0)
            start(&fixture, i);
        assert_int_equal(outcome(&fixture, i), UPSTREAM_CONNECT);
    }
    assert_int_equal(asked_since(), 0);
    stop(&fixture);
}

static void all_that_wait_get_one_failure(void **state)
{
    (void)state;
    struct fixture fixture;
    begin(&fixture, LONG_TIME);
    for (size_t i = 1; i < REQUESTS; i++)
        start(&fixture, i);
    transfer_cancel(fixture.transfers[1]);
    transfer_cancel(fixture.transfers[REQUESTS - 1]);
    sem_post(&names_answer);
    for (size_t i = 0; i < REQUESTS - 1; i++) {
        if (i != 1)
            assert_int_equal(outcome(&fixture, i), UPSTREAM_RESOLVE);
    }
    assert_int_equal(asked_since(), 0);
    start(&fixture, 0);
    wait_until_asked(&fixture);
    stop(&fixture);
}

static void accept_all(struct fixture *fixture, int listener, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int file;
        while ((file = accept(listener, NULL, NULL)) < 0)
            turn(fixture);
        close(file);
    }
}

static void one_answer_serves_all(void **state)
{
    (void)state;
    struct fixture fixture;
    char address[LOOPBACK_URL_SIZE], url[LOOPBACK_URL_SIZE + 16];
    int listener = loopback_listen(address);
    fcntl(listener, F_SETFL, O_NONBLOCK);
    snprintf(url, sizeof url, "http://mail.example%s", strrchr(address, ':'));
    begin_at(&fixture, url, LONG_TIME);
    for (size_t i = 1; i < REQUESTS - 1; i++)
        start(&fixture, i);
    names_exist = true;
    sem_post(&names_answer);
    accept_all(&fixture, listener, REQUESTS - 1);
    start(&fixture, REQUESTS - 1);
    accept_all(&fixture, listener, 1);
    assert_int_equal(asked_since(), 0);
    close(listener);
    stop(&fixture);
}

/* It may have moved. */
static void a_server_that_cannot_be_reached_is_looked_up_anew(void **state)
{
    (void)state;
    struct fixture fixture;
    begin_at(&fixture, "http://mail.example:1", LONG_TIME);
    names_exist = true;
    sem_post(&names_answer);
    assert_int_equal(outcome(&fixture, 0), UPSTREAM_CONNECT);
    start(&fixture, 1);
    wait_until_asked(&fixture);
    stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_leaves_waits_for_no_name),
        cmocka_unit_test(nor_does_a_request_whose_time_is_up),
        cmocka_unit_test(clients_that_leave_begin_no_more_look_ups),
        cmocka_unit_test(nor_do_requests_whose_time_is_up),
        cmocka_unit_test(all_that_wait_get_one_failure),
        cmocka_unit_test(one_answer_serves_all),
        cmocka_unit_test(a_server_that_cannot_be_reached_is_looked_up_anew),
    };
    return cmocka_run_group_tests(tests, curl_set_up, curl_tear_down);
}
