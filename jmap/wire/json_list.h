#ifndef RENEWGATE_JMAP_WIRE_JSON_LIST_H
#define RENEWGATE_JMAP_WIRE_JSON_LIST_H

/*
 * Few of many objects in an answer: jansson makes a tree of all that it reads, which costs many
 * times what a look at the text does.
 */

#include <stddef.h>

/*
 * The text without those elements of its lists ("list":[…], as a get answers) that have none of the
 * words in them. What is left out is not looked at any further. The caller's to free(); NULL where
 * memory ran out, or the text ends early or has no such form: then all of it is to be read.
 */
char *json_list_pick(const char *text, size_t len, const char *const *words, size_t count,
                     size_t *picked_len);

#endif
