#ifndef RENEWGATE_JMAP_WIRE_JSON_TEXT_H
#define RENEWGATE_JMAP_WIRE_JSON_TEXT_H

/*
 * JSON when memory may run out. jansson passes over some of its own failed allocations, and then
 * reads strings with a piece missing and writes objects without a key; here that is nothing at all.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* NULL where the text is not JSON, or memory ran out: then *no_memory. `error` may be NULL. */
json_t *json_text_read(const char *text, size_t len, size_t flags, json_error_t *error,
                       bool *no_memory);

/* Equal values have equal ones, whatever the order of their members. */
uint64_t json_text_hash(const json_t *value);

/* A deep copy, whole; NULL when memory ran out. jansson leaves out what it has no memory for. */
json_t *json_text_copy(const json_t *value);

/*
 * A string's text; NULL for what is none, and for one with a NUL in it, which equals none of ours.
 */
const char *json_text_value(const json_t *value);

/* The text, whole, the caller's to free(); NULL when memory ran out. */
char *json_text_write(const json_t *value, size_t flags);

/* The same, for people and their terminals: printable ASCII, and what the flags indent with. */
char *json_text_write_ascii(const json_t *value, size_t flags);

#endif
