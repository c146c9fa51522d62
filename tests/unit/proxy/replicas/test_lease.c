/*
 * Leases from being wanted to being given back, with the replies and the clock in the test's hand.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/replicas/lease.h"

#define PATIENCE 60000

struct world {
    struct lease_table *table;
    struct buffer out;
    monotonic_time now;
    unsigned woken, waits;
    char note[LEASE_NOTE_SIZE * 2];
};

static void count_wake(void *user)
{
    ((struct world *)user)->woken++;
}

static void count_wait(void *user)
{
    ((struct world *)user)->waits++;
}

static void keep_note(void *user, const char *name, const char *note)
{
    struct world *world = user;

    snprintf(world->note, sizeof world->note, "%s:%s", name, note);
}

static int set_up(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    const struct lease_events events = {.taken = keep_note, .waits = count_wait, .user = world};

    world->table = lease_table_create("renewgate", &events);
    world->now = (monotonic_time){1000 * NANOSECONDS_PER_SECOND};
    lease_table_connected(world->table);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;

    lease_table_destroy(world->table);
    buffer_clear(&world->out);
    free(world);
    return 0;
}

static void pass(struct world *world, int64_t milliseconds)
{
    world->now = monotonic_after(world->now, milliseconds);
}

static struct lease *take(struct world *world, bool once)
{
    const struct lease_terms terms = {
        .once = once, .patience_ms = PATIENCE, .wake = count_wake, .user = world};

    return lease_take(world->table, "b", &terms, world->now);
}

static enum lease_state state_of(const struct world *world, const struct lease *lease)
{
    return lease_state(world->table, lease, world->now);
}

static void give(struct world *world, struct lease *lease, const char *note)
{
    lease_give(world->table, lease, note, 5000, world->now);
}

/* Whether the next commands hold each of the words; none at all where `words` is NULL. */
static void expect_commands(struct world *world, const char *word)
{
    buffer_clear(&world->out);
    assert_true(lease_table_write(world->table, world->now, &world->out));
    if (word == NULL) {
        assert_int_equal(world->out.len, 0);
        return;
    }
    assert_true(buffer_append(&world->out, "", 1));
    if (strstr(buffer_content(&world->out), word) == NULL)
        fail_msg("no %s in: %s", word, buffer_content(&world->out));
}

#define TAKE "'NX'"
#define RENEW "return redis.call('pexpire'"
#define GIVE "redis.call('del'"

static bool reply(struct world *world, enum lock_reply_kind kind, int64_t number, const char *text)
{
    struct lock_reply reply = {.kind = kind, .number = number};

    snprintf(reply.text, sizeof reply.text, "%s", text);
    return lease_table_read(world->table, &reply, world->now);
}

static bool reply_text(struct world *world, const char *text)
{
    return reply(world, LOCK_REPLY_TEXT, 0, text);
}

static bool reply_number(struct world *world, int64_t number)
{
    return reply(world, LOCK_REPLY_NUMBER, number, "");
}

static bool reply_nothing(struct world *world)
{
    return reply(world, LOCK_REPLY_NOTHING, 0, "");
}

static struct lease *taken(struct world *world)
{
    struct lease *lease = take(world, false);

    expect_commands(world, TAKE);
    assert_true(reply_text(world, ""));
    assert_int_equal(state_of(world, lease), LEASE_MINE);
    return lease;
}

static void a_lease_is_taken_renewed_and_given(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, false);

    assert_int_equal(state_of(world, lease), LEASE_WAITING);
    expect_commands(world, TAKE);
    expect_commands(world, NULL);
    assert_true(reply_text(world, "jp1 17"));
    assert_int_equal(world->woken, 1);
    assert_string_equal(world->note, "b:jp1 17");

    for (unsigned i = 0; i < 20; i++) {
        pass(world, LEASE_RENEWAL_MILLISECONDS - 1);
        expect_commands(world, NULL);
        pass(world, 1);
        expect_commands(world, RENEW);
        assert_true(reply_number(world, 1));
        assert_int_equal(state_of(world, lease), LEASE_MINE);
    }
    give(world, lease, "jp2 18");
    expect_commands(world, GIVE);
    expect_commands(world, NULL);
    assert_true(reply_number(world, 1));
    assert_true(lease_table_is_empty(world->table));
    assert_int_equal(world->woken, 1);
    assert_int_equal(world->waits, 0);
}

