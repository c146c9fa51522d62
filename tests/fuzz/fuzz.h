#ifndef RENEWGATE_TESTS_FUZZ_FUZZ_H
#define RENEWGATE_TESTS_FUZZ_FUZZ_H

/*
 * What every target shares. A target is one function that reads bytes of any kind and checks what
 * must hold whatever they are; libFuzzer makes the bytes, from the seeds that seeds.py writes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy that ends in NUL, the caller's to free(). */
static inline char *text_of(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    MUST(text != NULL);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    return text;
}

/* Cuts the text in place at its first line feed; what follows, or NULL. */
static inline char *cut_line(char *text)
{
    char *end = strchr(text, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    return end + 1;
}

#endif
