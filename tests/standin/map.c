#include "tests/standin/map.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const void *key, size_t len)
{
    const unsigned char *bytes = key;
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 29;
}

static struct map_entry **slot_of(const struct map *map, uint64_t hash, const void *key, size_t len)
{
    struct map_entry **slot = &map->buckets[hash & (map->capacity - 1)];
    while (*slot &&
           ((*slot)->hash != hash || (*slot)->len != len || memcmp((*slot)->key, key, len) != 0))
        slot = &(*slot)->next;
    return slot;
}

static void *must(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

void *map_get(const struct map *map, const void *key, size_t len)
{
    if (!map->count)
        return NULL;
    struct map_entry *entry = *slot_of(map, hash_of(key, len), key, len);
    return entry ? entry->value : NULL;
}

static void grow(struct map *map)
{
    size_t capacity = map->capacity ? map->capacity * 2 : 64;
    struct map_entry **buckets = must(calloc(capacity, sizeof *buckets));
    for (size_t i = 0; i < map->capacity; i++) {
        for (struct map_entry *entry = map->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            struct map_entry **slot = &buckets[entry->hash & (capacity - 1)];
            entry->next = *slot;
            *slot = entry;
        }
    }
    free(map->buckets);
    map->buckets = buckets;
    map->capacity = capacity;
}

void map_put(struct map *map, const void *key, size_t len, void *value)
{
    if (map->count >= map->capacity)
        grow(map);
    uint64_t hash = hash_of(key, len);
    struct map_entry **slot = slot_of(map, hash, key, len);
    if (!*slot) {
        struct map_entry *entry = must(malloc(sizeof *entry + len + 1));
        *entry = (struct map_entry){.hash = hash, .len = len};
        memcpy(entry->key, key, len);
        entry->key[len] = '\0';
        *slot = entry;
        map->count++;
    }
    (*slot)->value = value;
}

void *map_remove(struct map *map, const void *key, size_t len)
{
    if (!map->count)
        return NULL;
    struct map_entry **slot = slot_of(map, hash_of(key, len), key, len);
    struct map_entry *entry = *slot;
    if (!entry)
        return NULL;
    void *value = entry->value;
    *slot = entry->next;
    free(entry);
    map->count--;
    return value;
}

void map_clear(struct map *map, void (*free_value)(void *value))
{
    for (size_t i = 0; i < map->capacity; i++) {
        for (struct map_entry *entry = map->buckets[i], *next; entry; entry = next) {
            next = entry->next;
            if (free_value)
                free_value(entry->value);
            free(entry);
        }
    }
    free(map->buckets);
    *map = (struct map){0};
}

void map_each(const struct map *map, void (*visit)(const char *key, void *value, void *with),
              void *with)
{
    for (size_t i = 0; i < map->capacity; i++)
        for (struct map_entry *entry = map->buckets[i]; entry; entry = entry->next)
            visit(entry->key, entry->value, with);
}

static int below(const struct ordered_node *node, uint64_t due, uint64_t id)
{
    return node->due != due ? node->due < due : node->id < id;
}

/* The last node below the key on every level, NULL where that is the list's head. */
static void find_before(const struct ordered *list, uint64_t due, uint64_t id,
                        struct ordered_node *before[ORDERED_LEVELS])
{
    struct ordered_node *node = NULL;
    for (int level = ORDERED_LEVELS - 1; level >= 0; level--) {
        struct ordered_node *next = node ? node->next[level] : list->head[level];
        while (next && below(next, due, id)) {
            node = next;
            next = node->next[level];
        }
        before[level] = node;
    }
}

void ordered_insert(struct ordered *list, uint64_t due, uint64_t id, void *value)
{
    struct ordered_node *before[ORDERED_LEVELS];
    find_before(list, due, id, before);
    int levels = 1;
    while (levels < ORDERED_LEVELS && (random() & 3) == 0)
        levels++;
    struct ordered_node *node = must(malloc(sizeof *node + (size_t)levels * sizeof *node->next));
    node->due = due;
    node->id = id;
    node->value = value;
    node->levels = levels;
    node->prev = before[0];
    for (int level = 0; level < levels; level++) {
        struct ordered_node **link =
            before[level] ? &before[level]->next[level] : &list->head[level];
        node->next[level] = *link;
        *link = node;
    }
    if (node->next[0])
        node->next[0]->prev = node;
    else
        list->tail = node;
    list->count++;
}

void ordered_remove(struct ordered *list, uint64_t due, uint64_t id)
{
    struct ordered_node *before[ORDERED_LEVELS];
    find_before(list, due, id, before);
    struct ordered_node *node = before[0] ? before[0]->next[0] : list->head[0];
    if (!node || node->due != due || node->id != id)
        return;
    for (int level = 0; level < node->levels; level++) {
        struct ordered_node **link =
            before[level] ? &before[level]->next[level] : &list->head[level];
        *link = node->next[level];
    }
    if (node->next[0])
        node->next[0]->prev = node->prev;
    else
        list->tail = node->prev;
    list->count--;
    free(node);
}

struct ordered_node *ordered_from(const struct ordered *list, uint64_t due, uint64_t id)
{
    struct ordered_node *before[ORDERED_LEVELS];
    find_before(list, due, id, before);
    return before[0] ? before[0]->next[0] : list->head[0];
}

struct ordered_node *ordered_upto(const struct ordered *list, uint64_t due, uint64_t id)
{
    struct ordered_node *node = ordered_from(list, due, id);
    if (node && node->due == due && node->id == id)
        return node;
    return node ? node->prev : list->tail;
}

void ordered_clear(struct ordered *list)
{
    for (struct ordered_node *node = list->head[0], *next; node; node = next) {
        next = node->next[0];
        free(node);
    }
    *list = (struct ordered){0};
}