static void what_another_has_is_asked_for_until_it_is_free(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, false);

    for (unsigned i = 0; i < 20; i++) {
        expect_commands(world, TAKE);
        assert_true(reply_nothing(world));
        assert_int_equal(state_of(world, lease), LEASE_WAITING);
        int64_t delay = monotonic_milliseconds_until(world->now, lease_table_due(world->table));
        assert_in_range(delay, 2, 128);
        expect_commands(world, NULL);
        pass(world, delay);
    }
    assert_int_equal(world->woken, 0);
    assert_int_equal(world->waits, 1);
    expect_commands(world, TAKE);
    assert_true(reply_text(world, ""));
    assert_int_equal(state_of(world, lease), LEASE_MINE);
    assert_int_equal(world->woken, 1);
}

static void nobody_waits_for_ever(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, false);

    expect_commands(world, TAKE);
    assert_true(reply_nothing(world));
    pass(world, PATIENCE);
    expect_commands(world, NULL);
    assert_int_equal(world->woken, 1);
    assert_int_equal(state_of(world, lease), LEASE_LATE);
    give(world, lease, "");
    assert_true(lease_table_is_empty(world->table));
}

static void who_asks_once_is_told_that_another_has_it(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, true);

    expect_commands(world, TAKE);
    assert_true(reply_nothing(world));
    assert_int_equal(world->woken, 1);
    assert_int_equal(state_of(world, lease), LEASE_OTHERS);
    pass(world, PATIENCE);
    expect_commands(world, NULL);
    give(world, lease, "");
    assert_true(lease_table_is_empty(world->table));
}

static void a_lease_that_runs_out_allows_no_write(void **state)
{
    struct world *world = *state;
    struct lease *lease = taken(world);

    pass(world, LEASE_LIFE_MILLISECONDS - LEASE_MARGIN_MILLISECONDS - 1);
    assert_int_equal(state_of(world, lease), LEASE_MINE);
    pass(world, 1);
    assert_int_equal(state_of(world, lease), LEASE_OTHERS);
}

/* The lock server counts from when it got the command, so the owner counts from before. */
static void a_slow_answer_makes_no_longer_lease(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, false);

    expect_commands(world, TAKE);
    pass(world, LEASE_LIFE_MILLISECONDS - LEASE_MARGIN_MILLISECONDS);
    assert_true(reply_text(world, ""));
    assert_int_equal(state_of(world, lease), LEASE_OTHERS);
}

static void a_lease_that_the_server_has_forgotten_is_another_s(void **state)
{
    struct world *world = *state;
    struct lease *lease = taken(world);

    pass(world, LEASE_RENEWAL_MILLISECONDS);
    expect_commands(world, RENEW);
    assert_true(reply_number(world, 0));
    assert_int_equal(state_of(world, lease), LEASE_OTHERS);
    expect_commands(world, NULL);
    assert_int_equal(world->woken, 1);
}

static void who_leaves_while_it_is_taken_gives_it_back(void **state)
{
    struct world *world = *state;
    struct lease *lease = take(world, false);

    expect_commands(world, TAKE);
    give(world, lease, "");
    expect_commands(world, NULL);
    assert_true(reply_text(world, ""));
    expect_commands(world, GIVE);
    assert_true(reply_number(world, 1));
    assert_true(lease_table_is_empty(world->table));
    assert_int_equal(world->woken, 0);

    give(world, take(world, false), "");
    assert_true(lease_table_is_empty(world->table));
}

