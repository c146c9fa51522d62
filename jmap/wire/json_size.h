#ifndef RENEWGATE_JMAP_WIRE_JSON_SIZE_H
#define RENEWGATE_JMAP_WIRE_JSON_SIZE_H

/*
 * How much memory a JSON text takes once it is parsed, told before it is: "{}," are three bytes and
 * a quarter of a kilobyte of jansson's.
 */

#include <stddef.h>

/*
 * An upper bound, in bytes, of what a parser of jansson 2.13 to 2.14 holds at its end, on a 64-bit
 * system, with glibc's share for each block. One pass over the text, which may be no JSON.
 */
size_t json_size_bound(const char *text, size_t len);

#endif
