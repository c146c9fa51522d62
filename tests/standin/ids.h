/*
 * Ids as the server writes and reads them: a 64-bit number in base 32 with an alphabet of its own.
 */
#ifndef STANDIN_IDS_H
#define STANDIN_IDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ID_TEXT 16
/* The highest number, "p333333333333", stands for "no value". */
#define ID_NONE UINT64_MAX
/* "singleton" read as an id. */
#define ID_SINGLETON UINT64_C(20080258862541)

void id_format(uint64_t id, char text[ID_TEXT]);

/* Reads any length (what does not fit is shifted out) and takes K to Z for k to z, but not A to J:
 * the server's own table has that gap. */
bool id_parse(const char *text, uint64_t *id);

/* A new rising id of the kind that tasks and certificates have: milliseconds, sequence, node. */
uint64_t id_next(void);
/* Ids given out from now on are higher than this one. */
void id_seen(uint64_t id);

#endif
