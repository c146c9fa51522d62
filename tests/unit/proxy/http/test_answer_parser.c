/* Answers are read as they are meant, however they are cut, and nothing else is. */

#include "proxy/http/answer_parser.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "proxy/base/buffer.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEAD_LIMIT 32768

/* What was read, as text: "<status> <name>=<value>;... |content| end". */
struct reading {
    struct buffer text;
    enum parsed last;
    size_t used; /* bytes up to the end or the fault */
    const char *fault;
    bool ends_connection;
};

static void note_head(struct reading *reading, const struct answer_parser *parser)
{
    buffer_format(&reading->text, "%u ", parser->status);
    for (size_t i = 0; i < parser->fields.count; i++) {
        const struct field *field = &parser->fields.fields[i];
        assert_int_equal(strlen(field->name), field->name_len);
        assert_int_equal(strlen(field->value), field->value_len);
        buffer_format(&reading->text, "%s=%s;", field->name, field->value);
    }
}

/* Feeds pieces of the sizes that `cut` gives, each a copy of its own. */
static struct reading read_cut(const char *bytes, size_t len, const size_t *cuts, size_t cut_count,
                               bool is_head, bool asks_upgrade)
{
    struct arena arena = ARENA_EMPTY;
    struct answer_parser parser;
    struct reading reading = {.last = PARSED_ALL};
    answer_parser_begin(&parser, &arena, HEAD_LIMIT, is_head, asks_upgrade);
    size_t at = 0;
    for (size_t i = 0; i <= cut_count && reading.last == PARSED_ALL; i++) {
        size_t until = i < cut_count && cuts[i] < len ? cuts[i] : len;
        if (until < at)
            until = at;
        char *piece = malloc(until - at + 1);
        memcpy(piece, bytes + at, until - at);
        size_t begin = 0;
        do {
            size_t used;
            reading.last = answer_parser_next(&parser, piece + begin, until - at - begin, &used);
            begin += used;
            if (reading.last == PARSED_HEAD || reading.last == PARSED_INTERIM)
                note_head(&reading, &parser);
            else if (reading.last == PARSED_DATA)
                buffer_append(&reading.text, parser.data, parser.data_len);
        } while (reading.last != PARSED_ALL && reading.last != PARSED_END &&
                 reading.last != PARSED_FAULT);
        assert_true(reading.last != PARSED_ALL || begin == until - at);
        free(piece);
        at += begin;
    }
    reading.used = at;
    if (reading.last == PARSED_ALL)
        reading.last = answer_parser_close(&parser);
    reading.fault = parser.fault;
    reading.ends_connection = parser.ends_connection;
    buffer_append(&reading.text, "", 1);
    arena_clear(&arena);
    return reading;
}

static struct reading read_whole(const char *text, bool is_head, bool asks_upgrade)
{
    return read_cut(text, strlen(text), NULL, 0, is_head, asks_upgrade);
}

static void assert_same(const struct reading *whole, const struct reading *cut)
{
    assert_int_equal(whole->last, cut->last);
    assert_string_equal(buffer_content(&whole->text), buffer_content(&cut->text));
    assert_int_equal(whole->ends_connection, cut->ends_connection);
    if (whole->last == PARSED_FAULT)
        assert_string_equal(whole->fault, cut->fault);
    else
        assert_int_equal(whole->used, cut->used);
}

/* Every position once, and then one byte after the other. */
static void assert_same_however_cut(const char *bytes, size_t len, bool is_head, bool asks_upgrade)
{
    struct reading whole = read_cut(bytes, len, NULL, 0, is_head, asks_upgrade);
    for (size_t at = 0; at <= len; at++) {
        struct reading cut = read_cut(bytes, len, &at, 1, is_head, asks_upgrade);
        assert_same(&whole, &cut);
        buffer_clear(&cut.text);
    }
    size_t *cuts = malloc(len * sizeof *cuts);
    for (size_t at = 0; at < len; at++)
        cuts[at] = at + 1;
    struct reading cut = read_cut(bytes, len, cuts, len, is_head, asks_upgrade);
    assert_same(&whole, &cut);
    buffer_clear(&cut.text);
    buffer_clear(&whole.text);
    free(cuts);
}

