/*
 * Connections to the server while memory runs out, at every allocation of the gate's own in turn,
 * once or from then on: a request fails or not, and the next one is answered. Linked as
 * test_hold_memory is; what libcurl allocates is its own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/server/upstream.h"
#include "tests/unit/failing_memory.h"
#include "tests/unit/loopback.h"
#include "tests/unit/with_curl.h"

static int listener;
static char url[LOOPBACK_URL_SIZE], named_url[LOOPBACK_URL_SIZE + 16];

/* One answer a connection. */
static void *serve(void *unused)
{
    static const char answer[] = "HTTP/1.1 204 None\r\nConnection: close\r\n\r\n";
    char request[4096];
    int client;

    while ((client = accept(listener, NULL, NULL)) >= 0) {
        if (recv(client, request, sizeof request, 0) > 0)
            (void)!write(client, answer, sizeof answer - 1);
        close(client);
    }
    return unused;
}

static pthread_t server;

static int set_up(void **state)
{
    listener = loopback_listen(url);
    snprintf(named_url, sizeof named_url, "http://localhost%s", strrchr(url, ':'));
    return curl_set_up(state) == 0 ? pthread_create(&server, NULL, serve, NULL) : -1;
}

static int tear_down(void **state)
{
    shutdown(listener, SHUT_RDWR);
    close(listener);
    pthread_join(server, NULL);
    return curl_tear_down(state);
}

struct outcome {
    bool done;
    enum upstream_failure failure;
    unsigned status;
};

static bool on_head(void *user, const struct upstream_head *head)
{
    ((struct outcome *)user)->status = head->status;
    return true;
}

static enum data_result on_data(void *user, const char *bytes, size_t len)
{
    (void)user;
    (void)bytes;
    (void)len;
    return DATA_TAKEN;
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    struct outcome *outcome = user;

    (void)detail;
    outcome->done = true;
    outcome->failure = failure;
}

static const struct transfer_handler handler = {.head = on_head, .data = on_data, .done = on_done};

#define AT_ONCE 4

static size_t count_done(const struct outcome outcomes[static AT_ONCE])
{
    size_t count = 0;

    for (size_t i = 0; i < AT_ONCE; i++)
        count += outcomes[i].done;
    return count;
}

/* Whether all of some requests at once are answered. */
static bool ask(struct upstream *upstream, struct loop *loop)
{
    struct arena arenas[AT_ONCE] = {0};
    struct outcome outcomes[AT_ONCE] = {0};
    bool answered = true;

    for (size_t i = 0; i < AT_ONCE; i++) {
        struct upstream_request request = {.method = "POST",
                                           .target = "/",
                                           .body_kind = BODY_NONE,
                                           .once = true,
                                           .timeout_ms = 10000,
                                           .arena = &arenas[i]};
        outcomes[i].done = transfer_start(upstream, &request, &handler, &outcomes[i]) == NULL;
    }
    while (count_done(outcomes) < AT_ONCE) {
        upstream_run(upstream, clock_monotonic());
        int64_t wait = monotonic_milliseconds_until(clock_monotonic(), upstream_due(upstream));
        if (count_done(outcomes) < AT_ONCE)
            loop_wait(loop, wait < 100 ? (int)wait : 100);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        answered = answered && outcomes[i].failure == UPSTREAM_FINE && outcomes[i].status == 204;
        arena_clear(&arenas[i]);
    }
    return answered;
}

static void goes_on(const char *server)
{
    static const struct upstream_settings settings_like = {
        .connect_timeout_ms = 300, .idle_timeout_ms = 10000, .head_limit = 16384};
    struct upstream_settings settings = settings_like;
    bool answered = false;

    settings.url = server;
    for (int allowed = 0; !answered; allowed++) {
        for (int forever = 0; forever < 2; forever++) {
            struct loop loop;
            assert_true(loop_open(&loop));
            struct upstream *upstream = upstream_create(&settings, &loop);
            assert_non_null(upstream);
            for_good = forever;
            left = allowed;
            answered = ask(upstream, &loop) && left > 0 && left < INT_MAX;
            left = INT_MAX;
            assert_true(ask(upstream, &loop));
            upstream_destroy(upstream);
            loop_close(&loop);
        }
    }
}

static void with_an_address_it_goes_on(void **state)
{
    (void)state;
    goes_on(url);
}

static void with_a_name_it_goes_on(void **state)
{
    (void)state;
    goes_on(named_url);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_an_address_it_goes_on),
        cmocka_unit_test(with_a_name_it_goes_on),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
