/*
 * What is remembered from one look-up to the next: which certificate belongs to which names, within
 * bounds and where memory runs out. Linked with -Wl,--wrap for malloc, calloc, realloc, str(n)dup
 * and str(n)cmp.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "jmap/facts/certificate_index.h"
#include "jmap/facts/memory.h"
#include "tests/unit/failing_memory.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static size_t comparisons;

int __real_strcmp(const char *a, const char *b);
int __real_strncmp(const char *a, const char *b, size_t len);
int __wrap_strcmp(const char *a, const char *b);
int __wrap_strncmp(const char *a, const char *b, size_t len);

int __wrap_strcmp(const char *a, const char *b)
{
    comparisons++;
    return __real_strcmp(a, b);
}

int __wrap_strncmp(const char *a, const char *b, size_t len)
{
    comparisons++;
    return __real_strncmp(a, b, len);
}

static struct indexed_certificate certificate(uint64_t names, const char *id, int64_t ends)
{
    struct indexed_certificate made = {.names = names, .begins = {0}, .ends = {ends}};

    assert_true(strlen(id) < sizeof made.id);
    memcpy(made.id, id, strlen(id) + 1);
    return made;
}

/* As good as random (splitmix64). */
static uint64_t names_number(size_t number)
{
    uint64_t mixed = (number + 1) * 0x9e3779b97f4a7c15;

    mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111eb;
    return mixed ^ (mixed >> 31);
}

/* So many with names of their own, the later ones ending later. */
static void note_many(struct certificate_index *index, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char id[32];
        snprintf(id, sizeof id, "c%zu", i);
        struct indexed_certificate one = certificate(names_number(i), id, (int64_t)i);
        certificate_index_note(index, &one);
    }
}

static size_t found_from(const struct certificate_index *index, size_t first, size_t count)
{
    struct indexed_certificate one;
    size_t found = 0;

    for (size_t i = first; i < count; i++)
        found +=
            certificate_index_find(index, names_number(i), &one) && one.ends.seconds == (int64_t)i;
    return found;
}

static void an_empty_index_finds_nothing(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 64};
    struct indexed_certificate one;

    assert_false(certificate_index_find(&index, 1, &one));
    certificate_index_forget(&index, 1, "c");
    certificate_index_clear(&index);
}

static void of_two_with_the_same_names_the_later_ending_stays(void **state)
{
    (void)state;
    static const struct {
        const char *first, *second, *stays;
        int64_t first_ends, second_ends;
    } rows[] = {
        {"old", "new", "new", 90, 150},
        {"new", "old", "new", 150, 90},
        {"same", "same", "same", 150, 90},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct certificate_index index = {.limit = 64};
        struct indexed_certificate first = certificate(7, rows[i].first, rows[i].first_ends);
        struct indexed_certificate second = certificate(7, rows[i].second, rows[i].second_ends);
        struct indexed_certificate kept;
        certificate_index_note(&index, &first);
        certificate_index_note(&index, &second);
        assert_true(certificate_index_find(&index, 7, &kept));
        assert_string_equal(kept.id, rows[i].stays);
        assert_int_equal(index.count, 1);
        certificate_index_clear(&index);
    }
}

/* Its dates may have been written anew since. */
static void of_one_that_was_seen_twice_what_was_seen_last_counts(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 64};
    struct indexed_certificate first = certificate(7, "c", 150), last = certificate(7, "c", 90);
    struct indexed_certificate kept;

    certificate_index_note(&index, &first);
    certificate_index_note(&index, &last);
    assert_true(certificate_index_find(&index, 7, &kept));
    assert_int_equal(kept.ends.seconds, 90);
    certificate_index_clear(&index);
}

static void only_the_one_that_was_not_found_is_forgotten(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 64};
    struct indexed_certificate one = certificate(7, "new", 150), kept;

    certificate_index_note(&index, &one);
    certificate_index_forget(&index, 7, "old");
    assert_true(certificate_index_find(&index, 7, &kept));
    certificate_index_forget(&index, 7, "new");
    assert_false(certificate_index_find(&index, 7, &kept));
    assert_int_equal(index.count, 0);
    certificate_index_clear(&index);
}

