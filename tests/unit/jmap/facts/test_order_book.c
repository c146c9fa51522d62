#include "jmap/facts/order_book.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "jmap/facts/memory.h"
#include "tests/unit/renewal_tasks.h"

static const struct issue_limit two = {2, 2 * HOUR};

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

    return memory_take_time(memory, domain, "p", two, now, now).seconds - NOW;
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
    memory_note_orders(memory, "a", "p", WALL_TIME_NEVER, now, (wall_time)AT(30));
    memory_note_orders(memory, "b", "p", WALL_TIME_NEVER, now, (wall_time)AT(30));
    assert_int_equal(take(memory, "c"), HOUR);
    memory_note_orders(memory, "a", "p", WALL_TIME_NEVER, now, now);
    memory_note_orders(memory, "b", "p", WALL_TIME_NEVER, now, now);

    /* One that was given back, and one whose task is gone, are others' to take. */
    memory_give_time(memory, "c", (wall_time)AT(HOUR));
    memory_give_time(memory, "d", (wall_time)AT(HOUR)); /* not its own */
    assert_int_equal(take(memory, "e"), HOUR);
    memory_note_orders(memory, "e", "p", WALL_TIME_NEVER, WALL_TIME_NEVER, now);
    assert_int_equal(take(memory, "f"), HOUR);

    /* A domain that has another provider now. */
    memory_note_orders(memory, "f", "q", WALL_TIME_NEVER, (wall_time)AT(HOUR), now);
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

    memory_note_orders(memory, "a", "p", (wall_time)AT(-600), (wall_time)AT(60 * DAY), now);
    memory_note_queued(memory, "b", "p", (wall_time)AT(-60), now);
    memory_note_queued(memory, "c", NULL, (wall_time)AT(-60), now); /* whose it is is not known */
    assert_int_equal(take(memory, "d"), HOUR - 600);

    /* The task has run: what it became takes its place. */
    memory_note_orders(memory, "b", "p", now, WALL_TIME_NEVER, now);
    assert_int_equal(take(memory, "d"), HOUR - 600);
    task_memory_destroy(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_provider_has_a_book),
        cmocka_unit_test(a_time_is_taken_once),
        cmocka_unit_test(what_was_seen_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
