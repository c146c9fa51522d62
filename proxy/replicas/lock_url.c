#include "proxy/replicas/lock_url.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_PORT "6379"
#define DATABASE_MOST 65535

/* A part of the URL, the caller's to curl_free(); NULL where it is missing or empty. */
static char *part_of(CURLU *url, CURLUPart which, unsigned flags, bool *fine)
{
    char *part = NULL;
    CURLUcode code = curl_url_get(url, which, &part, flags);
    bool missing = code == CURLUE_NO_USER || code == CURLUE_NO_PASSWORD || code == CURLUE_NO_PORT ||
                   code == CURLUE_NO_QUERY || code == CURLUE_NO_FRAGMENT;
    if (code != CURLUE_OK && !missing)
        *fine = false;
    if (code == CURLUE_OK && *part != '\0')
        return part;
    curl_free(part);
    return NULL;
}

/* A copy that free() ends, as curl's memory is not the gate's. */
static char *copy_of(CURLU *url, CURLUPart which, bool *fine)
{
    char *part = part_of(url, which, CURLU_URLDECODE, fine);
    char *copy = part == NULL ? NULL : strdup(part);
    *fine = *fine && (part == NULL || copy != NULL);
    curl_free(part);
    return copy;
}

static bool is_missing(CURLU *url, CURLUPart which)
{
    bool fine = true;
    char *part = part_of(url, which, 0, &fine);
    bool missing = fine && part == NULL;
    curl_free(part);
    return missing;
}

static bool read_scheme(CURLU *url, bool *tls)
{
    bool fine = true;
    char *scheme = part_of(url, CURLUPART_SCHEME, 0, &fine);
    if (scheme == NULL)
        return false;
    *tls = strcmp(scheme, "rediss") == 0;
    bool known = *tls || strcmp(scheme, "redis") == 0;
    curl_free(scheme);
    return known;
}

static bool lock_url_read_address(CURLU *url, char **address)
{
    bool fine = true;
    char *host = part_of(url, CURLUPART_HOST, 0, &fine);
    char *port = part_of(url, CURLUPART_PORT, 0, &fine);
    fine = fine && host != NULL &&
           asprintf(address, "%s:%s", host, port == NULL ? DEFAULT_PORT : port) >= 0;
    if (!fine)
        *address = NULL;
    curl_free(host);
    curl_free(port);
    return fine;
}

static bool read_database(CURLU *url, unsigned *database)
{
    bool fine = true;
    char *path = part_of(url, CURLUPART_PATH, 0, &fine);
    const char *digits = path == NULL ? "" : path + 1;
    size_t len = strlen(digits);
    fine = fine && len <= 5 && strspn(digits, "0123456789") == len;
    unsigned long number = fine ? strtoul(digits, NULL, 10) : 0;
    curl_free(path);
    *database = (unsigned)number;
    return fine && number <= DATABASE_MOST;
}

static bool read_parts(CURLU *url, struct lock_server *out)
{
    bool fine = read_scheme(url, &out->tls) && is_missing(url, CURLUPART_QUERY) &&
                is_missing(url, CURLUPART_FRAGMENT) && lock_url_read_address(url, &out->address) &&
                read_database(url, &out->database);
    if (!fine)
        return false;
    out->user = copy_of(url, CURLUPART_USER, &fine);
    out->password = copy_of(url, CURLUPART_PASSWORD, &fine);
    return fine && (out->user == NULL || out->password != NULL);
}

bool lock_url_read(const char *text, struct lock_server *out)
{
    *out = (struct lock_server){0};
    CURLU *url = curl_url();
    /* curl would take the next part for the host. */
    bool fine = url != NULL && strstr(text, ":///") == NULL &&
                curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
                read_parts(url, out);
    curl_url_cleanup(url);
    return fine;
}

void lock_server_clear(struct lock_server *server)
{
    free(server->address);
    free(server->user);
    free(server->password);
    *server = (struct lock_server){0};
}