static void an_index_grows_and_keeps_what_it_has(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 1 << 16};

    note_many(&index, 100000);
    /* Now and then a bucket is full before the index grows. */
    assert_in_range(found_from(&index, 0, 100000), 99800, 100000);
    /* Below 110 bytes each. */
    assert_true(index.buckets * CERTIFICATE_INDEX_BUCKET * sizeof *index.places < 110 * 100000);
    certificate_index_clear(&index);
}

static void at_its_limit_those_that_end_first_make_room(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 64};
    size_t room = 64 * CERTIFICATE_INDEX_BUCKET;

    note_many(&index, 10 * room);
    assert_true(index.buckets <= 64);
    assert_true(index.count <= room);
    assert_int_equal(found_from(&index, 0, 5 * room), 0);
    assert_true(found_from(&index, 9 * room, 10 * room) > room / 2);

    /* One that ends before all others takes nobody's place. */
    size_t count = index.count;
    struct indexed_certificate early = certificate(7, "early", -1), found;
    certificate_index_note(&index, &early);
    assert_false(certificate_index_find(&index, 7, &found) && index.count == count);
    certificate_index_clear(&index);
}

static void without_memory_an_index_keeps_its_size(void **state)
{
    (void)state;
    struct certificate_index index = {.limit = 64};

    left = 0;
    for_good = true;
    note_many(&index, 10);
    assert_int_equal(index.count, 0);
    left = 1;
    note_many(&index, 5000);
    size_t buckets = index.buckets;
    assert_true(buckets > 0 && buckets < 64);
    assert_true(index.count <= buckets * CERTIFICATE_INDEX_BUCKET);
    left = INT_MAX;
    note_many(&index, 5000);
    assert_int_equal(index.buckets, 64);
    certificate_index_clear(&index);
}

static struct san_set names_of(const char *name)
{
    struct san_set names = SAN_SET_EMPTY;

    assert_true(san_set_add(&names, name, strlen(name)));
    return names;
}

static void a_certificate_is_recalled_by_its_names(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct san_set own = names_of("mail.example.org"), other = names_of("mail.example.com");
    struct indexed_certificate one = certificate(0, "c", 90), found;

    memory_note_certificate(memory, &own, &one);
    assert_false(memory_recall_certificate(memory, &other, &found));
    assert_true(memory_recall_certificate(memory, &own, &found));
    assert_string_equal(found.id, "c");
    memory_forget_certificate(memory, &own, "c");
    assert_false(memory_recall_certificate(memory, &own, &found));
    san_set_clear(&own);
    san_set_clear(&other);
    task_memory_destroy(memory);
}

static void what_is_noted_of_a_domain_leaves_the_rest_alone(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct domain_memory known = {.domain_id = "b", .forwarded_id = "jpa", .task_ids = {"jpb"}};
    char long_name[SEARCH_NAME_SIZE + 1] = {0};

    memset(long_name, 'a', SEARCH_NAME_SIZE);

    memory_store(memory, &known);
    memory_note_renewal(memory, "b", "jpc", (wall_time){7}, "example.org");
    memory_note_renewal(memory, "c", "jpd", (wall_time){7}, long_name);
    memory_recall(memory, "b", &known);
    assert_string_equal(known.forwarded_id, "jpa");
    assert_string_equal(known.task_ids[0], "jpb");
    assert_string_equal(known.certificate_id, "jpc");
    assert_int_equal(known.renewal_due.seconds, 7);
    assert_string_equal(known.search_name, "example.org");
    memory_recall(memory, "c", &known);
    assert_string_equal(known.certificate_id, "jpd");
    assert_string_equal(known.search_name, "");
    task_memory_destroy(memory);
}

static void note_domain(struct task_memory *memory, size_t number)
{
    char id[OBJECT_ID_SIZE];
    snprintf(id, sizeof id, "d%zu", number);
    memory_note_task(memory, id, "jpt");
}

static bool is_known(struct task_memory *memory, size_t number)
{
    char id[OBJECT_ID_SIZE];
    struct domain_memory known;
    snprintf(id, sizeof id, "d%zu", number);
    memory_recall(memory, id, &known);
    return known.task_ids[0][0] != '\0';
}

