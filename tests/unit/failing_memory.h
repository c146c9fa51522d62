#ifndef RENEWGATE_TESTS_UNIT_FAILING_MEMORY_H
#define RENEWGATE_TESTS_UNIT_FAILING_MEMORY_H

/*
 * Memory that runs out: linked with -Wl,--wrap for malloc, calloc, realloc and str(n)dup, a test
 * says when. jansson allocates through jmap/wire/json_text.c, so its memory counts too.
 */

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#include "policy/wall_time.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t len);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t len);

static int left = INT_MAX; /* allocations until the next failure */
static bool for_good;      /* every later one fails too */
static bool paused;        /* what is the test's own never fails */

static bool may_allocate(void)
{
    if (paused || left == INT_MAX)
        return true;
    if (left-- > 0)
        return true;
    left = for_good ? 0 : INT_MAX;
    return false;
}

void *__wrap_malloc(size_t size)
{
    return may_allocate() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
    return may_allocate() ? __real_calloc(count, size) : NULL;
}

void *__wrap_realloc(void *block, size_t size)
{
    return may_allocate() ? __real_realloc(block, size) : NULL;
}

char *__wrap_strdup(const char *text)
{
    return may_allocate() ? __real_strdup(text) : NULL;
}

char *__wrap_strndup(const char *text, size_t len)
{
    return may_allocate() ? __real_strndup(text, len) : NULL;
}

static inline wall_time fixed_now(void *user)
{
    wall_time now;

    (void)user;
    assert_true(wall_time_parse("2026-11-23T12:00:00Z", &now));
    return now;
}

#endif
