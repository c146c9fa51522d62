/* Replies of a lock server, in pieces of every size, and what no lock server says. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "proxy/replicas/lock_protocol.h"

static void replies_are_read_in_pieces_of_any_size(void **state)
{
    static const char bytes[] = "+OK\r\n$-1\r\n$6\r\njp1 17\r\n:1\r\n$0\r\n\r\n:-7\r\n"
                                "-OOM command not allowed: hunter2\r\n-hunter2\r\n";
    static const struct lock_reply replies[] = {
        {LOCK_REPLY_TEXT, 0, "OK"},   {LOCK_REPLY_NOTHING, 0, ""}, {LOCK_REPLY_TEXT, 0, "jp1 17"},
        {LOCK_REPLY_NUMBER, 1, ""},   {LOCK_REPLY_TEXT, 0, ""},    {LOCK_REPLY_NUMBER, -7, ""},
        {LOCK_REPLY_ERROR, 0, "OOM"}, {LOCK_REPLY_ERROR, 0, ""},
    };

    (void)state;
    for (size_t piece = 1; piece < sizeof bytes; piece++) {
        struct lock_reader *reader = lock_reader_create();
        struct lock_reply reply;
        size_t count = 0;
        for (size_t at = 0; at < sizeof bytes - 1; at += piece) {
            size_t left = sizeof bytes - 1 - at;
            assert_true(lock_reader_feed(reader, bytes + at, left < piece ? left : piece));
            while (lock_reader_next(reader, &reply) == LOCK_READING_REPLY) {
                assert_int_equal(reply.kind, replies[count].kind);
                assert_int_equal(reply.number, replies[count].number);
                assert_string_equal(reply.text, replies[count].text);
                count++;
            }
        }
        assert_int_equal(count, sizeof replies / sizeof *replies);
        lock_reader_destroy(reader);
    }
}

static enum lock_reading read_all(const char *bytes, size_t len)
{
    struct lock_reader *reader = lock_reader_create();
    struct lock_reply reply;

    assert_true(lock_reader_feed(reader, bytes, len));
    enum lock_reading reading = lock_reader_next(reader, &reply);
    lock_reader_destroy(reader);
    return reading;
}

static void nonsense_is_told_from_what_is_not_whole_yet(void **state)
{
    static const struct {
        const char *bytes;
        enum lock_reading reading;
    } rows[] = {
        {"", LOCK_READING_MORE},
        {"$5\r\nab", LOCK_READING_MORE},
        {"+O", LOCK_READING_MORE},
        {"HTTP/1.1 200 OK\r\n", LOCK_READING_NONSENSE},
        {"*1000000000\r\n", LOCK_READING_NONSENSE},
        {"*0\r\n", LOCK_READING_NONSENSE},
        {"*1\r\n*1\r\n*1\r\n", LOCK_READING_NONSENSE},
        {"$x\r\n", LOCK_READING_NONSENSE},
        {":one\r\n", LOCK_READING_NONSENSE},
        {"#t\r\n", LOCK_READING_NONSENSE},
        {",1.5\r\n", LOCK_READING_NONSENSE},
        {"%1\r\n+a\r\n+b\r\n", LOCK_READING_NONSENSE},
        {">1\r\n+a\r\n", LOCK_READING_NONSENSE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (read_all(rows[i].bytes, strlen(rows[i].bytes)) != rows[i].reading)
            fail_msg("%s", rows[i].bytes);
    }
    assert_int_equal(read_all("$3\r\na\0b\r\n", 9), LOCK_READING_NONSENSE);
}

static void no_reply_is_long(void **state)
{
    char bytes[LOCK_TEXT_SIZE + 8] = "+";
    static char endless[100000];

    (void)state;
    memset(bytes + 1, 'x', LOCK_TEXT_SIZE - 1);
    memcpy(bytes + LOCK_TEXT_SIZE, "\r\n", 3);
    assert_int_equal(read_all(bytes, strlen(bytes)), LOCK_READING_REPLY);
    memcpy(bytes + LOCK_TEXT_SIZE, "x\r\n", 4);
    assert_int_equal(read_all(bytes, strlen(bytes)), LOCK_READING_NONSENSE);

    memset(endless, 'x', sizeof endless);
    endless[0] = '+';
    assert_int_equal(read_all(endless, sizeof endless), LOCK_READING_NONSENSE);
    memcpy(endless, "$2000000000\r\n", 13);
    assert_int_equal(read_all(endless, sizeof endless), LOCK_READING_NONSENSE);
}

static void commands_are_written_with_lengths(void **state)
{
    struct buffer out = BUFFER_EMPTY;

    (void)state;
    assert_true(lock_command_auth(&out, "gate", "p w\r\n"));
    assert_true(lock_command_auth(&out, NULL, "p"));
    assert_true(lock_command_select(&out, 3));
    assert_true(buffer_append(&out, "", 1));
    assert_string_equal(buffer_content(&out), "*3\r\n$4\r\nAUTH\r\n$4\r\ngate\r\n$5\r\np w\r\n\r\n"
                                              "*2\r\n$4\r\nAUTH\r\n$1\r\np\r\n"
                                              "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n");
    buffer_clear(&out);

    const struct lock_key key = {"renewgate", "b", "token"};
    assert_true(lock_command_take(&out, &key, 30000));
    assert_true(buffer_append(&out, "", 1));
    assert_non_null(strstr(buffer_content(&out), "$1\r\n2\r\n$19\r\nrenewgate:{b}:lease\r\n"
                                                 "$18\r\nrenewgate:{b}:note\r\n"
                                                 "$5\r\ntoken\r\n$5\r\n30000\r\n"));
    buffer_clear(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies_are_read_in_pieces_of_any_size),
        cmocka_unit_test(nonsense_is_told_from_what_is_not_whole_yet),
        cmocka_unit_test(no_reply_is_long),
        cmocka_unit_test(commands_are_written_with_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