static void at_their_limit_the_least_used_domain_makes_room(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct domain_memory forwarded = {.domain_id = "f", .forwarded_id = "jpa"};

    memory_store(memory, &forwarded);
    for (size_t i = 1; i < MEMORY_DOMAINS; i++)
        note_domain(memory, i);
    assert_true(is_known(memory, 1)); /* a use: "d2" is the next to go */
    for (size_t i = 0; i < 3; i++)
        note_domain(memory, MEMORY_DOMAINS + i);
    assert_true(is_known(memory, 1));
    for (size_t i = 2; i < 5; i++)
        assert_false(is_known(memory, i));
    assert_true(is_known(memory, 5));
    assert_true(is_known(memory, MEMORY_DOMAINS + 2));
    memory_recall(memory, "f", &forwarded);
    assert_string_equal(forwarded.forwarded_id, "jpa");
    task_memory_destroy(memory);
}

static void a_domain_is_found_among_many_as_among_few(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    const size_t many = 100000;

    for (size_t i = 0; i < many; i++)
        note_domain(memory, i);
    comparisons = 0;
    for (size_t i = 0; i < many; i++)
        assert_true(is_known(memory, i));
    assert_in_range(comparisons, many, 2 * many);
    task_memory_destroy(memory);
}

/* As they were forwarded nothing but age decides. */
static void a_limit_is_a_limit_for_those_that_were_forwarded(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct domain_memory known;

    for (size_t i = 0; i <= MEMORY_DOMAINS; i++) {
        struct domain_memory forwarded = {.forwarded_id = "jpa"};
        snprintf(forwarded.domain_id, sizeof forwarded.domain_id, "d%zu", i);
        memory_store(memory, &forwarded);
    }
    memory_recall(memory, "d0", &known);
    assert_string_equal(known.forwarded_id, "");
    memory_recall(memory, "d1", &known);
    assert_string_equal(known.forwarded_id, "jpa");
    task_memory_destroy(memory);
}

static void a_domain_is_forgotten(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    memory_forget(memory, "d1");
    for (size_t i = 0; i < 3; i++)
        note_domain(memory, i);
    memory_forget(memory, "d1");
    memory_forget(memory, "d1");
    assert_true(is_known(memory, 0));
    assert_false(is_known(memory, 1));
    assert_true(is_known(memory, 2));
    memory_forget(memory, "d2");
    memory_forget(memory, "d0");
    note_domain(memory, 3);
    assert_true(is_known(memory, 3));
    task_memory_destroy(memory);
}

static void without_memory_nothing_is_remembered_of_a_new_domain(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct domain_memory known;

    left = 0;
    for_good = true;
    memory_note_renewal(memory, "b", "jpc", (wall_time){7}, "example.org");
    memory_note_task(memory, "b", "jpt");
    left = INT_MAX;
    for_good = false;
    memory_recall(memory, "b", &known);
    assert_string_equal(known.certificate_id, "");
    assert_string_equal(known.task_ids[0], "");
    task_memory_destroy(memory);
}

static size_t review_issue(struct task_memory *memory, const char *domain, int64_t at,
                           struct issue *missing)
{
    struct issue seen = {.at = {at}, .order = 1, .ca = 1, .kind = ISSUE_STORED};

    return memory_review_issues(
        memory, domain,
        &(struct issue_look){
            .now = {1000000}, .order = 1, .ca = 1, .seen = &seen, .seen_count = at != 0},
        missing);
}

static void what_was_issued_is_told_when_it_is_gone(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct issue missing[ISSUE_HISTORY_MAX];

    assert_int_equal(review_issue(memory, "b", 900000, missing), 0);
    assert_int_equal(review_issue(memory, "b", 900001, missing), 1);
    assert_int_equal(missing[0].at.seconds, 900000);
    assert_int_equal(review_issue(memory, "c", 0, missing), 0);
    assert_int_equal(review_issue(memory, "b", 0, missing), 2);
    memory_forget(memory, "b");
    assert_int_equal(review_issue(memory, "b", 0, missing), 0);
    task_memory_destroy(memory);
}

