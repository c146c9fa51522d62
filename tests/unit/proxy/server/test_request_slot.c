/* Slots of one caller: first come first served, however many wait. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <unistd.h>

#include "proxy/server/request_slot.h"

enum { COUNT = 32 };

static struct request_slots *slots;
static char *pages;
static size_t page_size;
static struct request_slot *gone[COUNT];
static size_t gone_count;

static void note_gone(void *user)
{
    gone[gone_count++] = user;
}

/* Each on a page of its own, which nobody else touches. */
static struct request_slot *slot_at(size_t i)
{
    return (void *)(pages + i * page_size);
}

static int set_up(void **state)
{
    (void)state;
    page_size = (size_t)sysconf(_SC_PAGESIZE);
    pages =
        mmap(NULL, COUNT * page_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(pages, MAP_FAILED);
    slots = request_slots_create();
    gone_count = 0;
    for (size_t i = 0; i < COUNT; i++)
        *slot_at(i) = (struct request_slot){.go = note_gone, .user = slot_at(i)};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        request_slot_end(slots, slot_at(i));
    request_slots_destroy(slots);
    munmap(pages, COUNT * page_size);
    return 0;
}

/* The first is refused by the server; it and all others wait. */
static void let_all_wait(void)
{
    assert_true(request_slot_take(slots, slot_at(0), "Basic a"));
    assert_true(request_slot_wait(slots, slot_at(0), 60000));
    for (size_t i = 1; i < COUNT; i++)
        assert_false(request_slot_take(slots, slot_at(i), "Basic a"));
}

static void who_waits_goes_in_the_order_of_coming(void **state)
{
    (void)state;
    let_all_wait();
    request_slots_tick(slots);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(gone_count, i + 1);
        assert_ptr_equal(gone[i], slot_at(i));
        request_slot_end(slots, slot_at(i));
    }
    assert_int_equal(gone_count, COUNT);
}

/* One that is refused again goes before all others, and another caller's waits for none of them. */
static void who_is_refused_again_is_the_first(void **state)
{
    (void)state;
    let_all_wait();
    request_slots_tick(slots);
    assert_true(request_slot_wait(slots, slot_at(0), 60000));
    request_slots_tick(slots);
    assert_int_equal(gone_count, 2);
    assert_ptr_equal(gone[1], slot_at(0));
    request_slot_end(slots, slot_at(COUNT - 1));
    assert_true(request_slot_take(slots, slot_at(COUNT - 1), "Basic b"));
}

static void who_leaves_touches_its_neighbours_only(void **state)
{
    (void)state;
    let_all_wait();
    for (size_t i = COUNT - 2; i > 0; i--) {
        mprotect(pages, COUNT * page_size, PROT_NONE);
        mprotect(slot_at(i - 1), 2 * page_size, PROT_READ | PROT_WRITE);
        mprotect(slot_at(COUNT - 1), page_size, PROT_READ | PROT_WRITE);
        request_slot_end(slots, slot_at(i));
        mprotect(pages, COUNT * page_size, PROT_READ | PROT_WRITE);
    }
    request_slots_tick(slots);
    assert_ptr_equal(gone[0], slot_at(0));
    request_slot_end(slots, slot_at(0));
    assert_ptr_equal(gone[1], slot_at(COUNT - 1));
}

#define SLOT_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SLOT_TEST(who_waits_goes_in_the_order_of_coming),
        SLOT_TEST(who_is_refused_again_is_the_first),
        SLOT_TEST(who_leaves_touches_its_neighbours_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
