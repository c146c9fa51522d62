#include "proxy/config_value.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/held.h"
#include "policy/refusal.h"
#include "proxy/base/listen_address.h"
#include "proxy/base/networks.h"
#include "proxy/replicas/lock_url.h"
#include "proxy/server/service_credential.h"

static bool value_read_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < least || number > most)
        return false;
    *out = number;
    return true;
}

/* "300s", "5m" and so on, in milliseconds. */
static bool read_duration(const char *text, int64_t *milliseconds)
{
    static const struct {
        const char *unit;
        int64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0 && number <= INT64_MAX / units[i].milliseconds) {
            *milliseconds = number * units[i].milliseconds;
            return true;
        }
    }
    return false;
}

static bool read_seconds(const struct variable *variable, const char *text, int64_t *out)
{
    int64_t milliseconds;
    if (!read_duration(text, &milliseconds) || milliseconds % 1000 != 0)
        return false;
    *out = milliseconds / 1000;
    return *out >= variable->least && *out <= variable->most;
}

static bool read_milliseconds(const struct variable *variable, const char *text, int64_t *out)
{
    return read_duration(text, out) && *out >= variable->least && *out <= variable->most;
}

static int read_word(const struct variable *variable, const char *text)
{
    for (int i = 0; variable->words[i] != NULL; i++) {
        if (strcmp(variable->words[i], text) == 0)
            return i;
    }
    return -1;
}

static bool value_read_address(const char *text, struct listen_address *out)
{
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    size_t host_len = (size_t)(colon - text);
    if (*host == '[') {
        if (host_len < 2 || colon[-1] != ']')
            return false;
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len) != NULL) {
        return false; /* an IPv6 address needs its brackets */
    }
    int64_t port;
    if (host_len >= sizeof out->host || !value_read_number(colon + 1, 0, UINT16_MAX, &port))
        return false;
    memcpy(out->host, host, host_len);
    out->host[host_len] = '\0';
    out->port = (uint16_t)port;
    out->set = true;
    return true;
}

static bool is_url(const char *text)
{
    CURLU *url = curl_url();
    bool fine = url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    curl_url_cleanup(url);
    return fine;
}

/* Scheme and authority and at most one slash; a copy without the slash. */
static bool read_url(const char *text, char **out)
{
    size_t scheme_len = strncmp(text, "http://", 7) == 0    ? 7
                        : strncmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    if (scheme_len == 0)
        return false;
    size_t authority_len = strcspn(text + scheme_len, "/?#@\\ \t\r\n");
    const char *rest = text + scheme_len + authority_len;
    if (authority_len == 0 || (strcmp(rest, "") != 0 && strcmp(rest, "/") != 0) || !is_url(text))
        return false;
    *out = strndup(text, scheme_len + authority_len);
    return *out != NULL;
}

/* As read_url(), but that the authority must be able to stand in JSON text as it is. */
static bool read_public_url(const char *text, char **out)
{
    if (strcmp(text, "off") == 0)
        return true;
    if (strcmp(text, "auto") == 0) {
        *out = strdup("");
        return *out != NULL;
    }
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '"')
            return false;
    }
    return read_url(text, out);
}

static bool read_authorization(const char *text, char **out)
{
    if (!service_credential_is_valid(text))
        return false;
    *out = strdup(text);
    return *out != NULL;
}

/* A copy of what is safe to stand in a lock server's key. */
static bool read_label(const char *text, char **out)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:");
    if (len == 0 || len > 64 || text[len] != '\0')
        return false;
    *out = strdup(text);
    return *out != NULL;
}

/* Letters, digits, hyphens and dots; of neither an address nor a URL. */
static bool read_host(const char *text, char **out)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.");
    if (len == 0 || len > 253 || text[len] != '\0' ||
        strpbrk(text, "abcdefghijklmnopqrstuvwxyz"
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL)
        return false;
    *out = strdup(text);
    return *out != NULL;
}

static bool read_workers(const struct variable *variable, const char *text, unsigned *out)
{
    int64_t number;
    if (strcmp(text, "auto") == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        *out = processors < 1 ? 1 : processors > 4 ? 4 : (unsigned)processors;
        return true;
    }
    if (!value_read_number(text, variable->least, variable->most, &number))
        return false;
    *out = (unsigned)number;
    return true;
}

/* A pipe will do, as a shell's <(…) makes one. */
static bool is_readable_file(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISDIR(about.st_mode) && access(path, R_OK) == 0;
}

bool config_value_read(const struct variable *variable, const char *text, void *member)
{
    int64_t number;
    int word;
    switch (variable->kind) {
    case KIND_URL:
        return read_url(text, member);
    case KIND_PUBLIC_URL:
        return read_public_url(text, member);
    case KIND_PATH:
        *(char **)member = strdup(text);
        return *(char **)member != NULL && is_readable_file(text);
    case KIND_AUTHORIZATION:
        return read_authorization(text, member);
    case KIND_LOCK_URL:
        return lock_url_read(text, member);
    case KIND_LABEL:
        return read_label(text, member);
    case KIND_HOST:
        return read_host(text, member);
    case KIND_ADDRESS:
        return value_read_address(text, member);
    case KIND_PEER:
        return value_read_address(text, member) &&
               ((struct listen_address *)member)->host[0] != '\0' &&
               ((struct listen_address *)member)->port != 0;
    case KIND_NETWORKS:
        return network_list_read(text, member);
    case KIND_CHOICE:
        word = read_word(variable, text);
        *(int *)member = word;
        return word >= 0;
    case KIND_SWITCH:
        word = read_word(variable, text);
        *(bool *)member = word == 1;
        return word >= 0;
    case KIND_SECONDS:
        return read_seconds(variable, text, member);
    case KIND_PERIOD:
        *(int64_t *)member = 0;
        return strcmp(text, "off") == 0 || read_seconds(variable, text, member);
    case KIND_MILLISECONDS:
        return read_milliseconds(variable, text, member);
    case KIND_INTERVAL:
        *(int64_t *)member = 0;
        return strcmp(text, "off") == 0 || read_milliseconds(variable, text, member);
    case KIND_SIZE:
        if (!value_read_number(text, variable->least, variable->most, &number))
            return false;
        *(size_t *)member = (size_t)number;
        return true;
    case KIND_COUNT:
        if (!value_read_number(text, variable->least, variable->most, &number))
            return false;
        *(unsigned *)member = (unsigned)number;
        return true;
    case KIND_WORKERS:
        return read_workers(variable, text, member);
    case KIND_ISSUE_LIMIT:
        return issue_limit_parse(text, member);
    case KIND_BACKOFF:
        return failure_backoff_parse(text, member);
    }
    return false;
}
