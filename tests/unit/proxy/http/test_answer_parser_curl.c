/*
 * The same answers through libcurl's parser and the gate's own. Where the two differ, the row says
 * so, and the gate's is the stricter one: none that it takes is refused by libcurl or read
 * otherwise.
 */

#include "proxy/http/answer_parser.h"

#include <curl/curl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "proxy/base/buffer.h"
#include "tests/unit/loopback.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define OK_ "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

/* What a parser made of an answer. */
struct reading {
    bool taken;
    long status;
    size_t field_count;
    struct buffer content;
};

enum difference {
    SAME,
    STRICTER, /* the gate refuses it; libcurl takes it, or some of its releases do */
};

static const struct {
    const char *answer;
    enum difference difference;
    const char *why;
} rows[] = {
    {OK_ "Content-Length: 2\r\n\r\nok", SAME, NULL},
    {OK_ "content-length:0002\r\n\r\nok", SAME, NULL},
    {OK_ "Content-Length: 0\r\n\r\n", SAME, NULL},
    {OK_ "X: \t a\tb  \t\r\nEmpty:\r\nContent-Length: 0\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 599 \xe4\r\nX: \xff\r\nContent-Length: 1\r\n\r\nx", SAME, NULL},
    {OK_ "Connection: close\r\nContent-Length: 1\r\n\r\nx", SAME, NULL},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", SAME, NULL},
    {"HTTP/1.0 200 OK\r\n\r\nuntil the end", SAME, NULL},
    {OK_ "\r\nuntil the end", SAME, NULL},
    {OK_ CHUNKED "0\r\n\r\n", SAME, NULL},
    {OK_ CHUNKED "3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n", SAME, NULL},
    {OK_ CHUNKED "B;x=y\r\nhello world\r\n0;last\r\nX-Trailer: 1\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n", SAME, NULL},
    {"HTTP/1.1 103 x\r\nLink: a\r\n\r\n" OK_ "Content-Length: 1\r\n\r\nx", SAME, NULL},
    {OK_ "Content-Length: 3\r\n\r\nok", SAME, "both see that it is cut off"},
    {OK_ CHUNKED "3\r\nab", SAME, "likewise"},
    {OK_ CHUNKED "3\r\nabcd\r\n0\r\n\r\n", SAME, "more than the chunk's size"},
    {OK_ CHUNKED "g\r\n", SAME, "no size"},
    {OK_ CHUNKED "-3\r\nabc\r\n0\r\n\r\n", SAME, "no size"},
    {OK_ CHUNKED "fffffffffffffffff\r\n", SAME, "a size that cannot be counted"},
    {OK_ "Content-Length: x\r\n\r\nok", SAME, "no length"},
    {OK_ "Content-Length: -2\r\n\r\nok", SAME, "no length"},
    {OK_ "Content-Length: 2\r\nContent-Length: 3\r\n\r\nabc", STRICTER, "two lengths"},
    {"HTTP/2.7 200 OK\r\n\r\n", STRICTER, "another version"},
    {"hello", SAME, "no HTTP"},
    {OK_ " folded\r\n\r\n", STRICTER, "a folded line with nothing before it"},
    {OK_ "X: a\r\n folded\r\nContent-Length: 0\r\n\r\n", STRICTER, "folding is obsolete"},
    {"HTTP/1.1 200 OK\nContent-Length: 1\n\nx", STRICTER, "lines end in CR LF"},
    {OK_ "X: a\nContent-Length: 1\r\n\r\nx", STRICTER, "likewise"},
    {OK_ "X : y\r\nContent-Length: 0\r\n\r\n", STRICTER, "a blank before the colon"},
    {OK_ "X(: y\r\nContent-Length: 0\r\n\r\n", STRICTER, "no token"},
    {OK_ "X: a\rb\r\nContent-Length: 0\r\n\r\n", STRICTER, "a CR in a value"},
    {OK_ "X: a\x01\r\nContent-Length: 0\r\n\r\n", STRICTER, "a control character"},
    {OK_ "Content-Length: 2\r\nContent-Length: 2\r\n\r\nok", STRICTER, "told twice"},
    {OK_ "Content-Length: 2\r\n" CHUNKED "1\r\nx\r\n0\r\n\r\n", STRICTER, "framed in two ways"},
    {OK_ "Transfer-Encoding: chunked\r\n" CHUNKED "1\r\nx\r\n0\r\n\r\n", STRICTER, "told twice"},
    {OK_ "Transfer-Encoding: identity\r\n\r\nx", STRICTER, "no such coding since RFC 7230"},
    {"HTTP/1.0 200 OK\r\n" CHUNKED "1\r\nx\r\n0\r\n\r\n", STRICTER, "HTTP/1.0 has no codings"},
    {OK_ CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", STRICTER, "libcurl reads the 0, and an end"},
    {OK_ CHUNKED "3\nabc\n0\n\n", STRICTER, "lines end in CR LF"},
    {OK_ CHUNKED "3 \r\nabc\r\n0\r\n\r\n", STRICTER, "a blank with no extension behind it"},
    {OK_ CHUNKED "0\r\nno colon\r\n\r\n", STRICTER, "a trailer is a field"},
};

/* ---- the gate's ---- */

static struct reading read_here(const char *text)
{
    struct arena arena = ARENA_EMPTY;
    struct answer_parser parser;
    struct reading reading = {0};
    size_t len = strlen(text), at = 0, used;
    enum parsed result;
    answer_parser_begin(&parser, &arena, 102400, false, false);
    do {
        result = answer_parser_next(&parser, text + at, len - at, &used);
        at += used;
        if (result == PARSED_DATA)
            assert_true(buffer_append(&reading.content, parser.data, parser.data_len));
    } while (result == PARSED_INTERIM || result == PARSED_HEAD || result == PARSED_DATA);
    if (result == PARSED_ALL)
        result = answer_parser_close(&parser);
    reading.taken = result == PARSED_END;
    reading.status = (long)parser.status;
    reading.field_count = parser.fields.count;
    arena_clear(&arena);
    return reading;
}

/* ---- libcurl's ---- */

struct server {
    int listener;
    const char *answer;
};

/* Answers one request, and closes once the client has. */
static void *serve(void *user)
{
    const struct server *server = user;
    char block[4096];
    int client = accept(server->listener, NULL, NULL);
    if (client < 0 || recv(client, block, sizeof block, 0) <= 0)
        return NULL;
    send(client, server->answer, strlen(server->answer), MSG_NOSIGNAL);
    shutdown(client, SHUT_WR);
    while (recv(client, block, sizeof block, 0) > 0)
        ;
    close(client);
    return NULL;
}

static size_t on_header(char *line, size_t one, size_t len, void *user)
{
    (void)one;
    struct reading *reading = user;
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0)
        reading->field_count = 0;
    else if (len > 2)
        reading->field_count++;
    return len;
}

