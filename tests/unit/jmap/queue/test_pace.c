/*
 * The pace of orders: no account is asked for more than its limit, and what has its time keeps it.
 */

#include "jmap/queue/pace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW INT64_C(1800000000)
#define HOUR INT64_C(3600)
#define DAY INT64_C(86400)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DOMAINS_MAX 2000

/* How many bytes of lists were moved. Linked with -Wl,--wrap=memmove. */
static size_t moved;

void *__real_memmove(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);

void *__wrap_memmove(void *to, const void *from, size_t len)
{
    moved += len;
    return __real_memmove(to, from, len);
}

static const struct issue_limit limit = {.burst = 300, .window_seconds = 3 * HOUR};

/* Domains that are due, each with one task or none. */
struct world {
    struct inventory_domain domains[DOMAINS_MAX];
    struct inventory_task tasks[DOMAINS_MAX];
    struct inventory inventory;
    wall_time issued[DOMAINS_MAX]; /* WALL_TIME_NEVER: no certificate */
    wall_time renewal_due[DOMAINS_MAX];
};

/* `due` is the task's; WALL_TIME_NEVER where there is none. */
static void add(struct world *world, const char *provider, wall_time due)
{
    size_t i = world->inventory.domain_count++;
    struct inventory_domain *domain = &world->domains[i];

    world->inventory.domains = world->domains;
    world->inventory.tasks = world->tasks;
    *domain = (struct inventory_domain){.automatic = true, .first = world->inventory.task_count};
    snprintf(domain->id, sizeof domain->id, "d%04zu", i);
    snprintf(domain->provider_id, sizeof domain->provider_id, "%s", provider);
    world->issued[i] = world->renewal_due[i] = WALL_TIME_NEVER;
    if (wall_time_equal(due, WALL_TIME_NEVER))
        return;
    struct inventory_task *task = &world->tasks[world->inventory.task_count++];
    *task = (struct inventory_task){.task = {.due = due}};
    snprintf(task->id, sizeof task->id, "t%04zu", i);
    task->task.id = task->id;
    domain->count = 1;
}

static void add_many(struct world *world, size_t count, const char *provider, wall_time due)
{
    for (size_t i = 0; i < count; i++)
        add(world, provider, due);
}

/* One pass: a time for each domain. */
static void place_all(struct world *world, wall_time now, wall_time *times)
{
    struct pace pace;

    assert_true(pace_open(&pace, &world->inventory, limit, now));
    for (size_t i = 0; i < world->inventory.domain_count; i++) {
        const struct inventory_domain *domain = &world->domains[i];
        struct lookup_domain found = {.id = domain->id,
                                      .renewable = true,
                                      .renewal_due = world->renewal_due[i],
                                      .issued = &world->issued[i],
                                      .issued_count =
                                          !wall_time_equal(world->issued[i], WALL_TIME_NEVER)};
        struct renewal_task task = world->tasks[domain->first].task;
        struct outlook outlook = {.tasks = &task,
                                  .task_count = domain->count,
                                  .held = {.until = WALL_TIME_NEVER},
                                  .stuck_after_seconds = 3 * HOUR};
        assert_true(pace_place(&pace, domain, &found, &outlook, &times[i]));
    }
    pace_close(&pace);
}

