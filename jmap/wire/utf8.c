#include "jmap/wire/utf8.h"

#include <string.h>

void utf8_copy(char *out, size_t size, const char *text)
{
    size_t len = strnlen(text, size);

    if (len == size) {
        len--;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
}
