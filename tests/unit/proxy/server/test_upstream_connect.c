/*
 * While the server's name is looked up nobody waits for that who has given up.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>

#include "proxy/server/upstream.h"
#include "tests/unit/slow_names.h"

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
    enum upstream_failure failure; /* UPSTREAM_FAILURES: done() has not been called */
    struct transfer *transfer;
};

static void turn(struct fixture *fixture)
{
    upstream_run(fixture->upstream, clock_monotonic());
    loop_wait(&fixture->loop, 1);
}

/* The name is being looked up. */
static void start(struct fixture *fixture, int64_t connect_timeout_ms)
{
    const struct upstream_settings settings = {.url = "http://mail.example",
                                               .connect_timeout_ms = connect_timeout_ms,
                                               .idle_timeout_ms = 60000,
                                               .head_limit = 16384};
    const struct upstream_request request = {
        .method = "GET", .target = "/", .body_kind = BODY_NONE, .arena = &fixture->arena};
    *fixture = (struct fixture){.failure = UPSTREAM_FAILURES};
    slow_names_begin();
    assert_true(loop_open(&fixture->loop));
    fixture->upstream = upstream_create(&settings, &fixture->loop);
    assert_non_null(fixture->upstream);
    fixture->transfer = transfer_start(fixture->upstream, &request, &handler, &fixture->failure);
    assert_non_null(fixture->transfer);
    while (sem_trywait(&names_asked) != 0)
        turn(fixture);
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
    start(&fixture, 60000);
    transfer_cancel(fixture.transfer);
    stop(&fixture);
}

static void nor_does_a_request_whose_time_is_up(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture, 20);
    while (fixture.failure == UPSTREAM_FAILURES)
        turn(&fixture);
    assert_int_equal(fixture.failure, UPSTREAM_CONNECT);
    stop(&fixture);
}

static int set_up(void **state)
{
    (void)state;
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_that_leaves_waits_for_no_name),
        cmocka_unit_test(nor_does_a_request_whose_time_is_up),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