/* Two accounts; what was issued is of whoever comes to claim it, and until then of both. */
static void what_was_issued_counts_before_it_is_come_by(void **state)
{
    (void)state;
    static struct world world;
    static struct order_time lately[300];
    wall_time times[3], now = {NOW};

    memset(&world, 0, sizeof world);
    add(&world, "p", WALL_TIME_NEVER);
    add(&world, "q", WALL_TIME_NEVER);
    add(&world, "q", WALL_TIME_NEVER);
    for (size_t i = 0; i < COUNT(lately); i++)
        lately[i] = (struct order_time){.at = {NOW - HOUR}, .issued = true};
    world.inventory.issued = (struct order_list){.times = lately, .count = COUNT(lately)};
    world.issued[1] = (wall_time){NOW - HOUR};
    world.renewal_due[1] = (wall_time){NOW + DAY};
    place_all(&world, now, times);
    /* 100 of 300 have come back within the hour. */
    assert_int_equal(times[0].seconds, NOW);
    assert_int_equal(times[2].seconds, NOW);

    for (size_t i = 0; i < COUNT(lately); i++)
        lately[i].at = now;
    place_all(&world, now, times);
    assert_int_equal(times[0].seconds, NOW + 36);
    assert_int_equal(times[2].seconds, NOW + 36);
}

static int time_order(const void *a, const void *b)
{
    const wall_time *x = a, *y = b;

    return wall_time_before(*y, *x) - wall_time_before(*x, *y);
}

/*
 * Of the times none comes before the bucket, full at `now`, has a token, but for the slack; and
 * none much later than that, or than it was queued for.
 */
static void assert_spread(const wall_time *times, size_t count, wall_time now, wall_time queued)
{
    wall_time sorted[DOMAINS_MAX];
    int64_t slack = limit.window_seconds / 20;

    memcpy(sorted, times, count * sizeof *times);
    qsort(sorted, count, sizeof *sorted, time_order);
    for (size_t i = 0; i < count; i++) {
        int64_t wait = i < limit.burst
                           ? 0
                           : (int64_t)(i - limit.burst + 1) * limit.window_seconds / limit.burst;
        int64_t own = sorted[i].seconds - now.seconds;
        bool kept = wall_time_equal(sorted[i], queued);
        if (own < wait - slack / 2 || (own > wait + slack && !kept))
            fail_msg("order %zu of %zu in %lld s instead of %lld", i, count, (long long)own,
                     (long long)wait);
    }
}

/* The world as it is once the times are written. */
static void write_times(struct world *world, const wall_time *times)
{
    size_t count = world->inventory.domain_count;

    world->inventory = (struct inventory){0};
    for (size_t i = 0; i < count; i++)
        add(world, world->domains[i].provider_id, times[i]);
}

static size_t count_moved(const wall_time *before, const wall_time *after, size_t count,
                          wall_time now)
{
    size_t moved = 0;

    for (size_t i = 0; i < count; i++) {
        bool on_its_way = !wall_time_before(now, before[i]);
        moved += !on_its_way && !wall_time_equal(before[i], after[i]);
    }
    return moved;
}

static void what_is_due_is_spread_and_stays_so(void **state)
{
    (void)state;
    static const wall_time tasks[] = {{INT64_MIN}, {NOW + HOUR / 2}, {NOW + DAY}, {NOW - DAY}};
    static struct world world;
    static wall_time times[DOMAINS_MAX], again[DOMAINS_MAX];
    wall_time now = {NOW};

    for (size_t i = 0; i < COUNT(tasks); i++) {
        world = (struct world){0};
        add_many(&world, 900, "p", tasks[i]);
        place_all(&world, now, times);
        for (int passes = 0; passes < 2; passes++) {
            write_times(&world, times);
            place_all(&world, now, again);
            for (size_t d = 0; d < 900; d++)
                times[d] = wall_time_before(now, times[d]) ? again[d] : times[d];
        }
        assert_spread(times, 900, now, i == 1 ? tasks[i] : WALL_TIME_NEVER);
        write_times(&world, times);
        place_all(&world, now, again);
        assert_int_equal(count_moved(times, again, 900, now), 0);
    }
}

static void each_account_has_its_own_limit(void **state)
{
    (void)state;
    static struct world world;
    static wall_time times[DOMAINS_MAX];

    world = (struct world){0};
    add_many(&world, 400, "p", WALL_TIME_NEVER);
    add_many(&world, 400, "q", WALL_TIME_NEVER);
    place_all(&world, (wall_time){NOW}, times);
    assert_spread(times, 400, (wall_time){NOW}, WALL_TIME_NEVER);
    assert_spread(times + 400, 400, (wall_time){NOW}, WALL_TIME_NEVER);
}

