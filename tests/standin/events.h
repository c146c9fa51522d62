/*
 * Server-sent events.
 */
#ifndef STANDIN_EVENTS_H
#define STANDIN_EVENTS_H

#include <microhttpd.h>

/* A stream that does not end. ping: the interval that the client asked for, 0 for none. */
struct MHD_Response *events_stream(unsigned ping);
/* Sends an event to every open stream; store.lock is not held. */
void events_push(const char *event, const char *data);

#endif
