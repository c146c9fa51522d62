/* The table of what was seen of each domain, and which of two looks stays in it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "jmap/facts/sighting.h"

static struct sighting seen_at(const char *id, int64_t seconds, unsigned tasks)
{
    struct sighting sighting = {.task_count = tasks,
                                .seen = {seconds},
                                .name = "example.org",
                                .failure = "DNS",
                                .not_after = {100}};

    snprintf(sighting.domain_id, sizeof sighting.domain_id, "%s", id);
    return sighting;
}

static int setup(void **state)
{
    return (*state = sightings_create()) ? 0 : -1;
}

static int teardown(void **state)
{
    sightings_destroy(*state);
    return 0;
}

static void assert_seen(struct sightings *sightings, const char *id, int64_t seconds)
{
    struct sighting_texts texts;
    struct sighting found;

    assert_true(sightings_find(sightings, id, &found, &texts));
    assert_int_equal(found.seen.seconds, seconds);
    assert_string_equal(found.name, "example.org");
    assert_string_equal(found.failure, "DNS");
}

static void assert_unseen(struct sightings *sightings, const char *id)
{
    struct sighting_texts texts;
    struct sighting found;

    assert_false(sightings_find(sightings, id, &found, &texts));
}

static void what_is_stored_replaces_whatever_was_there(void **state)
{
    const struct sighting later = seen_at("b", 20, 1), earlier = seen_at("b", 10, 2);

    sightings_store(*state, &later);
    sightings_store(*state, &earlier);
    assert_seen(*state, "b", 10);
}

static void the_latest_stays_whichever_comes_first(void **state)
{
    const struct sighting later = seen_at("b", 20, 1), earlier = seen_at("b", 10, 2);

    sightings_store_latest(*state, &earlier);
    assert_seen(*state, "b", 10);
    sightings_store_latest(*state, &later);
    sightings_store_latest(*state, &earlier);
    assert_seen(*state, "b", 20);
}

static void of_one_moment_the_last_stays(void **state)
{
    const struct sighting first = seen_at("b", 20, 1), second = seen_at("b", 20, 2);
    struct sighting_texts texts;
    struct sighting found;

    sightings_store(*state, &first);
    sightings_store_latest(*state, &second);
    assert_true(sightings_find(*state, "b", &found, &texts));
    assert_int_equal(found.task_count, 2);
}

static void all_that_are_old_are_forgotten_and_no_other(void **state)
{
    char id[OBJECT_ID_SIZE];

    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "b%d", i);
        const struct sighting sighting = seen_at(id, i, 0);
        sightings_store(*state, &sighting);
    }
    sightings_forget_before(*state, (wall_time){700});
    for (int i = 0; i < 1000; i++) {
        snprintf(id, sizeof id, "b%d", i);
        if (i < 700)
            assert_unseen(*state, id);
        else
            assert_seen(*state, id, i);
    }
    sightings_forget(*state, "b700");
    assert_unseen(*state, "b700");
    sightings_forget(*state, "b700");
}

static void nothing_is_forgotten_of_nothing(void **state)
{
    sightings_forget_before(*state, WALL_TIME_FOREVER);
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
