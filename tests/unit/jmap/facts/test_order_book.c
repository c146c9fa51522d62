#include "jmap/facts/order_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "jmap/facts/memory.h"
#include "tests/unit/renewal_tasks.h"

static const struct issue_limit two = {2, 2 * HOUR};

/* How often all orders were replayed from the beginning, and how many bytes of lists were moved.
 * Linked with -Wl,--wrap=account_replay_begin,--wrap=memmove. */
static size_t replays, moved;

void *__real_memmove(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);

void *__wrap_memmove(void *to, const void *from, size_t len)
{
    moved += len;
    return __real_memmove(to, from, len);
}

struct account_replay __real_account_replay_begin(struct issue_limit limit, wall_time from,
                                                  wall_time now, size_t first);
struct account_replay __wrap_account_replay_begin(struct issue_limit limit, wall_time from,
                                                  wall_time now, size_t first);
struct account_replay __wrap_account_replay_begin(struct issue_limit limit, wall_time from,
                                                  wall_time now, size_t first)
{
    replays++;
    return __real_account_replay_begin(limit, from, now, first);
}

static void each_provider_has_a_book(void **state)
{
    (void)state;
    struct order_book book = {0};
    const struct order_time now = {.at = AT(0)}, issued = {.at = AT(0), .issued = true};

    assert_true(order_book_add(&book, "p", now) && order_book_add(&book, "p", issued));
    assert_int_equal(order_book_next(&book, "p", two, now.at, now.at).seconds, NOW + HOUR);
    assert_int_equal(order_book_next(&book, "q", two, now.at, now.at).seconds, NOW);
    order_book_remove(&book, "p", issued);
    order_book_remove(&book, "p", issued); /* not there any more */
    order_book_remove(&book, "q", now);
    assert_int_equal(order_book_next(&book, "p", two, now.at, now.at).seconds, NOW);
    for (size_t i = 0; i < 2 * ORDER_BOOK_PROVIDERS; i++) {
        char id[OBJECT_ID_SIZE];
        snprintf(id, sizeof id, "p%zu", i);
        assert_int_equal(order_book_add(&book, id, now), i < ORDER_BOOK_PROVIDERS - 1);
    }
    order_book_clear(&book);
}

static int64_t take(struct task_memory *memory, const char *domain)
{
    const wall_time now = AT(0);

    int64_t taken = memory_take_time(memory, domain, "p", two, now, now).seconds - NOW;

    memory_keep_time(memory, domain);
    return taken;
}

/* What a look that begins now has shown. */
static void note(struct task_memory *memory, const char *domain, const char *provider,
                 wall_time ordered, wall_time queued, wall_time now)
{
    memory_note_orders(memory, domain, provider, ordered, queued, now, memory_moment(memory));
}

static void a_time_is_taken_once(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    const wall_time now = AT(0);

    assert_int_equal(take(memory, "a"), 0);
    assert_int_equal(take(memory, "b"), 0);
    assert_int_equal(take(memory, "c"), HOUR);
    assert_int_equal(take(memory, "d"), 2 * HOUR);
    for (size_t again = 0; again < 3; again++) {
        assert_int_equal(take(memory, "d"), 2 * HOUR);
        assert_int_equal(take(memory, "c"), HOUR);
        assert_int_equal(take(memory, "a"), 0);
    }

    /* Later, while those that are due have not run yet. */
    note(memory, "a", "p", WALL_TIME_NEVER, now, (wall_time)AT(30));
    note(memory, "b", "p", WALL_TIME_NEVER, now, (wall_time)AT(30));
    assert_int_equal(take(memory, "c"), HOUR);
    note(memory, "a", "p", WALL_TIME_NEVER, now, now);
    note(memory, "b", "p", WALL_TIME_NEVER, now, now);

    /* One that was given back, and one whose task is gone, are others' to take. */
    memory_take_time(memory, "c", "p", two, now, now);
    memory_give_time(memory, "c"); /* it was its own before */
    assert_int_equal(take(memory, "e"), 3 * HOUR);
    memory_forget(memory, "e");
    note(memory, "c", "p", WALL_TIME_NEVER, WALL_TIME_NEVER, now);
    memory_take_time(memory, "c", "p", two, now, now);
    memory_give_time(memory, "c");
    memory_give_time(memory, "c"); /* once */
    assert_int_equal(take(memory, "e"), HOUR);
    note(memory, "e", "p", WALL_TIME_NEVER, WALL_TIME_NEVER, now);
    assert_int_equal(take(memory, "f"), HOUR);

    /* A domain that has another provider now. */
    note(memory, "f", "q", WALL_TIME_NEVER, (wall_time)AT(HOUR), now);
    assert_int_equal(take(memory, "g"), HOUR);
    memory_forget(memory, "g");
    assert_int_equal(take(memory, "h"), HOUR);
    task_memory_destroy(memory);
}

