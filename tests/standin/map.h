/*
 * The two containers that the stand-in needs to stay quick with 100,000 objects: a hash map from
 * bytes to a pointer, and a list kept in order of (due, id).
 */
#ifndef STANDIN_MAP_H
#define STANDIN_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry {
    struct map_entry *next;
    void *value;
    uint64_t hash;
    size_t len;
    char key[];
};

struct map {
    struct map_entry **buckets;
    size_t capacity, count;
};

void *map_get(const struct map *map, const void *key, size_t len);
/* Replaces what was there. Values belong to the caller. */
void map_put(struct map *map, const void *key, size_t len, void *value);
void *map_remove(struct map *map, const void *key, size_t len);
void map_clear(struct map *map, void (*free_value)(void *value));
/* Calls visit for every value, in no order. */
void map_each(const struct map *map, void (*visit)(const char *key, void *value, void *with),
              void *with);

#define ORDERED_LEVELS 20

struct ordered_node {
    uint64_t due, id;
    void *value;
    struct ordered_node *prev;
    int levels;
    struct ordered_node *next[];
};

struct ordered {
    struct ordered_node *head[ORDERED_LEVELS];
    struct ordered_node *tail;
    size_t count;
};

void ordered_insert(struct ordered *list, uint64_t due, uint64_t id, void *value);
void ordered_remove(struct ordered *list, uint64_t due, uint64_t id);
/* The first node not below the key; the last node not above it. */
struct ordered_node *ordered_from(const struct ordered *list, uint64_t due, uint64_t id);
struct ordered_node *ordered_upto(const struct ordered *list, uint64_t due, uint64_t id);
void ordered_clear(struct ordered *list);

#endif
