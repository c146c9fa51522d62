#ifndef RENEWGATE_PROXY_SERVER_TRUST_H
#define RENEWGATE_PROXY_SERVER_TRUST_H

/*
 * Whom libcurl is to take for the mail server where that is reached over TLS.
 */

#include <curl/curl.h>
#include <stdbool.h>

/* All borrowed. */
struct trust {
    const char *ca;   /* path, or NULL for the system's */
    const char *name; /* in the server's certificate; NULL: the URL's host */
    bool verify;
};

/* `any_issuer`: only the name counts, neither dates nor who signed. */
void trust_apply(CURL *easy, const struct trust *trust, bool any_issuer);

/*
 * Puts the name into an https URL, as what TLS gets to see, and `connect_to` tells libcurl where it
 * is found (CURLOPT_CONNECT_TO; the caller's to free, NULL where nothing changes). False when
 * memory runs out.
 */
bool trust_put_name(const struct trust *trust, CURLU *url, struct curl_slist **connect_to);

#endif