static void a_broken_connection_is_waited_for(void **state)
{
    struct world *world = *state;
    struct lease *first = taken(world);
    struct lease *second = take(world, false);

    expect_commands(world, TAKE);
    lease_table_lost(world->table, world->now, monotonic_after(world->now, 500));
    struct lease *third = take(world, false);
    expect_commands(world, NULL);
    assert_int_equal(state_of(world, second), LEASE_WAITING);
    pass(world, 400);
    lease_table_connected(world->table);
    expect_commands(world, TAKE);
    /* Latest first: the third, the second, and whether the first is still there. */
    assert_true(reply_nothing(world));
    assert_true(reply_text(world, ""));
    assert_true(reply_number(world, 0));
    assert_int_equal(state_of(world, third), LEASE_WAITING);
    assert_int_equal(state_of(world, second), LEASE_MINE);
    assert_int_equal(state_of(world, first), LEASE_OTHERS);
}

static void without_the_lock_server_everyone_goes_on_alone(void **state)
{
    struct world *world = *state;
    struct lease *first = taken(world);
    struct lease *second = take(world, false);

    expect_commands(world, TAKE);
    lease_table_lost(world->table, world->now, monotonic_after(world->now, 500));
    assert_int_equal(monotonic_milliseconds_until(world->now, lease_table_due(world->table)), 500);
    pass(world, 500);
    expect_commands(world, NULL);
    assert_int_equal(world->woken, 2);
    assert_int_equal(state_of(world, second), LEASE_ALONE);
    assert_null(take(world, false));
    assert_int_equal(state_of(world, first), LEASE_MINE);
    pass(world, LEASE_LIFE_MILLISECONDS);
    assert_int_equal(state_of(world, first), LEASE_ALONE);
}

static void what_may_have_been_taken_is_given_once_the_server_is_back(void **state)
{
    struct world *world = *state;
    struct lease *first = taken(world);
    struct lease *second = take(world, false);

    expect_commands(world, TAKE);
    lease_table_lost(world->table, world->now, world->now);
    expect_commands(world, NULL);
    give(world, first, "");
    give(world, second, "");
    assert_false(lease_table_is_empty(world->table));
    lease_table_connected(world->table);
    expect_commands(world, GIVE);
    assert_true(reply_number(world, 1));
    assert_true(reply_number(world, 0));
    assert_true(lease_table_is_empty(world->table));
}

static void answers_that_do_not_fit_are_refused(void **state)
{
    struct world *world = *state;

    assert_false(reply_number(world, 1));
    take(world, false);
    expect_commands(world, TAKE);
    assert_false(reply_number(world, 1));
    lease_table_lost(world->table, world->now, monotonic_after(world->now, 500));
    lease_table_connected(world->table);
    expect_commands(world, TAKE);
    assert_false(reply(world, LOCK_REPLY_ERROR, 0, "OOM"));
    lease_table_lost(world->table, world->now, world->now);
    expect_commands(world, NULL);
    assert_int_equal(world->woken, 1);
}

#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WORLD_TEST(a_lease_is_taken_renewed_and_given),
        WORLD_TEST(what_another_has_is_asked_for_until_it_is_free),
        WORLD_TEST(nobody_waits_for_ever),
        WORLD_TEST(who_asks_once_is_told_that_another_has_it),
        WORLD_TEST(a_lease_that_runs_out_allows_no_write),
        WORLD_TEST(a_slow_answer_makes_no_longer_lease),
        WORLD_TEST(a_lease_that_the_server_has_forgotten_is_another_s),
        WORLD_TEST(who_leaves_while_it_is_taken_gives_it_back),
        WORLD_TEST(a_broken_connection_is_waited_for),
        WORLD_TEST(without_the_lock_server_everyone_goes_on_alone),
        WORLD_TEST(what_may_have_been_taken_is_given_once_the_server_is_back),
        WORLD_TEST(answers_that_do_not_fit_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