/* Three orders of one domain count three times, and once as often as they are seen. */
static void what_was_issued_counts_for_the_account(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct issue missing[ISSUE_HISTORY_MAX];
    const struct issue_limit limit = {.burst = 4, .window_seconds = 4000};
    const wall_time now = {1000000};

    for (int again = 0; again < 2; again++) {
        for (int64_t i = 0; i < 3; i++) {
            review_issue(memory, "b", now.seconds - i, missing);
            memory_note_orders(memory, "b", "p", WALL_TIME_NEVER, WALL_TIME_NEVER, now,
                               memory_moment(memory));
        }
    }
    assert_int_equal(memory_take_time(memory, "c", "p", limit, now, now).seconds, now.seconds);
    assert_int_equal(memory_take_time(memory, "d", "p", limit, now, now).seconds,
                     now.seconds + 998);
    memory_forget(memory, "b");
    assert_int_equal(memory_take_time(memory, "e", "p", limit, now, now).seconds, now.seconds);
    task_memory_destroy(memory);
}

static void without_memory_as_many_issues_stay_as_there_were(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct issue missing[ISSUE_HISTORY_MAX];

    left = 0;
    for_good = true;
    assert_int_equal(review_issue(memory, "b", 900000, missing), 0);
    left = INT_MAX;
    assert_int_equal(review_issue(memory, "b", 900000, missing), 0);
    left = 0;
    assert_int_equal(review_issue(memory, "b", 900001, missing), 1);
    memory_keep_hold(memory, "b",
                     &(struct setback_hold){.order = 1,
                                            .issued = WALL_TIME_NEVER,
                                            .refused = {2000000},
                                            .failing = WALL_TIME_NEVER});
    left = INT_MAX;
    for_good = false;
    /* The newest of them. */
    assert_int_equal(review_issue(memory, "b", 0, missing), 1);
    assert_int_equal(missing[0].at.seconds, 900001);
    task_memory_destroy(memory);
}

/* They are found more slowly. */
static void without_memory_for_more_buckets_domains_are_found_all_the_same(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    for (size_t i = 0; i < 1000; i++) {
        if (i >= 64)
            left = 0;
        note_domain(memory, i);
        left = INT_MAX;
    }
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(is_known(memory, i), true);
    task_memory_destroy(memory);
}

/* An account's orders while memory runs out: those that are in the book stay, with their times. */
static void without_memory_an_order_book_keeps_what_it_has(void **state)
{
    (void)state;
    const struct issue_limit limit = {2, 7200};
    const wall_time now = fixed_now(NULL);
    size_t failed = 0;

    for (int allocations = 0; allocations < 8; allocations++) {
        struct task_memory *memory = task_memory_create();
        assert_true(wall_time_equal(memory_take_time(memory, "a", "p", limit, now, now), now));
        memory_fails(allocations, false);
        wall_time taken = memory_take_time(memory, "b", "p", limit, now, now);
        bool ran_out = memory_is_back();
        failed += ran_out;
        assert_true(wall_time_equal(taken, now));
        /* Whether "b" is in the book or not, "a" is, and is found again. */
        assert_true(wall_time_equal(memory_take_time(memory, "a", "p", limit, now, now), now));
        taken = memory_take_time(memory, "c", "p", limit, now, now);
        assert_true(ran_out || wall_time_equal(taken, wall_time_add(now, 3600)));
        memory_give_time(memory, "b");
        memory_give_time(memory, "c");
        task_memory_destroy(memory);
    }
    assert_true(failed > 0);
}

/* What is remembered of failures: without memory they count as they are, and later ones do. */
static void without_memory_failures_count_as_they_are_seen(void **state)
{
    (void)state;
    size_t failed = 0;

    for (int allocations = 0; allocations < 8; allocations++) {
        struct task_memory *memory = task_memory_create();
        struct renewal_task task = {.id = "jp1",
                                    .state = TASK_FAILED,
                                    .failed_at = fixed_now(NULL),
                                    .failure_reason = "Order is invalid: no"};
        const struct setback_look look = {
            .order = 1, .setup = 1, .tasks = &task, .task_count = 1, .issued = WALL_TIME_NEVER};
        memory_fails(allocations, false);
        struct setback known;
        memory_review(memory, "b", &look, &known);
        size_t seen = known.failures;
        failed += memory_is_back();
        assert_in_range(seen, 0, 1);
        memory_review(memory, "b", &look, &known);
        assert_int_equal(known.failures, 1);
        assert_false(task.other_order);
        task_memory_destroy(memory);
    }
    assert_true(failed > 0);
}

