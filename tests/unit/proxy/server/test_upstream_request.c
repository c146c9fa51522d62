/*
 * A body in chunks of which the last meets a full socket: it goes out once there is room. That
 * moment is made here, as the kernel gives no way to it.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/server/upstream.h"
#include "tests/unit/loopback.h"
#include "tests/unit/with_curl.h"

#define LAST_CHUNK "0\r\n\r\n"

static bool full; /* the socket, for the last chunk, the first time */

ssize_t __real_sendmsg(int file, const struct msghdr *message, int flags);
ssize_t __wrap_sendmsg(int file, const struct msghdr *message, int flags);

ssize_t __wrap_sendmsg(int file, const struct msghdr *message, int flags)
{
    const struct iovec *part = &message->msg_iov[0];
    size_t len = strlen(LAST_CHUNK);
    if (!full || part->iov_len != len || memcmp(part->iov_base, LAST_CHUNK, len) != 0)
        return __real_sendmsg(file, message, flags);
    full = false;
    errno = EAGAIN;
    return -1;
}

/* Reads a client's request on until it has that. */
static void read_until(int client, char request[static 4096], const char *what)
{
    size_t len = strlen(request);
    while (strstr(request, what) == NULL) {
        ssize_t more = recv(client, request + len, 4095 - len, 0);
        if (more <= 0)
            return;
        len += (size_t)more;
        request[len] = '\0';
    }
}

/* An early hint makes the socket tell anew that it can be written to. */
static void *serve(void *listener)
{
    static const char hint[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
    static const char answer[] = "HTTP/1.1 204 No Content\r\n\r\n";
    char request[4096] = "";
    int client = accept(*(int *)listener, NULL, NULL);
    read_until(client, request, "3\r\nabc\r\n");
    send(client, hint, sizeof hint - 1, MSG_NOSIGNAL);
    read_until(client, request, LAST_CHUNK);
    send(client, answer, sizeof answer - 1, MSG_NOSIGNAL);
    close(client);
    return NULL;
}

struct body {
    bool given;
    bool done;
    enum upstream_failure failure;
};

static bool on_head(void *user, const struct upstream_head *head)
{
    (void)user;
    return head->status == 204;
}

static enum pull_result on_pull(void *user, char *into, size_t max, size_t *len)
{
    struct body *body = user;
    if (body->given)
        return PULL_END;
    assert_true(max >= 3);
    memcpy(into, "abc", 3);
    *len = 3;
    body->given = true;
    return PULL_BYTES;
}

static void on_done(void *user, enum upstream_failure failure, const char *detail)
{
    (void)detail;
    ((struct body *)user)->failure = failure;
    ((struct body *)user)->done = true;
}

static const struct transfer_handler handler = {.head = on_head, .pull = on_pull, .done = on_done};

static void the_last_chunk_goes_out_once_there_is_room(void **state)
{
    (void)state;
    char url[LOOPBACK_URL_SIZE];
    int listener = loopback_listen(url);
    const struct upstream_settings settings = {
        .url = url, .connect_timeout_ms = 10000, .idle_timeout_ms = 10000, .head_limit = 16384};
    struct arena arena = ARENA_EMPTY;
    const struct upstream_request request = {.method = "POST",
                                             .target = "/",
                                             .body_kind = BODY_CHUNKS,
                                             .len = LENGTH_UNKNOWN,
                                             .timeout_ms = 10000,
                                             .arena = &arena};
    struct body body = {.given = false};
    pthread_t server;
    struct loop loop;
    assert_true(loop_open(&loop));
    struct upstream *upstream = upstream_create(&settings, &loop);
    assert_non_null(upstream);
    assert_int_equal(pthread_create(&server, NULL, serve, &listener), 0);
    full = true;
    assert_non_null(transfer_start(upstream, &request, &handler, &body));
    while (!body.done) {
        upstream_run(upstream, clock_monotonic());
        loop_wait(&loop, 10);
    }
    assert_false(full);
    assert_int_equal(body.failure, UPSTREAM_FINE);
    upstream_destroy(upstream);
    pthread_join(server, NULL);
    loop_close(&loop);
    arena_clear(&arena);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_chunk_goes_out_once_there_is_room),
    };
    return cmocka_run_group_tests(tests, curl_set_up, curl_tear_down);
}
