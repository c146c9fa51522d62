/* Text that others chose: which of it may be shown, and how the rest is. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/plain_text.h"

struct shown {
    const char *text;
    const char *plain;
    const char *ascii;
};

#define SIGN "\xef\xbf\xbd"

static const struct shown table[] = {
    {"", "", ""},
    {"mail.example.org", "mail.example.org", "mail.example.org"},
    {"a \"b\" \\", "a \"b\" \\", "a \"b\" \\"},
    {"b\xc3\xbc"
     "cher",
     "b\xc3\xbc"
     "cher",
     "b\\xc3\\xbccher"},
    {"\xe4\xb8\xad\xf0\x9f\x94\x92", "\xe4\xb8\xad\xf0\x9f\x94\x92",
     "\\xe4\\xb8\\xad\\xf0\\x9f\\x94\\x92"},
    /* control characters: C0, DEL, C1 */
    {"\x1b[2J\t\n\r\x7f", SIGN "[2J" SIGN SIGN SIGN SIGN, "\\x1b[2J\\x09\\x0a\\x0d\\x7f"},
    {"\xc2\x80\xc2\x9b\xc2\x9f\xc2\xa0", SIGN SIGN SIGN "\xc2\xa0",
     "\\xc2\\x80\\xc2\\x9b\\xc2\\x9f\\xc2\\xa0"},
    /* direction, and separators of lines */
    {"\xd8\x9c\xe2\x80\x8e\xe2\x80\x8f", SIGN SIGN SIGN,
     "\\xd8\\x9c\\xe2\\x80\\x8e\\xe2\\x80\\x8f"},
    {"\xe2\x80\xaa\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9", SIGN SIGN SIGN SIGN,
     "\\xe2\\x80\\xaa\\xe2\\x80\\xae\\xe2\\x81\\xa6\\xe2\\x81\\xa9"},
    {"\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaf", SIGN SIGN "\xe2\x80\xaf",
     "\\xe2\\x80\\xa8\\xe2\\x80\\xa9\\xe2\\x80\\xaf"},
    {"\xe2\x80\x8d", "\xe2\x80\x8d", "\\xe2\\x80\\x8d"}, /* joins letters in some scripts */
    /* no UTF-8: alone, cut off, too long, a surrogate, beyond the last */
    {"\x9b"
     "1m",
     SIGN "1m", "\\x9b1m"},
    {"\xe2\x80", SIGN SIGN, "\\xe2\\x80"},
    {"\xc0\x9b", SIGN SIGN, "\\xc0\\x9b"},
    {"\xe0\x82\x9b", SIGN SIGN SIGN, "\\xe0\\x82\\x9b"},
    {"\xed\xa0\x80", SIGN SIGN SIGN, "\\xed\\xa0\\x80"},
    {"\xf4\x90\x80\x80", SIGN SIGN SIGN SIGN, "\\xf4\\x90\\x80\\x80"},
    {"\xff", SIGN, "\\xff"},
    {SIGN, SIGN, "\\xef\\xbf\\xbd"},
};

static void expect_content(const struct buffer *buffer, const char *expected)
{
    assert_int_equal(buffer->len, strlen(expected));
    assert_memory_equal(buffer_content(buffer), expected, buffer->len);
}

static void test_what_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        struct buffer plain = BUFFER_EMPTY, ascii = BUFFER_EMPTY;
        assert_true(plain_text_append(&plain, table[i].text));
        assert_true(plain_text_append_ascii(&ascii, table[i].text));
        expect_content(&plain, table[i].plain);
        expect_content(&ascii, table[i].ascii);
        buffer_clear(&plain);
        buffer_clear(&ascii);
    }
}

static void test_one_character(void **state)
{
    (void)state;
    struct plain_character character = plain_text_next("\xe2\x80\xaex");
    assert_int_equal(character.len, 3);
    assert_int_equal(character.code, 0x202e);
    assert_true(character.hidden);
    character = plain_text_next("\x80x");
    assert_int_equal(character.len, 1);
    assert_int_equal(character.code, 0xfffd);
    assert_int_equal(plain_text_next("").len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_shown),
        cmocka_unit_test(test_one_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
