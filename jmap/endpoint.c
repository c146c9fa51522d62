#include <string.h>

#include "jmap/hold.h"

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

bool hold_is_endpoint(const char *target, size_t len)
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
        return false;
    path += root_len;
    path_len -= root_len;
    /* "/jmap", "/jmap/", "/jmap//" and whatever follows an empty segment. */
    return path_len == 0 || (path[0] == '/' && (path_len == 1 || path[1] == '/'));
}

bool hold_may_contain_create(const char *body, size_t len)
{
    static const char type[] = "AcmeRenewal", escape[] = "\\u";

    return memmem(body, len, type, sizeof type - 1) != NULL ||
           memmem(body, len, escape, sizeof escape - 1) != NULL;
}
