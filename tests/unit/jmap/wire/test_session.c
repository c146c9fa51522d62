/* Which URLs of a session lead elsewhere afterwards, and that nothing else changes. */

#include "jmap/wire/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SOCKET "\"urn:ietf:params:jmap:websocket\""

#define CORE "\"urn:ietf:params:jmap:core\""

/* As the server writes it, with its issuer and where its endpoints are. */
#define SIGN_IN(issuer, at)                                                                        \
    "{\"issuer\":\"" issuer "\",\"authorization_endpoint\":\"" at "/login\","                      \
    "\"token_endpoint\":\"" at "/auth/token\",\"userinfo_endpoint\":\"" at "/auth/userinfo\","     \
    "\"jwks_uri\":\"" at "/auth/jwks.json\",\"registration_endpoint\":\"" at "/auth/register\","   \
    "\"device_authorization_endpoint\":\"" at "/auth/device\",\"scopes_supported\":[\"openid\"],"  \
    "\"authorization_response_iss_parameter_supported\":true}"

/* Memory runs out at the call after this many more; -1: never. */
static int left = -1;

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);

void *__wrap_malloc(size_t size)
{
    if (left == 0)
        return NULL;
    left -= left > 0;
    return __real_malloc(size);
}

static const struct session_front here = {
    .scheme = "http", .authority = "gate.test:8088", .max_request = 1000000};

static void knows_where_the_session_is(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/jmap/session",     "/jmap/session/",      "/jmap/session?a=b", "/jmap/session/x",
        "/.well-known/jmap", "/.well-known/jmap?x", "/api/discover/a",   "/api/discover/a%40b?x"};
    static const char *const others[] = {"",
                                         "/",
                                         "/jmap",
                                         "/jmap/",
                                         "/jmap/sessio",
                                         "/jmap/sessions",
                                         "/JMAP/session",
                                         "/jmap//session",
                                         "/x/jmap/session",
                                         "/.well-known/jmapx",
                                         "/api/discovery",
                                         "/api/account"};
    for (size_t i = 0; i < COUNT(targets); i++)
        assert_true(session_is_target(targets[i], strlen(targets[i])));
    for (size_t i = 0; i < COUNT(others); i++)
        assert_false(session_is_target(others[i], strlen(others[i])));
    assert_false(session_is_target("/jmap/session", 12));
}

