/* What a text takes once it is parsed is never more than what was said before. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "jmap/wire/json_size.h"

/* glibc's share of a block: eight bytes, and up to sixteen of rounding, at least 32 in all. */
static size_t block_size(size_t size)
{
    size_t block = (size + 8 + 15) / 16 * 16;

    return block < 32 ? 32 : block;
}

static size_t in_use, most;

static void *counted_malloc(size_t size)
{
    size_t *block = malloc(size + 16);

    if (!block)
        return NULL;
    block[0] = block_size(size);
    in_use += block[0];
    most = in_use > most ? in_use : most;
    return block + 2;
}

static void counted_free(void *pointer)
{
    size_t *block = pointer;

    if (!block)
        return;
    in_use -= block[-2];
    free(block - 2);
}

static void check(const char *text, size_t len)
{
    in_use = most = 0;
    json_t *root = json_loadb(text, len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    size_t taken = in_use, bound = json_size_bound(text, len);

    if (taken > bound)
        print_error("%zu of %zu bytes: %.200s\n", taken, bound, text);
    assert_true(taken <= bound);
    json_decref(root);
    assert_int_equal(in_use, 0);
}

static void check_repeated(const char *head, const char *piece, const char *tail, size_t count)
{
    size_t head_len = strlen(head), piece_len = strlen(piece), tail_len = strlen(tail);
    char *text = malloc(head_len + count * piece_len + tail_len), *at = text + head_len;

    assert_non_null(text);
    memcpy(text, head, head_len);
    for (size_t i = 0; i < count; i++, at += piece_len)
        memcpy(at, piece, piece_len);
    memcpy(at, tail, tail_len);
    check(text, (size_t)(at - text) + tail_len);
    free(text);
}

static void test_one_of_each(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "\"\"",
        "0",
        "null",
        "1.5",
        "[0]",
        "[{}]",
        "{\"\":{}}",
        "[\"\\\"\\\\\"]",
        "{\"a\":[1,2,3],\"b\":{\"c\":\"d\"}}",
        "{\"{[,:\":\"{[,:\"}",
        "[\"\\u00e4\"]",
        "{",
        "\"",
        "\"\\",
        "",
        "[[[[[[[[",
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        check(texts[i], strlen(texts[i]));
}

/* Tables double as they fill, so each number of members has its own share. */
static void test_many_of_each(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{},",   "[],",       "0,",
                                         "null,", "\"\",",     "[0],",
                                         "1.5,",  "{\"\":0},", "\"some text, and more\",",
                                         "[{}],"};

    for (size_t count = 1; count < 5000; count = count * 5 / 4 + 1) {
        for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++)
            check_repeated("[", pieces[i], "0]", count);
    }
}

static void test_objects_of_any_size(void **state)
{
    (void)state;

    for (size_t count = 1; count < 5000; count = count * 5 / 4 + 1) {
        char *text = malloc(count * 16 + 16);
        size_t len = 1;
        assert_non_null(text);
        text[0] = '{';
        for (size_t i = 0; i < count; i++)
            len += (size_t)sprintf(text + len, "%s\"%zu\":0", i ? "," : "", i);
        text[len++] = '}';
        check(text, len);
        free(text);
    }
}

/* The most that the server takes stays far below what is parsed at most: 16 calls, 500 creates. */
static void test_the_servers_own_limits_fit(void **state)
{
    (void)state;
    char text[512];
    int len = snprintf(text, sizeof text,
                       "\"k1234\":{\"@type\":\"AcmeRenewal\",\"domainId\":\"jp173noyaiqa\","
                       "\"status\":{\"@type\":\"Pending\",\"due\":\"2026-11-23T21:35:28Z\"}},");

    assert_true(16 * 500 * json_size_bound(text, (size_t)len) < (size_t)32 << 20);
}

int main(void)
{
    json_set_alloc_funcs(counted_malloc, counted_free);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_of_each),
        cmocka_unit_test(test_many_of_each),
        cmocka_unit_test(test_objects_of_any_size),
        cmocka_unit_test(test_the_servers_own_limits_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