static void what_was_seen_counts(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    const wall_time now = AT(0);

    note(memory, "a", "p", (wall_time)AT(-600), (wall_time)AT(60 * DAY), now);
    memory_note_queued(memory, "b", "p", (wall_time)AT(-60), now, memory_moment(memory));
    /* Whose it is is not known. */
    memory_note_queued(memory, "c", NULL, (wall_time)AT(-60), now, memory_moment(memory));
    assert_int_equal(take(memory, "d"), HOUR - 600);

    /* The task has run: what it became takes its place. */
    note(memory, "b", "p", now, WALL_TIME_NEVER, now);
    assert_int_equal(take(memory, "d"), HOUR - 600);
    task_memory_destroy(memory);
}

static int64_t take_nth(struct task_memory *memory, size_t n)
{
    char id[OBJECT_ID_SIZE];

    snprintf(id, sizeof id, "d%zu", n);
    return take(memory, id);
}

/* Of thousands of domains in one request each goes on where the last one's time was found: the
 * first time, and when they are asked for again in whichever order. */
static void many_domains_are_one_replay(void **state)
{
    const size_t count = 8000;
    struct task_memory *memory = task_memory_create();

    (void)state;
    replays = 0;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(take_nth(memory, i), i < 2 ? 0 : (int64_t)(i - 1) * HOUR);
    assert_in_range(replays, 1, 2);
    note(memory, "d0", "p", WALL_TIME_NEVER, (wall_time)AT(10), (wall_time)AT(0));
    replays = 0;
    for (size_t i = 1; i < count; i++)
        take_nth(memory, i * 7 % count);
    assert_in_range(replays, 1, 2);
    task_memory_destroy(memory);
}

/* Something that is too far back to count, and ends what has been replayed. */
static void disturb(struct task_memory *memory, size_t n)
{
    const wall_time now = AT(0), past = AT(-(int64_t)(n % 2 ? 6 : 7) * DAY);

    note(memory, "other", "p", past, WALL_TIME_NEVER, now);
}

/* Times that were not taken may be too many for the limit: each is looked at. */
static void what_waits_is_asked_as_if_for_the_first_time(void **state)
{
    (void)state;
    unsigned seed = 3;

    for (size_t round = 0; round < 100; round++) {
        struct task_memory *memory = task_memory_create(), *anew = task_memory_create();
        const wall_time now = AT(0);

        for (size_t i = 0; i < 12; i++) {
            const wall_time queued = AT((int64_t)(rand_r(&seed) % 5) * HOUR / 2);
            char id[OBJECT_ID_SIZE];
            snprintf(id, sizeof id, "d%zu", i);
            note(memory, id, "p", WALL_TIME_NEVER, queued, now);
            note(anew, id, "p", WALL_TIME_NEVER, queued, now);
        }
        for (size_t i = 0; i < 18; i++) {
            size_t n = i < 2 ? 20 + i : i * 5 % 18;
            disturb(anew, i);
            assert_int_equal(take_nth(memory, n), take_nth(anew, n));
        }
        task_memory_destroy(memory);
        task_memory_destroy(anew);
    }
}

/* Whoever looks sees them, and each time they count for another now. */
static void what_is_due_is_moved_along_past_nothing_that_waits(void **state)
{
    (void)state;
    enum { DUE = 100, WAITING = 20000 };
    struct task_memory *memory = task_memory_create();
    char id[OBJECT_ID_SIZE];

    for (size_t i = 0; i < WAITING; i++) {
        snprintf(id, sizeof id, "w%zu", i);
        memory_note_queued(memory, id, "p", (wall_time)AT(HOUR + (int64_t)i), (wall_time)AT(0), 0);
    }
    for (int64_t second = 0; second < 5; second++) {
        for (size_t i = 0; i < DUE; i++) {
            snprintf(id, sizeof id, "d%zu", i);
            memory_note_queued(memory, id, "p", (wall_time)AT(-60), (wall_time)AT(second), 0);
        }
        moved = second == 0 ? 0 : moved;
    }
    assert_in_range(moved, 1, 5 * DUE * DUE * sizeof(struct order_time));
    const wall_time now = AT(4);
    assert_int_equal(memory_take_time(memory, "x", "p", two, now, now).seconds,
                     NOW + 4 + (WAITING + DUE - 1) * HOUR);
    task_memory_destroy(memory);
}