static void count_told(void *user, const char *domain_id, const char *task_id)
{
    assert_string_equal(domain_id, "b");
    assert_string_equal(task_id, "jp1");
    ++*(unsigned *)user;
}

/* It takes no memory to forget. */
static void without_memory_a_task_is_forgotten_all_the_same(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    struct domain_memory known;
    unsigned told = 0;

    memory_watch_unreadable(memory, count_told, &told);
    memory_note_task(memory, "b", "jp1");
    memory_note_task(memory, "b", "jp2");
    memory_fails(0, true);
    memory_forget_task(memory, "b", "jp1");
    memory_is_back();
    memory_recall(memory, "b", &known);
    assert_string_not_equal(known.task_ids[0], "jp1");
    assert_string_not_equal(known.task_ids[1], "jp1");
    assert_int_equal(told, 1);
    task_memory_destroy(memory);
}

static void what_is_listed_takes_the_place_of_what_was_known(void **state)
{
    (void)state;
    static const struct {
        const char *known[MEMORY_TASKS], *listed[MEMORY_TASKS], *then[MEMORY_TASKS];
    } rows[] = {
        {{"jp1", "jp2"}, {"jp3", "jp4"}, {"jp3", "jp4"}},
        {{"jp1", "jp2"}, {"jp3", ""}, {"jp3", "jp2"}},
        {{"jp1", "jp2"}, {"jp2", ""}, {"jp2", "jp1"}},
        {{"jp1", ""}, {"jp1", ""}, {"jp1", ""}},
        {{"jplonger", ""}, {"jp1", ""}, {"jp1", "jplonger"}},
        {{"", ""}, {"jp1", "jp2"}, {"jp1", "jp2"}},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct task_memory *memory = task_memory_create();
        struct domain_memory known;
        for (size_t t = 0; t < MEMORY_TASKS && rows[i].known[t][0]; t++)
            memory_note_task(memory, "b", rows[i].known[t]);
        memory_note_listed(memory, "b", rows[i].listed, rows[i].listed[1][0] ? 2 : 1);
        memory_recall(memory, "b", &known);
        for (size_t t = 0; t < MEMORY_TASKS; t++)
            assert_string_equal(known.task_ids[t], rows[i].then[t]);
        task_memory_destroy(memory);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_listed_takes_the_place_of_what_was_known),
        cmocka_unit_test(what_was_issued_is_told_when_it_is_gone),
        cmocka_unit_test(what_was_issued_counts_for_the_account),
        cmocka_unit_test(without_memory_as_many_issues_stay_as_there_were),
        cmocka_unit_test(an_empty_index_finds_nothing),
        cmocka_unit_test(of_two_with_the_same_names_the_later_ending_stays),
        cmocka_unit_test(of_one_that_was_seen_twice_what_was_seen_last_counts),
        cmocka_unit_test(only_the_one_that_was_not_found_is_forgotten),
        cmocka_unit_test(an_index_grows_and_keeps_what_it_has),
        cmocka_unit_test(at_its_limit_those_that_end_first_make_room),
        cmocka_unit_test(without_memory_an_index_keeps_its_size),
        cmocka_unit_test(a_certificate_is_recalled_by_its_names),
        cmocka_unit_test(what_is_noted_of_a_domain_leaves_the_rest_alone),
        cmocka_unit_test(at_their_limit_the_least_used_domain_makes_room),
        cmocka_unit_test(a_domain_is_found_among_many_as_among_few),
        cmocka_unit_test(a_limit_is_a_limit_for_those_that_were_forwarded),
        cmocka_unit_test(a_domain_is_forgotten),
        cmocka_unit_test(without_memory_nothing_is_remembered_of_a_new_domain),
        cmocka_unit_test(without_memory_for_more_buckets_domains_are_found_all_the_same),
        cmocka_unit_test(without_memory_an_order_book_keeps_what_it_has),
        cmocka_unit_test(without_memory_failures_count_as_they_are_seen),
        cmocka_unit_test(without_memory_a_task_is_forgotten_all_the_same),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
