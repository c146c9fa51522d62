#include "jmap/wire/array.h"

#include <stdbool.h>
#include <stdlib.h>

void *array_grow(void *array, size_t count, size_t size)
{
    bool full = (count & (count - 1)) == 0;

    return full ? realloc(array, (count ? 2 * count : 1) * size) : array;
}
