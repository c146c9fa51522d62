#ifndef RENEWGATE_POLICY_URL_H
#define RENEWGATE_POLICY_URL_H

/*
 * Where a URL leads, read from its text: "scheme://host:port/...", as the configuration, a session
 * and an ACME directory have it. None of these has user information (RFC 3986, section 3.2).
 */

#include <stddef.h>

/* Host and port and what follows them; NULL where the text is no URL with a host. */
const char *url_authority(const char *url);

/*
 * Of what url_authority() gave, or of a Host field's value: the length of its host. An IPv6 address
 * is in brackets, which belong to it.
 */
size_t url_host_len(const char *authority);

#endif
