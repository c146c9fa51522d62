/* A certificate that is read from its text is what is read from its tree, or is left to that. */

#include "jmap/facts/certificate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <string.h>

#include "tests/unit/object_rows.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BEGINS "\"notValidBefore\":\"2026-11-19T16:55:29Z\""
#define ENDS "\"notValidAfter\":\"2027-02-17T16:55:28Z\""
#define NAMES "\"subjectAlternativeNames\":{\"mail.d0.test\":true,\"D0.test.\":true,\"a b\":true}"
#define ISSUER "\"issuer\":\"CN=R10, O=Let's Encrypt\""
#define TEN "0123456789"
#define LONG TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN

static const struct object_row rows[] = {
    {"{" NAMES "," ENDS "," BEGINS "," ISSUER ",\"id\":\"jq2\"}", true},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS ",\"subjectAlternativeNames\":{}}", true},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS "," ISSUER "}", false},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS ",\"subjectAlternativeNames\":null}", false},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS ",\"subjectAlternativeNames\":{\"a\\/b\":true}}", false},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS "," NAMES ",\"issuer\":\"" LONG "\"}", false},
    {"{\"id\":\"jq2\"," BEGINS "," ENDS "," NAMES ",\"issuer\":null}", false},
    {"{\"id\":\"jq2\"," BEGINS "," NAMES "}", false},
    {"{\"id\":\"jq2\"," BEGINS ",\"notValidAfter\":\"soon\"," NAMES "}", false},
    {"{\"id\":\"" LONG "\"," BEGINS "," ENDS "," NAMES "}", false},
    {"{" BEGINS "," ENDS "," NAMES "}", false},
    {"{", false},
    {"", false},
};

static bool is_same(const struct certificate *a, const struct certificate *b)
{
    return strcmp(a->id, b->id) == 0 && strcmp(a->issuer, b->issuer) == 0 &&
           wall_time_equal(a->begins, b->begins) && wall_time_equal(a->ends, b->ends) &&
           san_set_equal(&a->names, &b->names);
}

/* Where it needs no tree it has to be what is read from one. */
static const char *check(const char *text, const char *end)
{
    struct certificate read, of_tree;
    const char *behind = certificate_read_text(text, end, &read);

    if (behind) {
        json_t *object = json_loadb(text, (size_t)(behind - text), JSON_ALLOW_NUL, NULL);
        assert_true(object && certificate_read(object, &of_tree));
        if (!is_same(&read, &of_tree))
            fail_msg("%.*s", (int)(end - text), text);
        certificate_clear(&read);
        certificate_clear(&of_tree);
        json_decref(object);
    }
    return behind;
}

static void reads_what_the_server_writes(void **state)
{
    (void)state;
    objects_are_read(rows, COUNT(rows), check);
}

static void never_disagrees_with_a_tree(void **state)
{
    (void)state;
    changed_objects_are_read(rows, COUNT(rows), check);
}

static void what_tells_too_little_has_no_id(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{" BEGINS "," ENDS "," NAMES "}",
        "{\"id\":\"jq2\"," BEGINS "," NAMES "}",
        "{\"id\":\"jq2\"," BEGINS ",\"notValidAfter\":\"soon\"," NAMES "}",
        "{\"id\":\"" LONG "\"," BEGINS "," ENDS "," NAMES "}",
        "null",
    };

    for (size_t i = 0; i < COUNT(texts); i++) {
        struct lookup_domain domain = {.id = "b"};
        struct certificate certificate;
        json_t *object = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        assert_true(certificate_read(object, &certificate));
        assert_string_equal(certificate.id, "");
        assert_true(certificate_note(&domain, &certificate));
        assert_int_equal(domain.stored_count, 0);
        certificate_clear(&certificate);
        json_decref(object);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_the_server_writes),
        cmocka_unit_test(never_disagrees_with_a_tree),
        cmocka_unit_test(what_tells_too_little_has_no_id),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
