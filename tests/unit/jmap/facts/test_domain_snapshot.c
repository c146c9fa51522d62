/* The table of what was seen of each domain, and which of two looks stays in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jmap/facts/domain_snapshot.h"

static struct domain_snapshot seen_at(const char *id, int64_t seconds, unsigned tasks)
{
    struct domain_snapshot snapshot = {.task_count = tasks,
                                       .seen = {seconds},
                                       .name = "example.org",
                                       .failure = "DNS",
                                       .not_after = {100}};

    snprintf(snapshot.domain_id, sizeof snapshot.domain_id, "%s", id);
    return snapshot;
}

static int setup(void **state)
{
    return (*state = domain_snapshots_create()) ? 0 : -1;
}

static int teardown(void **state)
{
    domain_snapshots_destroy(*state);
    return 0;
}

static void assert_seen(struct domain_snapshots *snapshots, const char *id, int64_t seconds)
{
    struct domain_snapshot_texts texts;
    struct domain_snapshot found;

    assert_true(domain_snapshots_find(snapshots, id, &found, &texts));
    assert_int_equal(found.seen.seconds, seconds);
    assert_string_equal(found.name, "example.org");
    assert_string_equal(found.failure, "DNS");
}

static void assert_unseen(struct domain_snapshots *snapshots, const char *id)
{
    struct domain_snapshot_texts texts;
    struct domain_snapshot found;

    assert_false(domain_snapshots_find(snapshots, id, &found, &texts));
}

static void what_is_stored_replaces_whatever_was_there(void **state)
{
    const struct domain_snapshot later = seen_at("b", 20, 1), earlier = seen_at("b", 10, 2);

    domain_snapshots_store(*state, &later);
    domain_snapshots_store(*state, &earlier);
    assert_seen(*state, "b", 10);
}

static void the_latest_stays_whichever_comes_first(void **state)
{
    const struct domain_snapshot later = seen_at("b", 20, 1), earlier = seen_at("b", 10, 2);

    domain_snapshots_store_latest(*state, &earlier);
    assert_seen(*state, "b", 10);
    domain_snapshots_store_latest(*state, &later);
    domain_snapshots_store_latest(*state, &earlier);
    assert_seen(*state, "b", 20);
}

static void of_one_moment_the_last_stays(void **state)
{
    const struct domain_snapshot first = seen_at("b", 20, 1), second = seen_at("b", 20, 2);
    struct domain_snapshot_texts texts;
    struct domain_snapshot found;

    domain_snapshots_store(*state, &first);
    domain_snapshots_store_latest(*state, &second);
    assert_true(domain_snapshots_find(*state, "b", &found, &texts));
    assert_int_equal(found.task_count, 2);
}

static void all_that_are_old_are_forgotten_and_no_other(void **state)
{
    char id[OBJECT_ID_SIZE];

    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "b%d", i);
        const struct domain_snapshot snapshot = seen_at(id, i, 0);
        domain_snapshots_store(*state, &snapshot);
    }
    domain_snapshots_forget_before(*state, (wall_time){700});
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "b%d", i);
        if (i < 700)
            assert_unseen(*state, id);
        else
            assert_seen(*state, id, i);
    }
    domain_snapshots_forget(*state, "b700");
    assert_unseen(*state, "b700");
    domain_snapshots_forget(*state, "b700");
}

static void nothing_is_forgotten_of_nothing(void **state)
{
    domain_snapshots_forget_before(*state, WALL_TIME_FOREVER);
    assert_unseen(*state, "b");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_stored_replaces_whatever_was_there),
        TEST(the_latest_stays_whichever_comes_first),
        TEST(of_one_moment_the_last_stays),
        TEST(all_that_are_old_are_forgotten_and_no_other),
        TEST(nothing_is_forgotten_of_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
