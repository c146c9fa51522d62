#include "tests/standin/malformed.h"

#include <jansson.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define FIELDS_MAX 100
#define TARGET_MAX 65534
#define COLONS_MAX 8 /* in what may be an IPv6 address */

static bool is_utf8(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    json_decref(string);
    return string != NULL;
}

/* uri/path.rs; what follows a number sign is cut off first. */
static bool path_reads(const char *path)
{
    size_t len = strcspn(path, "#"), end = strcspn(path, "?#");
    return strchr("/?#", *path) && strcspn(path, "<>`") >= end &&
           (end == len || end + strcspn(path + end, "\"<>") >= len) && is_utf8(path, len);
}

/* uri/authority.rs; `len` bytes are the authority. */
static bool authority_reads(const char *text, size_t len)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                  "-._~:[]@!$&'()*+,;=%";
    unsigned colons = 0, opened = 0, closed = 0;
    bool percent = false;
    if (len == 0 || strspn(text, allowed) < len || text[len - 1] == '@')
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] == ':' && ++colons > COLONS_MAX)
            return false;
        if (text[i] == '[' && (percent || opened++))
            return false;
        if (text[i] == ']' && (!opened || closed++))
            return false;
        if (text[i] == ']' || text[i] == '@')
            colons = percent = 0;
        percent = percent || text[i] == '%';
    }
    return opened == closed && colons <= 1 && !percent;
}

static bool target_reads(const char *target)
{
    if (*target == '/' || strcmp(target, "*") == 0)
        return *target == '*' || path_reads(target);
    const char *authority = strstr(target, "://");
    if (!authority)
        return authority_reads(target, strlen(target));
    authority += 3;
    size_t len = strcspn(authority, "/?#");
    return authority_reads(authority, len) &&
           (authority[len] == '\0' || path_reads(authority + len));
}

unsigned malformed_status(const char *target, size_t field_count)
{
    if (field_count > FIELDS_MAX)
        return 431;
    if (strlen(target) > TARGET_MAX)
        return 414;
    return target_reads(target) ? 0 : 400;
}
