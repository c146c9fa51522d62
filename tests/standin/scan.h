/*
 * What a JSON parser hides and the server minds: how names were spelt.
 */
#ifndef STANDIN_SCAN_H
#define STANDIN_SCAN_H

#include <stdbool.h>
#include <stddef.h>

/* Would the server read this request? text is well-formed JSON. The keys of the request and of each
 * call's arguments and the values of createdIds must be written without escapes, nothing may be
 * nested deeper than 127; plain_methods: method names too. */
bool scan_readable(const char *text, size_t len, bool plain_methods);

#endif
