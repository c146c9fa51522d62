/* Flights between threads: one leader at a time, and every waiter is woken exactly once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "jmap/create/flight.h"

enum {
    THREADS = 8,
    ROUNDS = 5000,
};

static struct flight_table *table;
static atomic_int leading;
static atomic_bool overlapped;

static void post(void *user)
{
    sem_post(user);
}

static void *fly(void *unused)
{
    static const struct flight_result result = {.settled = true, .id = "jp1"};
    sem_t woken;

    sem_init(&woken, 0, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct flight_place place = {.wake = post, .user = &woken};
        if (flight_join(table, "b", &place) == FLIGHT_LEADING) {
            if (atomic_fetch_add(&leading, 1) != 0)
                atomic_store(&overlapped, true);
            atomic_fetch_sub(&leading, 1);
        } else if (round % 3 != 0) {
            sem_wait(&woken);
        }
        flight_leave(table, &place, &result);
        while (sem_trywait(&woken) == 0)
            ;
    }
    sem_destroy(&woken);
    return unused;
}

static void a_flight_has_one_leader_and_leaves_nobody_waiting(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    table = flight_table_create();
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, fly, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&overlapped));
    flight_table_destroy(table);
}

/* Places in one flight, in the order in which they came, on one thread. */

enum {
    PLACES = 4,
    PATIENCE = 1000,
};

static const struct flight_result nothing = {.settled = false};
static struct flight_place places[PLACES];
static unsigned woken[PLACES];
static bool served[PLACES];

static void count(void *user)
{
    woken[(struct flight_place *)user - places]++;
}

static bool is_served(void *user, const struct flight_result *result)
{
    return result->settled && served[(struct flight_place *)user - places];
}

static int set_up(void **state)
{
    (void)state;
    table = flight_table_create();
    for (size_t i = 0; i < PLACES; i++) {
        places[i] = (struct flight_place){.wake = count, .serves = is_served, .user = &places[i]};
        woken[i] = 0;
        served[i] = false;
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < PLACES; i++)
        flight_leave(table, &places[i], &nothing);
    flight_table_destroy(table);
    return 0;
}

static enum flight_join join(size_t i)
{
    return flight_join(table, "b", &places[i]);
}

static enum flight_standing standing(size_t i)
{
    return flight_standing(table, &places[i]);
}

static void join_all(void)
{
    assert_int_equal(join(0), FLIGHT_LEADING);
    for (size_t i = 1; i < PLACES; i++)
        assert_int_equal(join(i), FLIGHT_WAITING);
}

static void who_came_first_leads_next_and_nobody_else_is_woken(void **state)
{
    (void)state;
    join_all();
    for (size_t i = 0; i + 1 < PLACES; i++) {
        flight_leave(table, &places[i], &nothing);
        assert_int_equal(standing(i + 1), FLIGHT_LEADS);
        for (size_t k = 1; k < PLACES; k++)
            assert_int_equal(woken[k], k <= i + 1);
    }
}

static void a_result_goes_to_all_of_those_whom_it_answers(void **state)
{
    (void)state;
    join_all();
    served[1] = served[3] = true;
    flight_leave(table, &places[0], &(struct flight_result){.settled = true, .id = "jp1"});
    assert_int_equal(standing(1), FLIGHT_SERVED);
    assert_int_equal(standing(2), FLIGHT_LEADS);
    assert_int_equal(standing(3), FLIGHT_SERVED);
    assert_string_equal(places[3].result.id, "jp1");
    assert_int_equal(join(1), FLIGHT_WAITING);
}

static void who_leaves_is_not_woken(void **state)
{
    (void)state;
    join_all();
    flight_leave(table, &places[1], &nothing);
    flight_leave(table, &places[3], &nothing);
    flight_leave(table, &places[0], &nothing);
    assert_int_equal(standing(2), FLIGHT_LEADS);
    assert_int_equal(woken[1] + woken[3], 0);
}

