/* Whom a request is believed to be from, and what the server is told of it. */

#include "proxy/http/forwarding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TRUSTED "10.0.0.0/8, 2001:db8:1::/48"
#define PROXY "10.0.0.1"
#define CLIENT "192.0.2.7"

/* Fields by name; NULL: not there. */
struct request {
    const char *peer; /* NULL: PROXY */
    const char *for_, *again, *forwarded, *proto, *asked_host, *host;
};

static struct field_list fields_of(const struct request *request, struct field fields[6])
{
    const char *const pairs[][2] = {
        {"X-Forwarded-For", request->for_},        {"x-forwarded-for", request->again},
        {"Forwarded", request->forwarded},         {"X-Forwarded-Proto", request->proto},
        {"X-Forwarded-Host", request->asked_host}, {"Host", request->host},
    };
    struct field_list list = {.fields = fields};
    for (size_t i = 0; i < COUNT(pairs); i++) {
        if (pairs[i][1] != NULL)
            fields[list.count++] = field_of(pairs[i][0], pairs[i][1]);
    }
    return list;
}

static struct forwarding read_request(const struct request *request, struct arena *arena)
{
    struct field fields[6];
    struct field_list list = fields_of(request, fields);
    struct network_list trusted;
    struct forwarding out;
    assert_true(network_list_read(TRUSTED, &trusted));
    const char *peer = request->peer == NULL ? PROXY : request->peer;
    const struct forwarding_source source = {.peer = peer,
                                             .is_trusted = forwarding_trusts(peer, &trusted),
                                             .scheme = "http",
                                             .version = "1.1",
                                             .trusted = &trusted};
    assert_true(forwarding_read(&source, &list, arena, &out));
    network_list_clear(&trusted);
    return out;
}

static void finds_the_client(void **state)
{
    (void)state;
    static const struct {
        struct request request;
        const char *client, *hops;
    } rows[] = {
        /* Nobody else's word counts. */
        {{.peer = CLIENT}, CLIENT, CLIENT},
        {{.peer = CLIENT, .for_ = "203.0.113.5"}, CLIENT, CLIENT},
        {{.peer = CLIENT, .forwarded = "for=203.0.113.5"}, CLIENT, CLIENT},
        {{.peer = "unknown", .for_ = "203.0.113.5"}, "unknown", "unknown"},

        /* One proxy, several, IPv6. */
        {{.for_ = NULL}, PROXY, PROXY},
        {{.for_ = CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.for_ = CLIENT ", 10.0.0.2"}, CLIENT, CLIENT ", 10.0.0.2, " PROXY},
        {{.for_ = CLIENT, .again = "10.0.0.2"}, CLIENT, CLIENT ", 10.0.0.2, " PROXY},
        {{.peer = "2001:db8:1::9", .for_ = "2001:DB8:2::0:1"},
         "2001:db8:2::1",
         "2001:db8:2::1, 2001:db8:1::9"},
        {{.for_ = "10.0.0.3,10.0.0.2"}, "10.0.0.3", "10.0.0.3, 10.0.0.2, " PROXY},

        /* What a client put there itself goes no further. */
        {{.for_ = "203.0.113.5, " CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.for_ = "203.0.113.5, 10.0.0.9, " CLIENT ",10.0.0.2"},
         CLIENT,
         CLIENT ", 10.0.0.2, " PROXY},
        {{.for_ = "203.0.113.5", .again = CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.for_ = "10.0.0.9, \"203.0.113.5, " CLIENT}, CLIENT, CLIENT ", " PROXY},

        /* An end that is no address: the last that is one counts. */
        {{.for_ = "unknown"}, PROXY, PROXY},
        {{.for_ = CLIENT ", unknown"}, PROXY, PROXY},
        {{.for_ = "unknown, 10.0.0.2"}, "10.0.0.2", "10.0.0.2, " PROXY},
        {{.for_ = ","}, PROXY, PROXY},
        {{.for_ = CLIENT ","}, PROXY, PROXY},

        /* As some proxies write it. */
        {{.for_ = CLIENT ":1234"}, CLIENT, CLIENT ", " PROXY},
        {{.for_ = "[2001:db8:2::1]:1234"}, "2001:db8:2::1", "2001:db8:2::1, " PROXY},
        {{.for_ = "::ffff:" CLIENT}, CLIENT, CLIENT ", " PROXY},

        /* RFC 7239. */
        {{.forwarded = "for=" CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.forwarded = "proto=https; FOR=\"" CLIENT ":80\" ;by=x"}, CLIENT, CLIENT ", " PROXY},
        {{.forwarded = "for=\"[2001:db8:2::1]:80\""}, "2001:db8:2::1", "2001:db8:2::1, " PROXY},
        {{.forwarded = "for=203.0.113.5, for=" CLIENT ", for=10.0.0.2"},
         CLIENT,
         CLIENT ", 10.0.0.2, " PROXY},
        {{.forwarded = "for=203.0.113.5;host=\"a,b\", for=" CLIENT ";host=\"c,d\""},
         CLIENT,
         CLIENT ", " PROXY},
        {{.forwarded = "for=\"203.0.113.5, for=" CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.forwarded = "for=203.0.113.5;x=\"\\\", for=" CLIENT}, CLIENT, CLIENT ", " PROXY},
        {{.forwarded = "for=_hidden"}, PROXY, PROXY},
        {{.forwarded = "proto=https"}, PROXY, PROXY},
        {{.forwarded = "xfor=" CLIENT}, PROXY, PROXY},
        {{.for_ = CLIENT, .forwarded = "for=203.0.113.5"}, CLIENT, CLIENT ", " PROXY},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena = ARENA_EMPTY;
        struct forwarding out = read_request(&rows[i].request, &arena);
        if (strcmp(out.client, rows[i].client) != 0 || strcmp(out.hops, rows[i].hops) != 0)
            fail_msg("row %zu: %s by %s", i, out.client, out.hops);
        arena_clear(&arena);
    }
}

