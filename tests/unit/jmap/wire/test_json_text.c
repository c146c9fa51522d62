/*
 * What is read while memory runs out, at every allocation in turn, once or from then on: all of it,
 * or nothing, and nothing beyond what was allocated. Linked as test_hold_memory is.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "jmap/wire/json_text.h"
#include "tests/unit/failing_memory.h"

#define LONGEST 600

/* Reads with so many allocations, and none or all after the one that fails; true if it was read. */
static bool read_with(const char *text, int allowed, bool forever)
{
    bool no_memory = false;

    for_good = forever;
    left = allowed;
    json_t *value = json_text_read(text, strlen(text), JSON_ALLOW_NUL, NULL, &no_memory);
    left = INT_MAX;
    assert_true(value != NULL || no_memory);
    assert_false(value != NULL && no_memory);
    json_decref(value);
    return value != NULL;
}

static void check(const char *text)
{
    int allowed = 0;

    while (!read_with(text, allowed, true))
        allowed++;
    for (int i = 0; i < allowed; i++)
        assert_false(read_with(text, i, false));
}

/* Strings, names and numbers that fill what jansson gathers them in, and that outgrow it. */
static void tokens_of_every_length(void **state)
{
    static const char *const shapes[] = {"[\"%.*s\"]", "{\"%.*s\":\"%.*s\"}", "[1%.*s,\"%.*s\"]",
                                         "[true,\"%.*s\",\"%.*s\",[\"%.*s\"],{\"a\":\"%.*s\"}]"};
    char letters[LONGEST + 1], digits[LONGEST + 1], text[5 * LONGEST];

    (void)state;
    memset(letters, 'x', LONGEST);
    memset(digits, '0', LONGEST);
    letters[LONGEST] = digits[LONGEST] = '\0';
    for (int len = 1; len < LONGEST; len += len < 140 ? 1 : 61) {
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            const char *first = i == 2 ? digits : letters;
            int first_len = i == 2 && len > 17 ? 17 : len;
            snprintf(text, sizeof text, shapes[i], first_len, first, len, letters, len, letters,
                     len, letters);
            check(text);
        }
    }
}

/* Many of one length, so that tables grow while what gathers them is full. */
static void tokens_that_fill_it_exactly(void **state)
{
    static const int lengths[] = {13, 29, 61, 125, 253};
    static char text[20000];

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char *at = text + sprintf(text, "[");
        for (int element = 0; element < 18; element++)
            at += sprintf(at, "\"%0*d\",", lengths[i], element);
        sprintf(at, "{\"%0*d\":\"%0*d\"}]", lengths[i], 1, 2 * lengths[i], 2);
        check(text);
    }
}

static void what_is_no_json_is_no_lack_of_memory(void **state)
{
    static const char *const texts[] = {"",
                                        "[",
                                        "\"",
                                        "[\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
                                        "{\"a\" 1}",
                                        "[\"\\u12\"]",
                                        "truthfulnessandallthatfollows"};
    bool no_memory = true;

    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_null(json_text_read(texts[i], strlen(texts[i]), 0, NULL, &no_memory));
        assert_false(no_memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_of_every_length),
        cmocka_unit_test(tokens_that_fill_it_exactly),
        cmocka_unit_test(what_is_no_json_is_no_lack_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