#define OK_ "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static const struct {
    const char *answer, *read;
    bool is_head, asks_upgrade;
    bool kept; /* the connection can be used again */
} proper[] = {
    {OK_ "Content-Length: 2\r\n\r\nok", "200 Content-Length=2;ok", .kept = true},
    {OK_ "content-length:0002\r\n\r\nok", "200 content-length=0002;ok", .kept = true},
    {OK_ "Content-Length: 0\r\n\r\n", "200 Content-Length=0;", .kept = true},
    {OK_ "X: \t a\tb  \t\r\nEmpty:\r\nContent-Length: 0\r\n\r\n",
     "200 X=a\tb;Empty=;Content-Length=0;", .kept = true},
    {"HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n", "404 Content-Length=0;", .kept = true},
    {"HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n", "404 Content-Length=0;", .kept = true},
    {"HTTP/1.1 999 \xe4\t \r\nX: \xff\r\nContent-Length: 0\r\n\r\n", "999 X=\xff;Content-Length=0;",
     .kept = true},
    {OK_ "Connection: x, Close\r\nContent-Length: 1\r\n\r\nx",
     "200 Connection=x, Close;Content-Length=1;x", .kept = false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", "200 Content-Length=1;x", .kept = false},
    {"HTTP/1.0 200 OK\r\n\r\nuntil the end", "200 until the end", .kept = false},
    {OK_ "\r\nuntil the end", "200 until the end", .kept = false},
    {OK_ "\r\n", "200 ", .kept = false},
    {OK_ CHUNKED "0\r\n\r\n", "200 Transfer-Encoding=chunked;", .kept = true},
    {OK_ CHUNKED "3\r\nabc\r\n00a\r\n0123456789\r\n0\r\n\r\n",
     "200 Transfer-Encoding=chunked;abc0123456789", .kept = true},
    {OK_ CHUNKED "B;x=y;z=\"\xe4\"\r\nhello world\r\n0 \t;last\r\nX-Trailer: 1\r\nY:\r\n\r\n",
     "200 Transfer-Encoding=chunked;hello world", .kept = true},
    {OK_ "Transfer-Encoding:\tCHUNKED\r\n\r\n1\r\nx\r\n0\r\n\r\n",
     "200 Transfer-Encoding=CHUNKED;x", .kept = true},
    {"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", "204 X=y;", .kept = true},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", "204 Content-Length=0;", .kept = true},
    {"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", "204 Content-Length=3;",
     .kept = false},
    {"HTTP/1.1 204 No Content\r\n" CHUNKED, "204 Transfer-Encoding=chunked;", .kept = false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 1234\r\n\r\n", "304 Content-Length=1234;",
     .kept = true},
    {OK_ "Content-Length: 1234\r\n\r\n", "200 Content-Length=1234;", .is_head = true, .kept = true},
    {OK_ CHUNKED, "200 Transfer-Encoding=chunked;", .is_head = true, .kept = true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 x\r\nLink: a\r\n\r\n" OK_
     "Content-Length: 1\r\n\r\nx",
     "100 103 Link=a;200 Content-Length=1;x", .kept = true},
    {"HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n\x81\x01x", "101 Upgrade=websocket;\x81\x01x",
     .asks_upgrade = true},
    {OK_ "Content-Length: 1\r\n\r\nx", "200 Content-Length=1;x", .asks_upgrade = true,
     .kept = true},
};

static void reads_what_servers_send(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(proper); i++) {
        struct reading reading =
            read_whole(proper[i].answer, proper[i].is_head, proper[i].asks_upgrade);
        if (reading.last != PARSED_END)
            fail_msg("%s: %s", proper[i].answer, reading.fault);
        assert_string_equal(buffer_content(&reading.text), proper[i].read);
        assert_int_equal(reading.used, strlen(proper[i].answer));
        assert_int_equal(reading.ends_connection, !proper[i].kept);
        buffer_clear(&reading.text);
        assert_same_however_cut(proper[i].answer, strlen(proper[i].answer), proper[i].is_head,
                                proper[i].asks_upgrade);
    }
}

