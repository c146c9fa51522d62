/*
 * The server's paths: what answers where, and with which problem document when it does not.
 */
#ifndef STANDIN_HTTP_H
#define STANDIN_HTTP_H

#include "tests/standin/api.h"
#include "tests/standin/listener.h"

/* A request on the API listener. */
void http_answer(struct request *request, struct answer *answer);

/* The problem document of a refused batch; NULL for API_GOOD. */
json_t *http_refusal(enum api_refusal refusal, const char *body, size_t len);

/* Waits out a fault's delay and hang; false when the connection is to be closed. */
bool http_suffer(const struct fault *fault);

#endif
