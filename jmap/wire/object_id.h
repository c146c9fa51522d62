#ifndef RENEWGATE_JMAP_WIRE_OBJECT_ID_H
#define RENEWGATE_JMAP_WIRE_OBJECT_ID_H

/*
 * Ids of the server's objects: 64-bit numbers in a base 32 of its own, most significant digit
 * first. Several texts can spell one number (leading zeroes), so an id from a client is brought
 * into the server's own spelling before it is compared with anything.
 */

#include <stdbool.h>

/* Thirteen digits and NUL. */
#define OBJECT_ID_SIZE 14

/* False where the server would not read the text as an id ("Failed to parse Id from string"). */
bool object_id_parse(const char *text, char id[static OBJECT_ID_SIZE]);

#endif