static void leaves_what_follows_alone(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        size_t used;
        bool is_head;
    } rows[] = {
        {OK_ "Content-Length: 2\r\n\r\nokHTTP/1.1 200", 40, false},
        {OK_ CHUNKED "0\r\n\r\n\r\n", 17 + 30 + 5, false},
        {"HTTP/1.1 204 x\r\n\r\nx", 18, false},
        {OK_ "Content-Length: 2\r\n\r\nok", 38, true},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reading reading = read_whole(rows[i].answer, rows[i].is_head, false);
        assert_int_equal(reading.last, PARSED_END);
        assert_int_equal(reading.used, rows[i].used);
        buffer_clear(&reading.text);
        assert_same_however_cut(rows[i].answer, strlen(rows[i].answer), rows[i].is_head, false);
    }
}

/* None of them is waited on for more: a server may send that much and fall silent. */
static const char *const improper[] = {
    "hello",
    "h",
    "HTTP/2 200\r\n",
    "HTTP/1.2 200 OK\r\n",
    "HTTP/1.1\r\n",
    "HTTP/1.1 OK\r\n",
    "HTTP/1.1 20 OK\r\n",
    "HTTP/1.1 2000 OK\r\n",
    "HTTP/1.1 099 OK\r\n",
    "HTTP/1.1  200 OK\r\n",
    "HTTP/1.1\t200 OK\r\n",
    "http/1.1 200 OK\r\n",
    "HTTP/1.1 200 O\rK\r\n",
    "HTTP/1.1 200 O\x01K\r\n",
    "HTTP/1.1 200-OK\r\n",
    "HTTP/1.1 200 OK\n",
    "\r\nHTTP/1.1 200 OK\r\n",
    " HTTP/1.1 200 OK\r\n",
    "SSH-2.0-OpenSSH_9.2\r\n",
    OK_ "X: y\n",
    OK_ " folded: line\r\n",
    OK_ "X: a\r\n folded\r\n",
    OK_ "X : y\r\n",
    OK_ "X(: y\r\n",
    OK_ ": y\r\n",
    OK_ "X\r\n",
    OK_ "X\xe4: y\r\n",
    OK_ "X: a\rb\r\n",
    OK_ "X: a\x01\r\n",
    OK_ "X: a\x7f\r\n",
    OK_ "\n",
    OK_ "Content-Length: 2\r\nContent-Length: 2\r\n\r\n",
    OK_ "Content-Length: 2, 2\r\n\r\n",
    OK_ "Content-Length: -2\r\n\r\n",
    OK_ "Content-Length: +2\r\n\r\n",
    OK_ "Content-Length: 0x2\r\n\r\n",
    OK_ "Content-Length:\r\n\r\n",
    OK_ "Content-Length: 9223372036854775808\r\n\r\n",
    OK_ "Content-Length: 2\r\n" CHUNKED,
    OK_ "Transfer-Encoding: chunked\r\n" CHUNKED,
    OK_ "Transfer-Encoding: gzip, chunked\r\n\r\n",
    OK_ "Transfer-Encoding: identity\r\n\r\n",
    OK_ "Transfer-Encoding:\r\n\r\n",
    "HTTP/1.0 200 OK\r\n" CHUNKED,
    "HTTP/1.1 100 x\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n",
    OK_ CHUNKED "g",
    OK_ CHUNKED "0x",
    OK_ CHUNKED "-",
    OK_ CHUNKED " ",
    OK_ CHUNKED "\r",
    OK_ CHUNKED ";",
    OK_ CHUNKED "3 \r",
    OK_ CHUNKED "3 x",
    OK_ CHUNKED "3\n",
    OK_ CHUNKED "3\rx",
    OK_ CHUNKED "3;\n",
    OK_ CHUNKED "3;\x01",
    OK_ CHUNKED "3;\r\r",
    OK_ CHUNKED "3\r\nabc\n",
    OK_ CHUNKED "3\r\nabcd",
    OK_ CHUNKED "3\r\nabc\rd",
    OK_ CHUNKED "8000000000000000",
    OK_ CHUNKED "00000000000000001",
    OK_ CHUNKED "0\r\nX\r\n",
    OK_ CHUNKED "0\r\n folded: x\r\n",
    OK_ CHUNKED "0\r\n\n",
};

