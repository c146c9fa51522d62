/*
 * Linked with -Wl,--wrap=malloc,--wrap=realloc, so that every allocation of the module under test
 * can be made to fail in turn.
 */

#include "policy/san_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NAMES_MAX 16

void *__real_malloc(size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *block, size_t size);

static int allocations_left = INT_MAX;

void *__wrap_malloc(size_t size)
{
    return allocations_left-- > 0 ? __real_malloc(size) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    return allocations_left-- > 0 ? __real_realloc(block, size) : NULL;
}

static bool add(struct san_set *set, const char *name)
{
    return san_set_add(set, name, strlen(name));
}

static void assert_names(const struct san_set *set, const char *const *names, const char *row)
{
    size_t count = 0;

    while (names[count])
        count++;
    if (set->count != count)
        fail_msg("%s: %zu names", row, set->count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(set->names[i], names[i]) != 0)
            fail_msg("%s: %s", row, set->names[i]);
    }
}

static void keeps_names_in_one_spelling(void **state)
{
    (void)state;
    static const struct {
        const char *row;
        const char *add[NAMES_MAX];
        const char *names[NAMES_MAX];
    } rows[] = {
        {"nothing", {NULL}, {NULL}},
        {"sorted", {"c.org", "a.org", "b.org"}, {"a.org", "b.org", "c.org"}},
        {"once each", {"a.org", "b.org", "a.org"}, {"a.org", "b.org"}},
        {"lower case", {"Mail.EXAMPLE.org", "mail.example.ORG"}, {"mail.example.org"}},
        {"no trailing dot", {"a.org.", "a.org"}, {"a.org"}},
        {"one dot only", {"a.org.."}, {"a.org."}},
        {"empty names left out", {"", ".", "a.org"}, {"a.org"}},
        {"a common name that is no host's", {"Example Corp Mail Server", "a.org"}, {"a.org"}},
        {"nor is this one", {"mail@a.org", "a..org", "a/org", "*", "a.*.org", "(a)"}, {NULL}},
        {"addresses", {"192.0.2.1", "2001:DB8::1"}, {"192.0.2.1", "2001:db8::1"}},
        {"no address", {"2001:db8::g", "1::2::3", "::1%eth0"}, {NULL}},
        {"an underscore, a digit, one label", {"_a.org", "1.org", "a"}, {"1.org", "_a.org", "a"}},
        {"wildcard", {"example.org", "*.example.org"}, {"*.example.org", "example.org"}},
        {"nothing but ASCII is folded", {"\xc3\x84.org"}, {"\xc3\x84.org"}},
        {"growing",
         {"k", "j", "i", "h", "g", "f", "e", "d", "c", "b", "a"},
         {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"}},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct san_set set = SAN_SET_EMPTY;

        for (size_t k = 0; rows[i].add[k]; k++)
            assert_true(add(&set, rows[i].add[k]));
        assert_names(&set, rows[i].names, rows[i].row);
        san_set_clear(&set);
        assert_int_equal(set.count, 0);
        assert_null(set.names);
    }
}

static void takes_a_name_by_its_length(void **state)
{
    (void)state;
    struct san_set set = SAN_SET_EMPTY;

    assert_true(san_set_add(&set, "a.org,b.org", 5));
    assert_true(san_set_contains(&set, "a.org"));
    assert_int_equal(set.count, 1);
    san_set_clear(&set);
}

static void a_nul_does_not_end_a_name(void **state)
{
    (void)state;
    static const char name[] = "a.org\0.b.org";
    struct san_set tricky = SAN_SET_EMPTY, plain = SAN_SET_EMPTY;

    assert_true(san_set_add(&tricky, name, sizeof name - 1));
    assert_true(add(&plain, "a.org"));
    assert_false(san_set_equal(&tricky, &plain));
    assert_false(san_set_contains(&tricky, "a.org"));
    san_set_clear(&tricky);
    san_set_clear(&plain);
}

static void compares_sets(void **state)
{
    (void)state;
    static const struct {
        const char *a[4], *b[4];
        bool equal;
    } rows[] = {
        {{NULL}, {NULL}, true},
        {{"a.org"}, {NULL}, false},
        {{"a.org"}, {"a.org"}, true},
        {{"a.org"}, {"A.ORG."}, true},
        {{"a.org", "b.org"}, {"b.org", "a.org"}, true},
        {{"a.org", "b.org"}, {"a.org"}, false},
        {{"a.org", "b.org"}, {"a.org", "c.org"}, false},
        {{"a.org", "a.org"}, {"a.org"}, true},
        {{"a.org"}, {"mail.a.org"}, false},
        {{"*.a.org"}, {"mail.a.org"}, false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct san_set a = SAN_SET_EMPTY, b = SAN_SET_EMPTY;

        for (size_t k = 0; rows[i].a[k]; k++)
            assert_true(add(&a, rows[i].a[k]));
        for (size_t k = 0; rows[i].b[k]; k++)
            assert_true(add(&b, rows[i].b[k]));
        assert_int_equal(san_set_equal(&a, &b), rows[i].equal);
        assert_int_equal(san_set_equal(&b, &a), rows[i].equal);
        assert_int_equal(san_set_hash(&a) == san_set_hash(&b), rows[i].equal);
        san_set_clear(&a);
        san_set_clear(&b);
    }
}

static void finds_names(void **state)
{
    (void)state;
    struct san_set set = SAN_SET_EMPTY;

    assert_false(san_set_contains(&set, "a.org"));
    assert_true(add(&set, "b.org"));
    assert_true(add(&set, "a.org"));
    assert_true(san_set_contains(&set, "a.org"));
    assert_true(san_set_contains(&set, "B.Org."));
    assert_false(san_set_contains(&set, "c.org"));
    assert_false(san_set_contains(&set, "b.or"));
    assert_false(san_set_contains(&set, ""));
    san_set_clear(&set);
}

struct naming_row {
    const char *row;
    const char *domain;
    enum challenge_type challenge;
    const char *configured[NAMES_MAX];
    const char *hostnames[NAMES_MAX];
    const char *names[NAMES_MAX];
};

static const struct naming_row naming_rows[] = {
    {"dns-01",
     "example.org",
     CHALLENGE_DNS01,
     {NULL},
     {"mail.example.org"},
     {"*.example.org", "example.org"}},
    {"dns-persist-01",
     "Example.ORG.",
     CHALLENGE_DNS_PERSIST01,
     {NULL},
     {NULL},
     {"*.example.org", "example.org"}},
    {"http-01",
     "example.org",
     CHALLENGE_HTTP01,
     {NULL},
     {NULL},
     {"autoconfig.example.org", "autodiscover.example.org", "mta-sts.example.org",
      "ua-auto-config.example.org"}},
    {"tls-alpn-01 with hosts in and out of the domain",
     "example.org",
     CHALLENGE_TLS_ALPN01,
     {NULL},
     {"mail.example.org", "MX.Example.org.", "example.org", "mail.example.net", "notexample.org",
      "example.org.net", "org", "", ".", "mail.example.org"},
     {"autoconfig.example.org", "autodiscover.example.org", "example.org", "mail.example.org",
      "mta-sts.example.org", "mx.example.org", "ua-auto-config.example.org"}},
    {"a domain with a trailing dot and capitals",
     "Example.Org.",
     CHALLENGE_HTTP01,
     {NULL},
     {"mail.example.org"},
     {"autoconfig.example.org", "autodiscover.example.org", "mail.example.org",
      "mta-sts.example.org", "ua-auto-config.example.org"}},
    {"a host that is also a default",
     "example.org",
     CHALLENGE_HTTP01,
     {NULL},
     {"MTA-STS.example.org"},
     {"autoconfig.example.org", "autodiscover.example.org", "mta-sts.example.org",
      "ua-auto-config.example.org"}},
    {"configured, hosts do not matter",
     "example.org",
     CHALLENGE_HTTP01,
     {"mail", "IMAP", "other.example.net", "example.org."},
     {"mx.example.org"},
     {"example.org", "imap.example.org", "mail.example.org", "other.example.net"}},
    {"configured, the challenge does not matter",
     "example.org.",
     CHALLENGE_DNS01,
     {"mail", "*"},
     {NULL},
     {"*.example.org", "mail.example.org"}},
    {"both spellings of one name",
     "example.org",
     CHALLENGE_HTTP01,
     {"mail", "mail.example.org"},
     {NULL},
     {"mail.example.org"}},
    {"the server makes an order of an empty name that no certificate answers",
     "example.org",
     CHALLENGE_HTTP01,
     {""},
     {NULL},
     {".example.org"}},
};

static struct naming_facts facts_of(const struct naming_row *row)
{
    struct naming_facts facts = {
        .domain = row->domain,
        .challenge = row->challenge,
        .configured = row->configured,
        .hostnames = row->hostnames,
    };

    while (row->configured[facts.configured_count])
        facts.configured_count++;
    while (row->hostnames[facts.hostname_count])
        facts.hostname_count++;
    return facts;
}

static void names_what_the_server_orders(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(naming_rows); i++) {
        struct naming_facts facts = facts_of(&naming_rows[i]);
        struct san_set set = SAN_SET_EMPTY;

        assert_true(san_set_of_domain(&facts, &set));
        assert_names(&set, naming_rows[i].names, naming_rows[i].row);
        san_set_clear(&set);
    }
}

static void a_set_without_memory_is_empty(void **state)
{
    (void)state;

    for (size_t i = 0; i < COUNT(naming_rows); i++) {
        struct naming_facts facts = facts_of(&naming_rows[i]);
        int needed = 0;

        for (bool made = false; !made; needed++) {
            struct san_set set = SAN_SET_EMPTY;

            allocations_left = needed;
            made = san_set_of_domain(&facts, &set);
            allocations_left = INT_MAX;
            if (made) {
                assert_names(&set, naming_rows[i].names, naming_rows[i].row);
                san_set_clear(&set);
            }
            assert_int_equal(set.count, 0);
            assert_null(set.names);
        }
        assert_true(needed > 2);
    }
}

static void a_failed_add_changes_nothing(void **state)
{
    (void)state;
    static const char *const twenty[] = {"t", "s", "r", "q", "p", "o", "n", "m", "l", "k",
                                         "j", "i", "h", "g", "f", "e", "d", "c", "b", "a"};
    struct san_set set = SAN_SET_EMPTY;

    for (size_t i = 0; i < COUNT(twenty); i++) {
        for (int allowed = 0;; allowed++) {
            allocations_left = allowed;
            bool added = add(&set, twenty[i]);
            allocations_left = INT_MAX;
            if (added)
                break;
            assert_int_equal(set.count, i);
            assert_false(san_set_contains(&set, twenty[i]));
        }
        assert_int_equal(set.count, i + 1);
        assert_true(san_set_contains(&set, twenty[i]));
    }
    for (size_t i = 1; i < set.count; i++)
        assert_true(strcmp(set.names[i - 1], set.names[i]) < 0);
    san_set_clear(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_names_in_one_spelling),
        cmocka_unit_test(takes_a_name_by_its_length),
        cmocka_unit_test(a_nul_does_not_end_a_name),
        cmocka_unit_test(compares_sets),
        cmocka_unit_test(finds_names),
        cmocka_unit_test(names_what_the_server_orders),
        cmocka_unit_test(a_set_without_memory_is_empty),
        cmocka_unit_test(a_failed_add_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
