#ifndef RENEWGATE_PROXY_BASE_ARENA_H
#define RENEWGATE_PROXY_BASE_ARENA_H

/*
 * Memory that is given back all at once: everything of one exchange lives in one arena and dies
 * with it.
 */

#include <stddef.h>

struct arena_block;

/* Blocks that one thread's arenas have given back, for the next ones. Zeroed at first. */
struct arena_spares {
    struct arena_block *blocks;
    size_t count;
};

struct arena {
    struct arena_block *blocks;
    struct arena_spares *spares; /* NULL: none are kept */
};

#define ARENA_EMPTY ((struct arena){0})

/* Aligned for any type, not zeroed. NULL when memory runs out. Lives until arena_clear(). */
void *arena_alloc(struct arena *arena, size_t size);

/* A copy with a NUL behind it. NULL when memory runs out. */
char *arena_copy(struct arena *arena, const char *text, size_t len);

/* printf() into the arena. NULL when memory runs out. */
char *arena_format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void arena_clear(struct arena *arena);

/* Once no arena is left that uses them. */
void arena_spares_clear(struct arena_spares *spares);

#endif
