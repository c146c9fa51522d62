#ifndef RENEWGATE_PROXY_JOBS_CHECK_PUBLIC_H
#define RENEWGATE_PROXY_JOBS_CHECK_PUBLIC_H

/*
 * What `--check` tries of the addresses: the server's, and those of the gate for clients and CAs.
 */

#include <stdio.h>

#include "proxy/config.h"

/* Where the server is reached by TLS: whether its certificate is one that is renewed by way of the
 * gate. Likewise a warning. */
void check_server_certificate(const struct config *config, FILE *out);

/* Whether the server calls itself by the address that clients use. A warning is no fault. */
void check_public_url(const struct config *config, FILE *out);

/*
 * Where a provider has Http01: what a CA would see on port 80 of RENEWGATE_PUBLIC_URL's host,
 * beside what the server itself answers. Likewise.
 */
void check_challenges(const struct config *config, FILE *out);

#endif
