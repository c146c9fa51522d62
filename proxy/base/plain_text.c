#include "proxy/base/plain_text.h"

#define REPLACEMENT UINT32_C(0xfffd)

/* Of the character that this byte begins; 0 where none does. */
static size_t length_of(unsigned char first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return 0;
    return first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
}

/* RFC 3629, section 4; REPLACEMENT where these bytes are none. NUL ends every sequence. */
static uint32_t decode(const unsigned char *text, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len <= 1)
        return len == 1 ? text[0] : REPLACEMENT;
    uint32_t code = text[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return REPLACEMENT;
        code = code << 6 | (text[i] & 0x3fU);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[len] || surrogate || code > 0x10ffff ? REPLACEMENT : code;
}

static bool is_hidden(uint32_t code)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {{0, 0x1f},        {0x7f, 0x9f},     {0x61c, 0x61c},  {0x200e, 0x200f},
                  {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfffd, 0xfffd}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (code >= ranges[i].first && code <= ranges[i].last)
            return true;
    }
    return false;
}

struct plain_character plain_text_next(const char *text)
{
    const unsigned char *bytes = (const unsigned char *)text;
    if (bytes[0] == '\0')
        return (struct plain_character){0};
    size_t len = length_of(bytes[0]);
    uint32_t code = decode(bytes, len);
    /* A byte that is no UTF-8 stands for itself; the sign itself may come as what it is. */
    bool sign = len == 3 && bytes[0] == 0xef && bytes[1] == 0xbf && bytes[2] == 0xbd;
    if (code == REPLACEMENT && !sign)
        len = 1;
    return (struct plain_character){.len = len, .code = code, .hidden = is_hidden(code)};
}

bool plain_text_append(struct buffer *out, const char *text)
{
    bool fine = true;
    struct plain_character character;
    for (; fine && (character = plain_text_next(text)).len > 0; text += character.len)
        fine = character.hidden
                   ? buffer_append(out, PLAIN_TEXT_HIDDEN, sizeof PLAIN_TEXT_HIDDEN - 1)
                   : buffer_append(out, text, character.len);
    return fine;
}

/* One byte as it goes to a terminal; how many there are of it. */
static size_t show_byte(unsigned char byte, char shown[static 5])
{
    bool plain = byte >= 0x20 && byte < 0x7f;
    return (size_t)snprintf(shown, 5, plain ? "%c" : "\\x%02x", byte);
}

bool plain_text_append_ascii(struct buffer *out, const char *text)
{
    bool fine = true;
    char shown[5];
    for (; fine && *text != '\0'; text++) {
        size_t len = show_byte((unsigned char)*text, shown);
        fine = buffer_append(out, shown, len);
    }
    return fine;
}

void plain_text_print(FILE *out, const char *text, int width)
{
    char shown[5];
    for (; *text != '\0'; text++) {
        width -= (int)show_byte((unsigned char)*text, shown);
        fputs(shown, out);
    }
    fprintf(out, "%*s", width > 0 ? width : 0, "");
}