static size_t on_data(char *bytes, size_t one, size_t len, void *user)
{
    (void)one;
    return buffer_append(&((struct reading *)user)->content, bytes, len) ? len : 0;
}

static struct reading read_there(const char *text)
{
    struct reading reading = {0};
    char url[LOOPBACK_URL_SIZE];
    struct server server = {loopback_listen(url), text};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, serve, &server), 0);
    CURL *easy = curl_easy_init();
    assert_non_null(easy);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT, 30L);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, &reading);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, &reading);
    reading.taken = curl_easy_perform(easy) == CURLE_OK;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &reading.status);
    curl_easy_cleanup(easy);
    pthread_join(thread, NULL);
    close(server.listener);
    return reading;
}

static void compare(const char *answer, enum difference difference)
{
    struct reading here = read_here(answer), there = read_there(answer);
    if (difference == STRICTER && here.taken)
        fail_msg("taken here: %s", answer);
    if (difference == SAME && here.taken != there.taken)
        fail_msg("only %s takes: %s", here.taken ? "the gate" : "libcurl", answer);
    if (here.taken) {
        assert_int_equal(here.status, there.status);
        assert_int_equal(here.content.len, there.content.len);
        assert_memory_equal(buffer_content(&here.content), buffer_content(&there.content),
                            here.content.len);
    }
    buffer_clear(&here.content);
    buffer_clear(&there.content);
}

static void what_the_gate_takes_is_what_libcurl_reads(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        compare(rows[i].answer, rows[i].difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_gate_takes_is_what_libcurl_reads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
