#ifndef RENEWGATE_JMAP_WIRE_JSON_LIST_H
#define RENEWGATE_JMAP_WIRE_JSON_LIST_H

/*
 * Few of many objects in an answer: jansson makes a tree of all that it reads, which costs many
 * times what a look at the text does.
 */

#include <stddef.h>

/*
 * Reads what begins at `element`, in a text that ends at `end`, and gives what is behind it; NULL
 * where it is to stay. So many lists are before its own.
 */
typedef const char *json_list_taker(void *user, size_t lists, const char *element, const char *end);

/*
 * The text without those elements of its lists that `take` has read: "list":[…], as a get answers,
 * and "ids":[…], as a query does. They are not looked at any further. The caller's to free(); NULL
 * where memory ran out, or the text ends early or has no such form: then all of it is to be read.
 */
char *json_list_pick(const char *text, size_t len, json_list_taker *take, void *user,
                     size_t *picked_len);

#endif