/* A recovery of days: nowhere in it is there room for a second burst. */
static void a_long_queue_stays_as_slow_as_the_bucket(void **state)
{
    (void)state;
    static struct world world;
    static wall_time times[DOMAINS_MAX];

    world = (struct world){0};
    add_many(&world, DOMAINS_MAX, "p", WALL_TIME_NEVER);
    place_all(&world, (wall_time){NOW}, times);
    assert_spread(times, DOMAINS_MAX, (wall_time){NOW}, WALL_TIME_NEVER);
}

/* Begun anew in the middle of it, all that is known of the past are certificates. */
static void a_recovery_goes_on_as_slowly_after_a_restart(void **state)
{
    (void)state;
    static struct world world;
    static struct order_time lately[600];
    static wall_time times[301];

    world = (struct world){0};
    add_many(&world, COUNT(times), "p", WALL_TIME_NEVER);
    for (size_t i = 0; i < COUNT(lately); i++)
        lately[i] =
            (struct order_time){.at = {NOW - 36 * (int64_t)(COUNT(lately) - i)}, .issued = true};
    world.inventory.issued = (struct order_list){.times = lately, .count = COUNT(lately)};
    place_all(&world, (wall_time){NOW}, times);
    for (size_t i = 0; i < COUNT(times); i++)
        assert_true(times[i].seconds >= NOW + 36 * (int64_t)i - 36);
}

static void what_was_issued_of_late_counts(void **state)
{
    (void)state;
    static struct world world;
    static wall_time times[DOMAINS_MAX];

    world = (struct world){0};
    add_many(&world, 301, "p", WALL_TIME_NEVER);
    for (size_t i = 0; i < 300; i++) {
        world.issued[i] = (wall_time){NOW - 1};
        world.renewal_due[i] = (wall_time){NOW + 60 * DAY};
    }
    place_all(&world, (wall_time){NOW}, times);
    assert_int_equal(times[0].seconds, INT64_MIN);
    assert_int_equal(times[300].seconds, NOW + 35);
}

static void next_renewals_of_others_are_not_robbed(void **state)
{
    (void)state;
    static struct world world;
    static wall_time times[DOMAINS_MAX];

    world = (struct world){0};
    add_many(&world, 300, "p", (wall_time){NOW + 20});
    for (size_t i = 0; i < 300; i++)
        world.renewal_due[i] = (wall_time){NOW + 20};
    add(&world, "p", WALL_TIME_NEVER);
    place_all(&world, (wall_time){NOW}, times);
    assert_true(times[300].seconds > NOW + 20);
}

/* Each comes before all that were come by. */
static void those_that_are_not_due_move_no_others(void **state)
{
    (void)state;
    static struct world world;
    static wall_time times[DOMAINS_MAX];

    world = (struct world){0};
    for (size_t i = 0; i < DOMAINS_MAX; i++) {
        wall_time due = {NOW + (int64_t)(DOMAINS_MAX - i) * HOUR};
        add(&world, "p", due);
        world.renewal_due[i] = due;
    }
    moved = 0;
    place_all(&world, (wall_time){NOW}, times);
    assert_int_equal(moved, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_issued_counts_before_it_is_come_by),
        cmocka_unit_test(what_is_due_is_spread_and_stays_so),
        cmocka_unit_test(each_account_has_its_own_limit),
        cmocka_unit_test(a_long_queue_stays_as_slow_as_the_bucket),
        cmocka_unit_test(a_recovery_goes_on_as_slowly_after_a_restart),
        cmocka_unit_test(what_was_issued_of_late_counts),
        cmocka_unit_test(next_renewals_of_others_are_not_robbed),
        cmocka_unit_test(those_that_are_not_due_move_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
