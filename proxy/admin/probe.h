#ifndef RENEWGATE_PROXY_ADMIN_PROBE_H
#define RENEWGATE_PROXY_ADMIN_PROBE_H

/*
 * Single requests of the gate's own to the server, made while the caller waits: for readiness and
 * for --check. Never on a worker's thread.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/buffer.h"
#include "proxy/config.h"

#define PROBE_ERROR_SIZE 256

struct probe_result {
    unsigned status; /* 0: no answer */
    struct buffer body;
    char error[PROBE_ERROR_SIZE]; /* with status 0: why, in words */
};

/* End each with probe_clear(), whatever came of it. */

/* Asks whether the server lives, from the gate's `own_address`, or "". No longer than that. */
void probe_live(const struct config *config, const char *own_address, int64_t timeout_ms,
                struct probe_result *out);

/* GETs a path; `authorization` may be NULL. The own address is looked up before. */
void probe_get(const struct config *config, const char *path, const char *authorization,
               int64_t timeout_ms, struct probe_result *out);

/* The same with a POST of a JMAP request. */
void probe_call(const struct config *config, const char *body, const char *authorization,
                int64_t timeout_ms, struct probe_result *out);

/*
 * GETs a URL as a CA does for http-01 (RFC 8555, section 8.3): redirects are followed, whoever has
 * signed the certificates on the way.
 */
void probe_as_ca(const char *url, int64_t timeout_ms, struct probe_result *out);

/* GETs a URL that is not the server's. */
void probe_url(const char *url, int64_t timeout_ms, struct probe_result *out);

void probe_clear(struct probe_result *result);

#endif