static void finds_what_was_asked_for(void **state)
{
    (void)state;
    static const struct {
        struct request request;
        const char *scheme, *host;
    } rows[] = {
        {{.peer = CLIENT, .host = "a.test"}, "http", "a.test"},
        {{.peer = CLIENT}, "http", NULL},
        {{.peer = CLIENT, .host = "a.test:8088"}, "http", "a.test:8088"},
        {{.peer = CLIENT, .host = "a.test\"x"}, "http", NULL},
        {{.peer = CLIENT, .host = "a.test/x"}, "http", NULL},
        {{.peer = CLIENT, .host = "a", .proto = "https", .asked_host = "b"}, "http", "a"},
        {{.host = "a", .proto = "https", .asked_host = "b"}, "https", "b"},
        {{.host = "a", .proto = "HTTPS, http", .asked_host = "b , c"}, "https", "b"},
        {{.host = "a", .proto = "gopher", .asked_host = "b c"}, "http", "a"},
        {{.host = "a", .forwarded = "for=" CLIENT ";proto=https;host=\"b:1\""}, "https", "b:1"},
        {{.host = "a", .forwarded = "for=" CLIENT ";proto=https, for=10.0.0.2;proto=http"},
         "https",
         "a"},
        {{.host = "a", .forwarded = "for=" CLIENT ";host=b", .asked_host = "c"}, "http", "c"},
        {{.host = "a", .for_ = CLIENT, .forwarded = "for=" CLIENT ";proto=https;host=b"},
         "http",
         "a"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena = ARENA_EMPTY;
        struct forwarding out = read_request(&rows[i].request, &arena);
        if (strcmp(out.scheme, rows[i].scheme) != 0)
            fail_msg("row %zu: %s", i, out.scheme);
        if (rows[i].host == NULL ? out.host != NULL
                                 : out.host == NULL || strcmp(out.host, rows[i].host) != 0)
            fail_msg("row %zu: %s", i, out.host == NULL ? "none" : out.host);
        arena_clear(&arena);
    }
}

static void tells_the_server(void **state)
{
    (void)state;
    static const struct {
        struct request request;
        const char *values[FORWARDING_FIELDS];
    } rows[] = {
        {{.peer = CLIENT, .for_ = "203.0.113.5", .host = "a.test"},
         {CLIENT, "http", "a.test", "for=" CLIENT ";host=\"a.test\";proto=http", "1.1 renewgate"}},
        {{.for_ = "203.0.113.5, 2001:db8:2::1", .proto = "https"},
         {"2001:db8:2::1, " PROXY, "https", "for=\"[2001:db8:2::1]\";proto=https, for=" PROXY,
          "1.1 renewgate"}},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena arena = ARENA_EMPTY;
        struct field fields[6], told[FORWARDING_FIELDS];
        struct field_list received = fields_of(&rows[i].request, fields), out = {.fields = told};
        struct forwarding forwarding = read_request(&rows[i].request, &arena);
        assert_true(forwarding_add(&forwarding, &received, &arena, &out));
        for (size_t j = 0; j < out.count; j++)
            assert_string_equal(told[j].value, rows[i].values[j]);
        arena_clear(&arena);
    }
}

static void stops_after_many_hops(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    char list[40 * 10];
    for (size_t i = 0; i < sizeof list; i += 10)
        memcpy(list + i, " 10.0.0.2,", 10);
    list[sizeof list - 1] = '\0';
    const struct request request = {.for_ = list};
    struct forwarding out = read_request(&request, &arena);
    size_t hops = 1;
    for (const char *at = out.hops; (at = strchr(at, ',')) != NULL; at++)
        hops++;
    assert_int_equal(hops, 33);
    arena_clear(&arena);
}

/* With more than one look at each byte this would take hours. */
static void reads_long_values_in_linear_time(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    static char value[4 << 20];
    memset(value, '\\', sizeof value - 1);
    const struct request request = {.forwarded = value};
    alarm(60);
    assert_string_equal(read_request(&request, &arena).client, PROXY);
    alarm(0);
    arena_clear(&arena);
}

static size_t allocated; /* bytes, so far */

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    allocated += size;
    return __real_malloc(size);
}

/* As many as are taken of a client, which is believed to be no proxy. */
static void keeps_a_list_in_many_fields_once(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    char value[160];
    struct field fields[90], more[FORWARDING_FIELDS];
    struct field_list received = {.fields = fields}, out = {.fields = more};
    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    for (size_t i = 0; i < COUNT(fields); i++)
        fields[received.count++] = field_of("Via", value);
    size_t before = allocated;
    assert_true(forwarding_add_via("1.1", &received, &arena, &out));
    assert_true(allocated - before < 3 * sizeof value * COUNT(fields));
    assert_int_equal(out.count, 1);
    assert_int_equal(out.fields[0].value_len,
                     COUNT(fields) * (sizeof value - 1 + strlen(", ")) + strlen("1.1 renewgate"));
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_client),
        cmocka_unit_test(finds_what_was_asked_for),
        cmocka_unit_test(tells_the_server),
        cmocka_unit_test(stops_after_many_hops),
        cmocka_unit_test(reads_long_values_in_linear_time),
        cmocka_unit_test(keeps_a_list_in_many_fields_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