static void what_waits_too_early_does_not_keep_its_time(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();

    assert_int_equal(take(memory, "a"), 0);
    assert_int_equal(take(memory, "b"), 0);
    assert_int_equal(take(memory, "c"), HOUR);
    note(memory, "d", "p", WALL_TIME_NEVER, (wall_time)AT(HOUR / 2), (wall_time)AT(0));
    assert_int_equal(take(memory, "d"), 2 * HOUR);
    task_memory_destroy(memory);
}

/* The same times as are found by looking at all orders each time. */
static void going_on_finds_what_beginning_anew_finds(void **state)
{
    static const struct issue_limit limits[] = {
        {1, HOUR}, {2, 2 * HOUR}, {7, HOUR}, {300, 3 * HOUR}};
    unsigned seed = 7;

    (void)state;
    for (size_t round = 0; round < 200; round++) {
        const struct issue_limit limit = limits[round % 4];
        struct order_book book = {0};
        for (size_t step = 0; step < 60; step++) {
            wall_time now = AT(0), at = AT((int64_t)(rand_r(&seed) % 40000) - 10000);
            wall_time from = AT(rand_r(&seed) % 8 ? 0 : (int64_t)(rand_r(&seed) % 20000));
            struct order_time other = {.at = at, .issued = wall_time_before(at, now)};
            const struct order_list *orders = &book.accounts[0].orders.list;
            wall_time anew = account_limit_next(limit, orders->times, orders->count, from, now);
            wall_time next = order_book_next(&book, "p", limit, from, now);
            assert_int_equal(next.seconds, anew.seconds);
            for (size_t i = 1; i < orders->count; i++)
                assert_false(wall_time_before(orders->times[i].at, orders->times[i - 1].at));
            size_t some = orders->count > 0 ? (size_t)rand_r(&seed) % orders->count : 0;
            if (orders->count > 0 && !orders->times[some].issued && !other.issued &&
                rand_r(&seed) % 2)
                order_book_move(&book, "p", orders->times[some], at);
            else if (rand_r(&seed) % 4)
                order_book_add(&book, "p", (struct order_time){.at = next});
            else if (rand_r(&seed) % 2)
                order_book_add(&book, "p", other);
            else if (orders->count > 0)
                order_book_remove(&book, "p", orders->times[rand_r(&seed) % orders->count]);
        }
        order_book_clear(&book);
    }
}

/* Who has read the server before a time was taken does not know of the task that is made for it. */
static void what_was_read_before_overwrites_nothing(void **state)
{
    (void)state;
    struct task_memory *memory = task_memory_create();
    const wall_time now = AT(0), none = WALL_TIME_NEVER;
    uint64_t before = memory_moment(memory);

    assert_int_equal(take(memory, "a"), 0);
    assert_int_equal(memory_take_time(memory, "b", "p", two, now, now).seconds, NOW);
    uint64_t meanwhile = memory_moment(memory);
    memory_note_orders(memory, "b", "p", none, none, now, meanwhile);
    memory_note_queued(memory, "b", "p", (wall_time)AT(DAY), now, meanwhile);
    assert_int_equal(take(memory, "c"), HOUR);
    memory_keep_time(memory, "b");
    memory_note_orders(memory, "b", "p", none, none, now, before);
    memory_note_orders(memory, "b", "p", none, none, now, meanwhile);
    memory_note_queued(memory, "b", "p", (wall_time)AT(DAY), now, meanwhile);
    assert_int_equal(take(memory, "d"), 2 * HOUR);

    /* Who reads it afterwards does. */
    note(memory, "b", "p", none, none, now);
    assert_int_equal(take(memory, "e"), 0);
    task_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_provider_has_a_book),
        cmocka_unit_test(a_time_is_taken_once),
        cmocka_unit_test(what_was_seen_counts),
        cmocka_unit_test(many_domains_are_one_replay),
        cmocka_unit_test(what_is_due_is_moved_along_past_nothing_that_waits),
        cmocka_unit_test(what_waits_too_early_does_not_keep_its_time),
        cmocka_unit_test(what_waits_is_asked_as_if_for_the_first_time),
        cmocka_unit_test(going_on_finds_what_beginning_anew_finds),
        cmocka_unit_test(what_was_read_before_overwrites_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