static void nobody_waits_for_ever_but_who_wants_to(void **state)
{
    (void)state;
    flight_table_tick(table, 50000, PATIENCE);
    places[2].patient = true;
    join_all();
    flight_table_tick(table, 50000 + PATIENCE - 1, PATIENCE);
    assert_int_equal(standing(1), FLIGHT_WAITS);
    flight_table_tick(table, 50000 + PATIENCE, PATIENCE);
    assert_int_equal(standing(1), FLIGHT_OVERTIME);
    assert_int_equal(standing(2), FLIGHT_WAITS);
    assert_int_equal(standing(3), FLIGHT_OVERTIME);
    assert_int_equal(woken[1] + woken[2] + woken[3], 2);
}

/* Before the first tick and after it: `now` is 0 or a time. */
static void check_aftermath(int64_t now)
{
    assert_int_equal(join(0), FLIGHT_LEADING);
    flight_leave(table, &places[0], &(struct flight_result){.unknown = true});
    places[1].patient = true;
    assert_int_equal(join(1), FLIGHT_WAITING);
    flight_table_tick(table, now, PATIENCE);
    flight_table_tick(table, now + FLIGHT_AFTERMATH_MILLISECONDS - 1, PATIENCE);
    assert_int_equal(standing(1), FLIGHT_WAITS);
    flight_table_tick(table, now + FLIGHT_AFTERMATH_MILLISECONDS, PATIENCE);
    assert_int_equal(standing(1), FLIGHT_LEADS);
    flight_leave(table, &places[1], &nothing);
}

static void an_unknown_outcome_keeps_others_waiting_for_a_while(void **state)
{
    (void)state;
    check_aftermath(50000);
    flight_table_tick(table, 100000, PATIENCE);
    check_aftermath(100000);
    /* Where nobody waits, it ends all the same. */
    assert_int_equal(join(0), FLIGHT_LEADING);
    flight_leave(table, &places[0], &(struct flight_result){.unknown = true});
    flight_table_tick(table, 200000, PATIENCE);
    assert_int_equal(join(2), FLIGHT_LEADING);
}

static void never(void *user)
{
    (void)user;
}

/* Of thousands who wait it matters that nobody walks along the queue: what is not to be touched
 * cannot be. */
static void who_leaves_touches_its_neighbours_only(void **state)
{
    const size_t count = 32, size = (size_t)sysconf(_SC_PAGESIZE);
    char *pages =
        mmap(NULL, count * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    (void)state;
    assert_ptr_not_equal(pages, MAP_FAILED);
    assert_int_equal(join(0), FLIGHT_LEADING);
    for (size_t i = 0; i < count; i++) {
        struct flight_place *place = (void *)(pages + i * size);
        *place = (struct flight_place){.wake = never};
        assert_int_equal(flight_join(table, "b", place), FLIGHT_WAITING);
    }
    for (size_t i = count - 2; i > 0; i--) {
        struct flight_place *place = (void *)(pages + i * size);
        mprotect(pages, count * size, PROT_NONE);
        mprotect(pages + (i - 1) * size, 2 * size, PROT_READ | PROT_WRITE);
        mprotect(pages + (count - 1) * size, size, PROT_READ | PROT_WRITE);
        flight_leave(table, place, &nothing);
        mprotect(pages, count * size, PROT_READ | PROT_WRITE);
        assert_int_equal(flight_standing(table, place), FLIGHT_OUT);
    }
    flight_leave(table, &places[0], &nothing);
    struct flight_place *first = (void *)pages, *last = (void *)(pages + (count - 1) * size);
    assert_int_equal(flight_standing(table, first), FLIGHT_LEADS);
    flight_leave(table, first, &nothing);
    assert_int_equal(flight_standing(table, last), FLIGHT_LEADS);
    flight_leave(table, last, &nothing);
    munmap(pages, count * size);
}

#define PLACES_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flight_has_one_leader_and_leaves_nobody_waiting),
        PLACES_TEST(who_came_first_leads_next_and_nobody_else_is_woken),
        PLACES_TEST(a_result_goes_to_all_of_those_whom_it_answers),
        PLACES_TEST(who_leaves_is_not_woken),
        PLACES_TEST(nobody_waits_for_ever_but_who_wants_to),
        PLACES_TEST(an_unknown_outcome_keeps_others_waiting_for_a_while),
        PLACES_TEST(who_leaves_touches_its_neighbours_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
