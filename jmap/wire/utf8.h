#ifndef RENEWGATE_JMAP_WIRE_UTF8_H
#define RENEWGATE_JMAP_WIRE_UTF8_H

/*
 * Text that has to fit into a fixed place.
 */

#include <stddef.h>

/* Copies UTF-8 text; what does not fit into `size` bytes is cut off between two characters. */
void utf8_copy(char *out, size_t size, const char *text);

#endif