static void refuses_everything_else(void **state)
{
    (void)state;
    struct arena arena = ARENA_EMPTY;
    for (size_t i = 0; i < COUNT(improper); i++) {
        struct answer_parser parser;
        const char *text = improper[i];
        size_t len = strlen(text), at = 0, used;
        enum parsed result;
        answer_parser_begin(&parser, &arena, HEAD_LIMIT, false, false);
        while ((result = answer_parser_next(&parser, text + at, len - at, &used)) != PARSED_ALL &&
               result != PARSED_FAULT)
            at += used;
        if (result != PARSED_FAULT || parser.fault == NULL || parser.out_of_memory)
            fail_msg("taken: %s", text);
        assert_int_equal(answer_parser_next(&parser, "x", 1, &used), PARSED_FAULT);
        assert_int_equal(answer_parser_close(&parser), PARSED_FAULT);
        assert_same_however_cut(text, len, false, false);
    }
    arena_clear(&arena);
}

static void knows_half_an_answer(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "H",
        "HTTP/1.1 200",
        OK_,
        OK_ "X: y\r\n",
        OK_ "X: y\r\n\r",
        "HTTP/1.1 103 x\r\n\r\n",
        OK_ "Content-Length: 2\r\n\r\no",
        OK_ CHUNKED,
        OK_ CHUNKED "3",
        OK_ CHUNKED "3\r\nab",
        OK_ CHUNKED "3\r\nabc",
        OK_ CHUNKED "3\r\nabc\r\n",
        OK_ CHUNKED "0\r\n",
        OK_ CHUNKED "0\r\nX: y\r\n",
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reading reading = read_whole(rows[i], false, false);
        assert_int_equal(reading.last, PARSED_FAULT);
        assert_non_null(strstr(reading.fault, "closed the connection"));
        buffer_clear(&reading.text);
        assert_same_however_cut(rows[i], strlen(rows[i]), false, false);
    }
}

/* "HTTP/1.1 200 OK", `count` times `line`, and the end. */
static struct reading read_repeated(const char *before, const char *line, size_t count,
                                    const char *behind)
{
    struct buffer text = BUFFER_EMPTY;
    buffer_append(&text, before, strlen(before));
    for (size_t i = 0; i < count; i++)
        buffer_append(&text, line, strlen(line));
    buffer_append(&text, behind, strlen(behind));
    struct reading reading = read_cut(buffer_content(&text), text.len, NULL, 0, false, false);
    buffer_clear(&text);
    return reading;
}

static void has_limits(void **state)
{
    (void)state;
    static const struct {
        const char *before, *line, *behind;
        size_t most, too_many;
    } rows[] = {
        {OK_, "X: yyyyyyyyyyy\r\n", "Content-Length: 0\r\n\r\n", 2000, 2050},
        {OK_ "X: ", "y", "\r\nContent-Length: 0\r\n\r\n", 32000, 32768},
        {OK_, "X:\r\n", "Content-Length: 0\r\n\r\n", 4095, 4096},
        {"", "HTTP/1.1 102 x\r\n\r\n", OK_ "Content-Length: 0\r\n\r\n", 1800, 1850},
        {OK_ CHUNKED "0\r\n", "X: yyyyyyyyyyy\r\n", "\r\n", 2000, 2050},
        {OK_ CHUNKED "1;", "x", "\r\nx\r\n0\r\n\r\n", 4092, 4095},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct reading most =
            read_repeated(rows[i].before, rows[i].line, rows[i].most, rows[i].behind);
        struct reading too_many =
            read_repeated(rows[i].before, rows[i].line, rows[i].too_many, rows[i].behind);
        if (most.last != PARSED_END)
            fail_msg("row %zu: %s", i, most.fault);
        if (too_many.last != PARSED_FAULT)
            fail_msg("row %zu was taken", i);
        buffer_clear(&most.text);
        buffer_clear(&too_many.text);
    }
}

