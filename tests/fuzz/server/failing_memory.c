/*
 * Linked into the gate with -Wl,--wrap: of the allocations that its own code asks for, one in
 * FAILING_MEMORY fails, from the first SIGUSR1 to the next. Those of libraries are left alone, but
 * for jansson's, which the gate makes for it.
 */

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/wrapped_memory.h"

static atomic_bool armed;
static atomic_uint_fast64_t calls;
static uint64_t one_in;

static void toggle(int number)
{
    (void)number;
    atomic_store(&armed, !atomic_load(&armed));
}

__attribute__((constructor)) static void prepare(void)
{
    const char *text = getenv("FAILING_MEMORY");
    one_in = text == NULL ? 0 : strtoull(text, NULL, 10);
    signal(SIGUSR1, toggle);
}

/* As good as random, and the same each time (splitmix64). */
static bool may_allocate(void)
{
    if (!atomic_load(&armed) || one_in == 0)
        return true;
    uint64_t mixed = (atomic_fetch_add(&calls, 1) + 1) * UINT64_C(0x9e3779b97f4a7c15);
    mixed = (mixed ^ (mixed >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    mixed = (mixed ^ (mixed >> 27)) * UINT64_C(0x94d049bb133111eb);
    if ((mixed ^ (mixed >> 31)) % one_in != 0)
        return true;
    errno = ENOMEM;
    return false;
}
