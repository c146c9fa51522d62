#include "tests/standin/auth.h"

#include <string.h>
#include <strings.h>

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

struct user *auth_user(const char *authorization)
{
    char text[512];
    size_t len = 0;
    unsigned bits = 0, held = 0;
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
        return store_user_by_token(authorization + 7);
    if (!authorization || strncasecmp(authorization, "Basic ", 6) != 0)
        return NULL;
    for (const char *p = authorization + 6; *p && *p != '=' && len < sizeof text - 1; p++) {
        int value = sextet(*p);
        if (value < 0)
            return NULL;
        bits = bits << 6 | (unsigned)value;
        held += 6;
        if (held >= 8) {
            held -= 8;
            text[len++] = (char)(bits >> held & 0xff);
        }
    }
    text[len] = '\0';
    char *colon = strchr(text, ':');
    if (!colon)
        return NULL;
    *colon = '\0';
    return store_user(text, colon + 1);
}