/* The third NULL: nothing is to be replaced. */
static const struct {
    const char *name, *before, *after;
} rows[] = {
    {"each of the five",
     "{\"capabilities\":{" SOCKET ":{\"url\":\"wss://mail.test/jmap/ws\",\"supportsPush\":true}},"
     "\"apiUrl\":\"https://mail.test/jmap/\","
     "\"downloadUrl\":\"https://mail.test/jmap/download/{accountId}/{blobId}/"
     "{name}?accept={type}\","
     "\"uploadUrl\":\"https://mail.test/jmap/upload/{accountId}/\","
     "\"eventSourceUrl\":\"https://mail.test/jmap/eventsource/?types={types}\",\"state\":\"0\"}",
     "{\"capabilities\":{" SOCKET ":{\"url\":\"ws://gate.test:8088/jmap/ws\",\"supportsPush\":true}"
     "},\"apiUrl\":\"http://gate.test:8088/jmap/\","
     "\"downloadUrl\":\"http://gate.test:8088/jmap/download/{accountId}/{blobId}/{name}?accept={"
     "type}\","
     "\"uploadUrl\":\"http://gate.test:8088/jmap/upload/{accountId}/\","
     "\"eventSourceUrl\":\"http://gate.test:8088/jmap/eventsource/"
     "?types={types}\",\"state\":\"0\"}"},
    {"in another order, with other bytes around",
     " {\r\n\t\"state\" : \"\\u00e4\\\"\\\\\" , \"x\":1e0,\"uploadUrl\" : "
     "\"https://a/{accountId}\" ,"
     "\"apiUrl\":\"http://[::1]:80?x\",\"y\":[{},[],\"}\"]}\n",
     " {\r\n\t\"state\" : \"\\u00e4\\\"\\\\\" , \"x\":1e0,\"uploadUrl\" : "
     "\"http://gate.test:8088/{accountId}\" ,"
     "\"apiUrl\":\"http://gate.test:8088?x\",\"y\":[{},[],\"}\"]}\n"},
    {"a limit above the gate's, among URLs",
     "{\"apiUrl\":\"https://a/\",\"capabilities\":{" CORE
     ":{\"maxSizeUpload\":50000000,\"maxSizeRequest\": 10000000 ,\"maxCallsInRequest\":16}}}",
     "{\"apiUrl\":\"http://gate.test:8088/\",\"capabilities\":{" CORE
     ":{\"maxSizeUpload\":50000000,\"maxSizeRequest\": 1000000 ,\"maxCallsInRequest\":16}}}"},
    {"the largest limit", "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":9223372036854775807}}}",
     "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":1000000}}}"},
    {"a limit beside URLs that stay",
     "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":10000000},\"urf\":{}},"
     "\"apiUrl\":\"/jmap/\",\"UventSourceUrl\":\"https://mail.test/\"}",
     "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":1000000},\"urf\":{}},"
     "\"apiUrl\":\"/jmap/\",\"UventSourceUrl\":\"https://mail.test/\"}"},
    {"a limit that is the gate's", "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":1000000}}}",
     NULL},
    {"limits that are none",
     "{\"maxSizeRequest\":2000000,\"capabilities\":{\"maxSizeRequest\":2000000," CORE
     ":{\"maxSizeRequest\":\"2000000\",\"x\":{\"maxSizeRequest\":2000000}}}}",
     NULL},
    {"a limit that is not whole", "{\"capabilities\":{" CORE ":{\"maxSizeRequest\":2000000e1}}}",
     NULL},
    {"an authority alone", "{\"apiUrl\":\"https://a\"}", "{\"apiUrl\":\"http://gate.test:8088\"}"},
    {"a template after the authority", "{\"apiUrl\":\"https://a{x}\"}",
     "{\"apiUrl\":\"http://gate.test:8088{x}\"}"},
    {"the last of two", "{\"apiUrl\":\"https://a/\",\"apiUrl\":\"https://b/\"}",
     "{\"apiUrl\":\"https://a/\",\"apiUrl\":\"http://gate.test:8088/\"}"},
    {"elsewhere in the session",
     "{\"accounts\":{\"apiUrl\":\"https://a/\"},\"url\":\"wss://a/\","
     "\"capabilities\":{\"url\":\"wss://a/\",\"x\":{\"url\":\"wss://a/\"}},"
     "\"x\":\"\\\"apiUrl\\\":\\\"https://a/\\\"\",\"https://a/\":\"apiUrl\"}",
     NULL},
    {"a relative URL", "{\"apiUrl\":\"/jmap/\",\"uploadUrl\":\"//a/\"}", NULL},
    {"other values",
     "{\"apiUrl\":null,\"uploadUrl\":{},\"downloadUrl\":[\"https://a/\"],"
     "\"eventSourceUrl\":\"https://\",\"capabilities\":7}",
     NULL},
    {"an escape where the name is",
     "{\"apiUrl\":\"https:\\/\\/a\\/\",\"uploadUrl\":\"https://\\u0061/\"}", NULL},
    {"for signing in", SIGN_IN("https://mail.test", "https://mail.test"),
     SIGN_IN("https://mail.test", "http://gate.test:8088")},
    {"for signing in, of a server with a path",
     SIGN_IN("https://mail.test/x", "https://mail.test/x"),
     SIGN_IN("https://mail.test/x", "http://gate.test:8088/x")},
    {"for signing in, over plain HTTP", SIGN_IN("", ""), NULL},
    {"for signing in elsewhere, by a server of the same kind",
     "{\"issuer\":\"https://login.test\",\"jwks_uri\":\"https://login.test/auth/jwks.json\","
     "\"token_endpoint\":\"https://login.test/auth/token\","
     "\"authorization_endpoint\":\"https://login.test/login\"}",
     NULL},
    {"for signing in elsewhere, with all endpoints",
     "{\"issuer\":\"https://login.test/realm\","
     "\"registration_endpoint\":\"https://login.test/realm/auth/registers\","
     "\"authorization_endpoint\":\"https://login.test/realm/login\"}",
     NULL},
    {"for signing in, partly elsewhere",
     "{\"issuer\":\"https://a\",\"registration_endpoint\":\"https://a/auth/register\","
     "\"token_endpoint\":\"https://b/auth/token\",\"jwks_uri\":[\"https://a/auth/jwks.json\"]}",
     "{\"issuer\":\"https://a\",\"registration_endpoint\":\"http://gate.test:8088/auth/register\","
     "\"token_endpoint\":\"https://b/auth/token\",\"jwks_uri\":[\"https://a/auth/jwks.json\"]}"},
    {"an issuer that is no string",
     "{\"issuer\":7,\"registration_endpoint\":\"https://a/auth/register\"}", NULL},
    {"an array", "[\"apiUrl\",\"https://a/\"]", NULL},
    {"nothing", "", NULL},
    {"no JSON", "{\"apiUrl\":\"https://a/\"", NULL},
    {"no JSON either", "{\"apiUrl\":\"https://a/\"}}", NULL},
};

