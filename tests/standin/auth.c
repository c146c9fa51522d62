#include "tests/standin/auth.h"

#include <string.h>
#include <strings.h>

static int sextet(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

bool auth_basic(const char *authorization, char text[static AUTH_TEXT], char **password)
{
    size_t len = 0;
    unsigned bits = 0, held = 0;
    if (strncasecmp(authorization, "Basic ", 6) != 0)
        return false;
    for (const char *p = authorization + 6; *p && *p != '=' && len < AUTH_TEXT - 1; p++) {
        int value = sextet(*p);
        if (value < 0)
            return false;
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
        return false;
    *colon = '\0';
    *password = colon + 1;
    return true;
}

struct user *auth_user(const char *authorization)
{
    char text[AUTH_TEXT];
    char *password;
    if (authorization && strncasecmp(authorization, "Bearer ", 7) == 0)
        return store_user_by_token(authorization + 7);
    return authorization && auth_basic(authorization, text, &password) ? store_user(text, password)
                                                                       : NULL;
}
