/*
 * What a JSON parser hides and the server minds: how names were spelt.
 */
#ifndef STANDIN_SCAN_H
#define STANDIN_SCAN_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Would the server read this request? text is well-formed JSON. The keys of the request and of each
 * call's arguments and the values of createdIds must be written without escapes, nothing may be
 * nested deeper than 127; plain_methods: method names too. */
bool scan_readable(const char *text, size_t len, bool plain_methods);

/*
 * What the server makes of names that an object has twice, where a JSON parser keeps the last: of
 * creation ids in a create each is one, and of "@type" in a create the first counts. A copy in
 * which the later names end in SCAN_MARK and a number, to be freed; NULL where there is nothing of
 * the kind.
 */
#define SCAN_MARK '\x02'
char *scan_mark_repeated(const char *text, size_t len, size_t *marked_len);

/* Takes marked names out of a create: no two members are one. */
void scan_drop_marked(json_t *create);

/* Gives the members of an object their names back; where several have one, the last is left. */
void scan_unmark(json_t *object);

#endif
