#ifndef RENEWGATE_TESTS_UNIT_FAILING_MEMORY_H
#define RENEWGATE_TESTS_UNIT_FAILING_MEMORY_H

/*
 * Memory that runs out: linked with -Wl,--wrap for malloc, calloc, realloc and str(n)dup, a test
 * says when. jansson allocates through jmap/wire/json_text.c, so its memory counts too.
 */

#include <execinfo.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stdlib.h>

#include "tests/unit/fixed_time.h"
#include "tests/unit/wrapped_memory.h"

static int left = INT_MAX; /* allocations until the next failure */
static bool for_good;      /* every later one fails too */
static bool paused;        /* what is the test's own never fails */

/*
 * The allocations of one run without failures, each by the way that led to it. An allocation in a
 * loop tells little that its first and its last time do not, and what was tried in some scenarios
 * tells little in all others.
 */
#define PLACES_MOST 100000
#define SCENARIOS_ENOUGH 3
#define PLACE_DEPTH 12

static struct place {
    uint64_t way; /* a hash of who called whom */
    bool skipped; /* it is neither the first nor the last of its way, or that is tried enough */
} places[PLACES_MOST];
static int place_count;
static bool wants_places, notes_places;

static inline void note_place(void)
{
    void *callers[PLACE_DEPTH];
    int depth = backtrace(callers, PLACE_DEPTH);
    uint64_t way = 14695981039346656037u; /* FNV-1a */

    for (int i = 0; i < depth; i++)
        way = (way ^ (uint64_t)(uintptr_t)callers[i]) * 1099511628211u;
    if (place_count < PLACES_MOST)
        places[place_count++] = (struct place){.way = way};
}

/* The run between these two is one without failures. */
static inline void places_begin(void)
{
    place_count = 0;
    wants_places = true;
}

/* From here to memory_is_back(); INT_MAX: none fails. */
static inline void memory_fails(int allocation, bool persistent)
{
    notes_places = wants_places;
    for_good = persistent;
    left = allocation;
}

/* Whether an allocation has failed. */
static inline bool memory_is_back(void)
{
    bool failed = !notes_places && (for_good ? left == 0 : left == INT_MAX);

    notes_places = false;
    left = INT_MAX;
    return failed;
}

static inline int place_order(const void *a, const void *b)
{
    const struct place *x = *(struct place *const *)a, *y = *(struct place *const *)b;

    if (x->way != y->way)
        return x->way < y->way ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* In how many scenarios the way has been tried. */
static inline unsigned *tries_of(uint64_t way)
{
    static struct tried {
        uint64_t way;
        unsigned count;
    } tried[2 * PLACES_MOST];
    size_t at = way % (2 * PLACES_MOST);

    while (tried[at].count > 0 && tried[at].way != way)
        at = (at + 1) % (2 * PLACES_MOST);
    tried[at].way = way;
    return &tried[at].count;
}

static inline void places_end(void)
{
    static struct place *sorted[PLACES_MOST];

    wants_places = false;
    for (int i = 0; i < place_count; i++)
        sorted[i] = &places[i];
    qsort(sorted, (size_t)place_count, sizeof *sorted, place_order);
    for (int i = 0; i < place_count; i++) {
        bool first = i == 0 || sorted[i - 1]->way != sorted[i]->way;
        bool last = i + 1 == place_count || sorted[i + 1]->way != sorted[i]->way;
        unsigned *tries = tries_of(sorted[i]->way);
        sorted[i]->skipped = (!first && !last) || *tries >= SCENARIOS_ENOUGH;
        *tries += last;
    }
}

/* Whether it is worth a run of its own that this allocation fails. */
static inline bool place_counts(int allocation)
{
    return allocation < place_count && !places[allocation].skipped;
}

/*
 * One run without failures, and then, for each allocation that counts, one in which it fails alone
 * and one (with `for_good_too`) in which all later ones do. A run says whether one has failed.
 */
static inline void fail_each_place(bool (*run)(const void *scenario, int allocation,
                                               bool persistent),
                                   const void *scenario, bool for_good_too)
{
    places_begin();
    assert_false(run(scenario, INT_MAX, false));
    places_end();
    for (int n = 0; n < place_count; n++) {
        if (!place_counts(n))
            continue;
        assert_true(run(scenario, n, false));
        if (for_good_too)
            assert_true(run(scenario, n, true));
    }
}

static bool may_allocate(void)
{
    if (notes_places && !paused)
        note_place();
    if (paused || left == INT_MAX)
        return true;
    if (left-- > 0)
        return true;
    left = for_good ? 0 : INT_MAX;
    return false;
}

#endif
