/*
 * JMAP over WebSocket (RFC 8887): the same batches in frames.
 */
#ifndef STANDIN_WEBSOCKET_H
#define STANDIN_WEBSOCKET_H

#include "tests/standin/listener.h"

/* Answers the handshake and, when it is one, goes on in frames as that user. */
void websocket_answer(const struct request *request, const char *user, struct answer *answer);

/* At the end, when no connection is left. */
void websocket_free(void);

#endif