/* ---- the recordings ---- */

static void write_head(struct buffer *out, const json_t *response, const char *framing)
{
    size_t i;
    json_t *pair;
    buffer_format(out, "HTTP/1.1 %d Recorded\r\n",
                  (int)json_integer_value(json_object_get(response, "status")));
    json_array_foreach(json_object_get(response, "headers"), i, pair)
    {
        const char *name = json_string_value(json_array_get(pair, 0));
        if (strcasecmp(name, "content-length") != 0 && strcasecmp(name, "transfer-encoding") != 0)
            buffer_format(out, "%s: %s\r\n", name, json_string_value(json_array_get(pair, 1)));
    }
    buffer_format(out, "%s\r\n\r\n", framing);
}

static void check_recording(const json_t *response)
{
    json_t *content = json_object_get(response, "body");
    bool upgraded = json_integer_value(json_object_get(response, "status")) == 101;
    char *body = json_is_string(content) ? strdup(json_string_value(content))
                                         : json_dumps(content, JSON_COMPACT | JSON_ENCODE_ANY);
    size_t len = body == NULL || json_is_null(content) ? 0 : strlen(body);
    struct buffer counted = BUFFER_EMPTY, chunks = BUFFER_EMPTY;
    char framing[64];
    snprintf(framing, sizeof framing, "content-length: %zu", len);
    write_head(&counted, response, framing);
    buffer_append(&counted, body, len);
    write_head(&chunks, response, "transfer-encoding: chunked");
    for (size_t at = 0; at < len; at += 100) {
        size_t piece = len - at < 100 ? len - at : 100;
        buffer_format(&chunks, "%zx\r\n", piece);
        buffer_append(&chunks, body + at, piece);
        buffer_append(&chunks, "\r\n", 2);
    }
    buffer_append(&chunks, "0\r\n\r\n", 5);
    struct reading reading =
        read_cut(buffer_content(&counted), counted.len, NULL, 0, false, upgraded);
    assert_int_equal(reading.last, PARSED_END);
    assert_non_null(body == NULL || len == 0 ? "" : strstr(buffer_content(&reading.text), body));
    buffer_clear(&reading.text);
    assert_same_however_cut(buffer_content(&counted), counted.len, false, upgraded);
    if (!upgraded)
        assert_same_however_cut(buffer_content(&chunks), chunks.len, false, false);
    buffer_clear(&counted);
    buffer_clear(&chunks);
    free(body);
}

static void reads_every_recorded_answer_however_it_is_cut(void **state)
{
    (void)state;
    static const char *const files[] = {"tests/recordings/v0.16.5.json",
                                        "tests/recordings/v0.16.18.json"};
    for (size_t i = 0; i < COUNT(files); i++) {
        json_t *recordings = json_load_file(files[i], 0, NULL);
        assert_non_null(recordings);
        size_t at, count = 0;
        json_t *recording;
        json_array_foreach(recordings, at, recording)
        {
            json_t *response = json_object_get(recording, "response");
            if (json_object_get(response, "status") == NULL)
                continue;
            check_recording(response);
            count++;
        }
        assert_true(count > 10);
        json_decref(recordings);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_servers_send),
        cmocka_unit_test(leaves_what_follows_alone),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(knows_half_an_answer),
        cmocka_unit_test(has_limits),
        cmocka_unit_test(reads_every_recorded_answer_however_it_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
