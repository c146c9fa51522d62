#include "proxy/base/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One block holds what an ordinary exchange needs. */
#define BLOCK_SIZE ((size_t)8192)
/* Under a sanitizer none are kept, so that it sees every use of what has been given back. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SPARE_BLOCKS ((size_t)0)
#else
#define SPARE_BLOCKS ((size_t)64)
#endif

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    _Alignas(max_align_t) char bytes[];
};

static struct arena_block *take_spare(struct arena_spares *spares)
{
    struct arena_block *block = spares == NULL ? NULL : spares->blocks;
    if (block == NULL)
        return NULL;
    spares->blocks = block->next;
    spares->count--;
    block->used = 0;
    return block;
}

static struct arena_block *block_create(size_t size)
{
    struct arena_block *block = malloc(sizeof *block + size);
    if (block != NULL)
        *block = (struct arena_block){.size = size};
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = _Alignof(max_align_t);
    if (size > SIZE_MAX - sizeof(struct arena_block) - align)
        return NULL;
    size = (size + align - 1) / align * align;
    struct arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < size) {
        size_t usual = BLOCK_SIZE - sizeof *block;
        block = size > usual ? NULL : take_spare(arena->spares);
        if (block == NULL)
            block = block_create(size > usual ? size : usual);
        if (block == NULL)
            return NULL;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *bytes = block->bytes + block->used;
    block->used += size;
    return bytes;
}

char *arena_copy(struct arena *arena, const char *text, size_t len)
{
    char *copy = arena_alloc(arena, len + 1);
    if (copy == NULL)
        return NULL;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

/* Most texts fit into what is left of the block, and are then formatted once. */
char *arena_format(struct arena *arena, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    struct arena_block *block = arena->blocks;
    size_t room = block == NULL ? 0 : block->size - block->used;
    char *rest = block == NULL ? NULL : block->bytes + block->used;
    int len = vsnprintf(rest, room, format, arguments);
    va_end(arguments);
    char *text = len < 0 ? NULL : arena_alloc(arena, (size_t)len + 1);
    if (text != NULL && text != rest)
        vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    return text;
}

void arena_clear(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;
        arena->blocks = block->next;
        if (arena->spares == NULL || arena->spares->count + 1 > SPARE_BLOCKS ||
            block->size != BLOCK_SIZE - sizeof *block) {
            free(block);
            continue;
        }
        block->next = arena->spares->blocks;
        arena->spares->blocks = block;
        arena->spares->count++;
    }
}

void arena_spares_clear(struct arena_spares *spares)
{
    struct arena_block *block;
    while ((block = take_spare(spares)) != NULL)
        free(block);
}
