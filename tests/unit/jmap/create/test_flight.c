/* Flights between threads: one leader at a time, and every waiter is woken exactly once. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flight_has_one_leader_and_leaves_nobody_waiting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
