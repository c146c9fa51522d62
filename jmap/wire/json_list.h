#ifndef RENEWGATE_JMAP_WIRE_JSON_LIST_H
#define RENEWGATE_JMAP_WIRE_JSON_LIST_H

/*
 * Few of many objects in an answer: jansson makes a tree of all that it reads, which costs many
 * times what a look at the text does.
 */

#include <stdbool.h>
#include <stddef.h>

/*
 * The text without those elements of its lists ("list":[…], as a get answers) that `drops` takes.
 * What is left out is not looked at any further. The caller's to free(); NULL where memory ran out,
 * or the text ends early or has no such form: then all of it is to be read.
 */
char *json_list_pick(const char *text, size_t len,
                     bool (*drops)(void *user, const char *element, size_t len), void *user,
                     size_t *picked_len);

#endif
