#ifndef RENEWGATE_TESTS_UNIT_WRAPPED_MEMORY_H
#define RENEWGATE_TESTS_UNIT_WRAPPED_MEMORY_H

/*
 * Allocations that may_allocate() can refuse, which whoever includes this defines. Linked with
 * -Wl,--wrap for malloc, calloc, realloc and str(n)dup.
 */

#include <stdbool.h>
#include <stddef.h>

static bool may_allocate(void);

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

#endif
