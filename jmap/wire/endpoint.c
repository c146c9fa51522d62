#include <string.h>

#include "jmap/create/hold.h"

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

bool hold_is_endpoint(const char *target, size_t len)
{
    size_t left = 0;
    const char *rest = after_root(target, len, &left);

    /* "/jmap", "/jmap/", "/jmap//" and whatever follows an empty segment. */
    return rest && (left == 0 || (rest[0] == '/' && (left == 1 || rest[1] == '/')));
}

bool hold_is_socket(const char *target, size_t len)
{
    size_t left = 0;
    const char *rest = after_root(target, len, &left);

    return rest && left >= 3 && memcmp(rest, "/ws", 3) == 0 && (left == 3 || rest[3] == '/');
}

bool hold_may_contain_create(const char *body, size_t len)
{
    static const char type[] = "AcmeRenewal", follow_up[] = "onSuccessRenewCertificate",
                      escape[] = "\\u";

    return memmem(body, len, type, sizeof type - 1) != NULL ||
           memmem(body, len, follow_up, sizeof follow_up - 1) != NULL ||
           memmem(body, len, escape, sizeof escape - 1) != NULL;
}
