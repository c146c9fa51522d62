#include "jmap/wire/object_id.h"

#include <stdint.h>
#include <string.h>

static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz792013";

static void object_id_format(uint64_t number, char id[static OBJECT_ID_SIZE])
{
    char digits[OBJECT_ID_SIZE];
    char *end = digits + sizeof digits - 1, *start = end;

    *end = '\0';
    do {
        *--start = alphabet[number & 31];
        number >>= 5;
    } while (number != 0);
    memcpy(id, start, (size_t)(end - start) + 1);
}

/* The server reads K to Z as it reads k to z, but not A to J. */
static char lower_digit(char digit)
{
    return digit >= 'K' && digit <= 'Z' ? (char)(digit - 'A' + 'a') : digit;
}

bool object_id_parse(const char *text, char id[static OBJECT_ID_SIZE])
{
    uint64_t number = 0;

    if (*text == '\0')
        return false;
    for (; *text != '\0'; text++) {
        const char *digit = strchr(alphabet, lower_digit(*text));
        if (!digit)
            return false;
        /* The server, too, lets the digits above the sixty-fourth bit fall. */
        number = number << 5 | (uint64_t)(digit - alphabet);
    }
    object_id_format(number, id);
    return true;
}
