/*
 * The stand-in's own time: the real clock plus an offset, or standing still. Everything that the
 * server would ask the system's clock for is asked here, so that a test can live through a year.
 */
#ifndef STANDIN_CLOCK_H
#define STANDIN_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLOCK_TEXT 32

int64_t clock_now_ms(void);
int64_t clock_now(void);
void clock_advance(int64_t seconds);
void clock_set(int64_t seconds);
void clock_freeze(bool frozen);
bool clock_is_frozen(void);

/* 2026-11-23T21:35:28Z */
void clock_format(int64_t seconds, char text[CLOCK_TEXT]);
/* Mon, 23 Nov 2026 21:35:28 GMT */
void clock_format_http(int64_t seconds, char text[CLOCK_TEXT]);
/* As lenient as the server: time zone offsets and fractions are read, trailing text is not. */
bool clock_parse(const char *text, int64_t *seconds);

#endif
