#include "proxy/server/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A session with a server that was not verified must not be taken up by another connection. */
void trust_apply(CURL *easy, const struct trust *trust, bool any_issuer)
{
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, trust->verify && !any_issuer ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, trust->verify ? 2L : 0L);
    if (trust->ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, trust->ca);
    if (any_issuer)
        curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L);
}

static bool is_https(CURLU *url)
{
    char *scheme = NULL;
    bool is = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
              strcmp(scheme, "https") == 0;
    curl_free(scheme);
    return is;
}

/* "name:port:host:port", in which parts that are left out are whatever they were. */
bool trust_put_name(const struct trust *trust, CURLU *url, struct curl_slist **connect_to)
{
    char *host = NULL;
    char *entry = NULL;
    *connect_to = NULL;
    if (trust->name == NULL || !is_https(url))
        return true;
    if (curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
        asprintf(&entry, "::%s:", host) >= 0)
        *connect_to = curl_slist_append(NULL, entry);
    curl_free(host);
    free(entry);
    return *connect_to != NULL && curl_url_set(url, CURLUPART_HOST, trust->name, 0) == CURLUE_OK;
}
