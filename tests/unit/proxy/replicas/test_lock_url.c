/* What is read as the URL of a lock server, and what is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proxy/replicas/lock_url.h"

static bool same(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static void urls_are_read(void **state)
{
    static const struct {
        const char *text;
        struct lock_server server;
    } rows[] = {
        {"redis://cache", {.address = "cache:6379"}},
        {"redis://cache/", {.address = "cache:6379"}},
        {"rediss://cache.example.org:7000/15",
         {.tls = true, .address = "cache.example.org:7000", .database = 15}},
        {"redis://[::1]:6380/0", {.address = "[::1]:6380"}},
        {"redis://:secret@cache", {.address = "cache:6379", .password = "secret"}},
        {"redis://gate:secret@cache/2",
         {.address = "cache:6379", .user = "gate", .password = "secret", .database = 2}},
        {"redis://g%40te:s%2Fcr%3Aet@cache",
         {.address = "cache:6379", .user = "g@te", .password = "s/cr:et"}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct lock_server *expected = &rows[i].server;
        struct lock_server server;
        if (!lock_url_read(rows[i].text, &server) || server.tls != expected->tls ||
            !same(server.address, expected->address) || !same(server.user, expected->user) ||
            !same(server.password, expected->password) || server.database != expected->database)
            fail_msg("%s", rows[i].text);
        lock_server_clear(&server);
    }
}

static void all_else_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "cache",
        "cache:6379",
        "http://cache",
        "unix:///run/redis.sock",
        "redis://",
        "redis:///1",
        "redis://cache:70000",
        "redis://cache:port",
        "redis://cache/one",
        "redis://cache/-1",
        "redis://cache/65536",
        "redis://cache/999999999999",
        "redis://cache/1/2",
        "redis://cache?db=1",
        "redis://cache/1#x",
        "redis://user@cache",
        "redis://:pass%0aword@cache",
        "redis://:pass%00word@cache",
        "redis://ca che",
    };

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct lock_server server;
        if (lock_url_read(texts[i], &server))
            fail_msg("%s", texts[i]);
        lock_server_clear(&server);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_read),
        cmocka_unit_test(all_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
