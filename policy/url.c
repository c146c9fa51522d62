#include "policy/url.h"

#include <string.h>

const char *url_authority(const char *url)
{
    const char *scheme_end = strstr(url, "://");

    return scheme_end ? scheme_end + 3 : NULL;
}

size_t url_host_len(const char *authority)
{
    const char *end = authority[0] == '[' ? strchr(authority, ']') : NULL;

    return end ? (size_t)(end - authority) + 1 : strcspn(authority, ":/?#");
}