static void rewrites_the_urls_only(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = 0;
        bool no_memory = true;
        /* A copy of just its size, so that a step too far is seen. */
        size_t before_len = strlen(rows[i].before);
        char *before = malloc(before_len + 1);
        memcpy(before, rows[i].before, before_len);
        char *after = session_rewrite(before, before_len, &here, &len, &no_memory);
        assert_false(no_memory);
        if (rows[i].after == NULL ? after != NULL
                                  : after == NULL || strcmp(after, rows[i].after) != 0)
            fail_msg("%s: %s", rows[i].name, after == NULL ? "unchanged" : after);
        if (after != NULL) {
            assert_int_equal(len, strlen(after));
            /* What is rewritten stays as it is, whether there is something to replace or not. */
            size_t again_len = 0;
            char *again = session_rewrite(after, len, &here, &again_len, &no_memory);
            assert_false(no_memory);
            if (again != NULL && (again_len != len || memcmp(again, after, len) != 0))
                fail_msg("%s, again: %s", rows[i].name, again);
            free(again);
        }
        free(after);
        free(before);
    }
}

static void leaves_urls_alone_without_an_address(void **state)
{
    (void)state;
    const struct session_front there = {.max_request = 7};
    static const char before[] =
        "{\"apiUrl\":\"http://a/\",\"capabilities\":{" CORE ":{\"maxSizeRequest\":8}}}";
    size_t len;
    bool no_memory;
    char *after = session_rewrite(before, strlen(before), &there, &len, &no_memory);
    assert_string_equal(after, "{\"apiUrl\":\"http://a/\",\"capabilities\":{" CORE
                               ":{\"maxSizeRequest\":7}}}");
    free(after);
}

static void speaks_tls_where_clients_do(void **state)
{
    (void)state;
    const struct session_front there = {.scheme = "https", .authority = "m"};
    static const char before[] =
        "{\"apiUrl\":\"http://a/\",\"capabilities\":{" SOCKET ":{\"url\":\"ws://a/\"}}}";
    size_t len;
    bool no_memory;
    char *after = session_rewrite(before, strlen(before), &there, &len, &no_memory);
    assert_string_equal(after, "{\"apiUrl\":\"https://m/\",\"capabilities\":{" SOCKET
                               ":{\"url\":\"wss://m/\"}}}");
    free(after);
}

/* Whatever is cut off or damaged: it ends, within its bounds. */
static void survives_damage(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t whole = strlen(rows[i].before);
        for (size_t cut = 0; cut < 2 * whole; cut++) {
            size_t len = cut < whole ? cut : whole, out_len;
            bool no_memory;
            char *text = malloc(len + 1);
            memcpy(text, rows[i].before, len);
            if (cut >= whole)
                text[cut - whole] = "\"{}[]\\,:"[cut % 8];
            free(session_rewrite(text, len, &here, &out_len, &no_memory));
            free(text);
        }
    }
}

static void says_when_memory_runs_out(void **state)
{
    (void)state;
    const char *before = rows[0].before;
    char *after = NULL;
    for (int allowed = 0; after == NULL; allowed++) {
        size_t len;
        bool no_memory;
        left = allowed;
        after = session_rewrite(before, strlen(before), &here, &len, &no_memory);
        left = -1;
        assert_true(no_memory == (after == NULL));
    }
    assert_string_equal(after, rows[0].after);
    free(after);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_where_the_session_is),
        cmocka_unit_test(rewrites_the_urls_only),
        cmocka_unit_test(leaves_urls_alone_without_an_address),
        cmocka_unit_test(speaks_tls_where_clients_do),
        cmocka_unit_test(survives_damage),
        cmocka_unit_test(says_when_memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
