#ifndef RENEWGATE_JMAP_WIRE_ARRAY_H
#define RENEWGATE_JMAP_WIRE_ARRAY_H

#include <stddef.h>

/*
 * Room for one more in an array that grows in no other way, from NULL on: it is doubled each time
 * that it is full. Its new place, or NULL, with the array as it was, when memory runs out.
 */
void *array_grow(void *array, size_t count, size_t size);

#endif
