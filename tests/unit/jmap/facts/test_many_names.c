/*
 * Whoever may change a domain or store a certificate decides how many names it has, and how long
 * they are: whoever reads them takes steps in proportion to that. Linked with
 * -Wl,--wrap=strlen,--wrap=memmove: each byte that is passed or moved is a step.
 */

#include "jmap/facts/certificate.h"
#include "jmap/facts/certificate_search.h"
#include "policy/san_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 5000, LONG = 50000, LABEL_SIZE = 16 };

static size_t steps;

size_t __real_strlen(const char *text);
void *__real_memmove(void *to, const void *from, size_t len);
size_t __wrap_strlen(const char *text);
void *__wrap_memmove(void *to, const void *from, size_t len);

size_t __wrap_strlen(const char *text)
{
    size_t len = __real_strlen(text);

    steps += len + 1;
    return len;
}

void *__wrap_memmove(void *to, const void *from, size_t len)
{
    steps += len;
    return __real_memmove(to, from, len);
}

/* Descending, so that each goes before all others, behind a long one; then each once more. */
static void list_labels(char (*labels)[LABEL_SIZE], char *longest, const char **texts)
{
    memset(longest, 'z', LONG);
    longest[LONG] = '\0';
    texts[0] = longest;
    for (size_t i = 0; i < MANY; i++) {
        snprintf(labels[i], LABEL_SIZE, "n%06zu", MANY - i);
        texts[1 + i] = texts[1 + MANY + i] = labels[i];
    }
}

static void assert_proportion(void)
{
    assert_in_range(steps, 1, 16 * (2 * MANY * LABEL_SIZE + LONG));
    steps = 0;
}

static json_t *certificate_of(const struct san_set *names)
{
    json_t *listed = json_object();

    for (size_t i = names->count; i-- > 0;)
        json_object_set_new(listed, names->names[i], json_true());
    return json_pack("{s:s, s:s, s:s, s:o}", "id", "b", "notValidBefore", "2026-11-01T00:00:00Z",
                     "notValidAfter", "2027-01-30T00:00:00Z", "subjectAlternativeNames", listed);
}

static void reads_many_names(void **state)
{
    (void)state;
    char(*labels)[LABEL_SIZE] = calloc(MANY, sizeof *labels);
    char *longest = malloc(LONG + 1);
    const char **texts = calloc(1 + 2 * MANY, sizeof *texts);
    struct lookup_domain domain = {.id = "c"};

    assert_non_null(labels);
    assert_non_null(longest);
    assert_non_null(texts);
    list_labels(labels, longest, texts);
    steps = 0;
    assert_true(san_set_of_domain(&(struct naming_facts){.domain = "a.test",
                                                         .configured = texts,
                                                         .configured_count = 1 + 2 * MANY},
                                  &domain.names));
    assert_int_equal(domain.names.count, 1 + MANY);
    assert_string_equal(domain.names.names[0], "n000001.a.test");
    assert_proportion();
    assert_int_equal(certificate_search_name(&domain.names)[0], 'z');
    assert_proportion();

    json_t *certificate = certificate_of(&domain.names);
    steps = 0;
    struct certificate read;
    assert_true(certificate_read(certificate, &read) && certificate_add(&domain, &read));
    certificate_clear(&read);
    assert_int_equal(domain.stored_count, 1);
    assert_proportion();

    json_decref(certificate);
    json_decref(domain.noted);
    free(domain.stored);
    san_set_clear(&domain.names);
    free(texts);
    free(longest);
    free(labels);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reads_many_names)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
