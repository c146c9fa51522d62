#include "jmap/wire/endpoint.h"

#include <string.h>

static size_t skip_scheme_and_authority(const char *target, size_t len)
{
    static const char *const schemes[] = {"http://", "https://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t scheme = strlen(schemes[i]);
        if (len <= scheme || strncmp(target, schemes[i], scheme) != 0)
            continue;
        const char *path = memchr(target + scheme, '/', len - scheme);
        return path ? (size_t)(path - target) : len;
    }
    return 0;
}

/* What follows "/jmap" in the path, without the query; NULL for any other path. */
static const char *after_root(const char *target, size_t len, size_t *left)
{
    static const char root[] = "/jmap";
    const size_t root_len = sizeof root - 1;
    size_t skipped = skip_scheme_and_authority(target, len);
    const char *path = target + skipped;
    size_t path_len = len - skipped;
    const char *query = memchr(path, '?', path_len);

    if (query)
        path_len = (size_t)(query - path);
    if (path_len < root_len || memcmp(path, root, root_len) != 0)
        return NULL;
    *left = path_len - root_len;
    return path + root_len;
}

bool endpoint_is_api(const char *target, size_t len)
{
    size_t left = 0;
    const char *rest = after_root(target, len, &left);

    /* "/jmap", "/jmap/", "/jmap//" and whatever follows an empty segment. */
    return rest && (left == 0 || (rest[0] == '/' && (left == 1 || rest[1] == '/')));
}

bool endpoint_is_socket(const char *target, size_t len)
{
    size_t left = 0;
    const char *rest = after_root(target, len, &left);

    return rest && left >= 3 && memcmp(rest, "/ws", 3) == 0 && (left == 3 || rest[3] == '/');
}

/* Whether `word` stands there so that its letter number `at` is at `letter`. */
static bool stands(const char *body, const char *end, const char *letter, const char *word,
                   size_t word_len, size_t at)
{
    return (size_t)(letter - body) >= at && (size_t)(end - letter) >= word_len - at &&
           memcmp(letter - at, word, word_len) == 0;
}

static bool has_renewal(const char *body, const char *end)
{
    static const char type[] = "AcmeRenewal", follow_up[] = "onSuccessRenewCertificate";

    /* Both have a single "w", which is rarer in requests than their other letters. */
    for (const char *at = body; at < end && (at = memchr(at, 'w', (size_t)(end - at))) != NULL;
         at++) {
        if (stands(body, end, at, type, sizeof type - 1, 8) ||
            stands(body, end, at, follow_up, sizeof follow_up - 1, 13))
            return true;
    }
    return false;
}

static bool has_escape(const char *body, const char *end)
{
    for (const char *at = body; at < end && (at = memchr(at, '\\', (size_t)(end - at))) != NULL;
         at++) {
        if (end - at > 1 && at[1] == 'u')
            return true;
    }
    return false;
}

bool endpoint_may_contain_create(const char *body, size_t len)
{
    return len > 0 && (has_renewal(body, body + len) || has_escape(body, body + len));
}
