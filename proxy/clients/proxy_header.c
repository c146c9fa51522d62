#include "proxy/clients/proxy_header.h"

#include <string.h>

static const char line_start[] = "PROXY ";
#define LINE_START_LEN (sizeof line_start - 1)
/* With the CRLF. */
#define LINE_LIMIT ((size_t)107)

static const char signature[] = "\r\n\r\n\0\r\nQUIT\n";
#define SIGNATURE_LEN (sizeof signature - 1)
#define BLOCK_START_LEN ((size_t)16) /* signature, command, family, length */

static bool begins_with(const char *bytes, size_t len, const char *start, size_t start_len)
{
    return memcmp(bytes, start, len < start_len ? len : start_len) == 0;
}

/* ---- version 1: a line of text ---- */

/* The next word of a line, up to a space or the line's end; false where there is none. */
static bool take_word(const char **at, const char *end, const char **word, size_t *len)
{
    if (*at == NULL)
        return false;
    const char *space = memchr(*at, ' ', (size_t)(end - *at));
    *word = *at;
    *len = (size_t)((space == NULL ? end : space) - *at);
    *at = space == NULL ? NULL : space + 1;
    return *len > 0;
}

static bool take_address(const char **at, const char *end, bool six, struct network_address *out)
{
    const char *word;
    size_t len;
    return take_word(at, end, &word, &len) && (memchr(word, ':', len) != NULL) == six &&
           network_address_read(word, len, out);
}

static bool take_port(const char **at, const char *end)
{
    const char *word;
    size_t len;
    unsigned port = 0;
    if (!take_word(at, end, &word, &len) || len > 5 || (len > 1 && *word == '0'))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (word[i] < '0' || word[i] > '9')
            return false;
        port = port * 10 + (unsigned)(word[i] - '0');
    }
    return port <= UINT16_MAX;
}

/* Everything between "PROXY " and the CRLF. */
static bool read_line(const char *at, const char *end, struct proxy_header *out)
{
    const char *family;
    size_t len;
    struct network_address other;
    if (!take_word(&at, end, &family, &len))
        return false;
    if (len == 7 && memcmp(family, "UNKNOWN", 7) == 0)
        return true; /* the rest of the line is to be ignored */
    if (len != 4 || (memcmp(family, "TCP4", 4) != 0 && memcmp(family, "TCP6", 4) != 0))
        return false;
    bool six = family[3] == '6';
    out->is_told = true;
    return take_address(&at, end, six, &out->client) && take_address(&at, end, six, &other) &&
           take_port(&at, end) && take_port(&at, end) && at == NULL;
}

static enum proxy_header_state read_version_1(const char *bytes, size_t len,
                                              struct proxy_header *out)
{
    size_t end = 0;
    size_t most = len < LINE_LIMIT ? len : LINE_LIMIT;
    while (end < most && bytes[end] != '\r' && bytes[end] != '\n')
        end++;
    if (end + 1 >= most && (end == most || bytes[end] == '\r'))
        return len < LINE_LIMIT ? PROXY_HEADER_PARTIAL : PROXY_HEADER_MALFORMED;
    if (bytes[end] != '\r' || bytes[end + 1] != '\n' ||
        !read_line(bytes + LINE_START_LEN, bytes + end, out))
        return PROXY_HEADER_MALFORMED;
    out->len = end + 2;
    return PROXY_HEADER_WHOLE;
}

/* ---- version 2: a block of bytes ---- */

enum { COMMAND_LOCAL = 0, COMMAND_PROXY = 1 };
enum { FAMILY_NONE = 0, FAMILY_FOUR = 1, FAMILY_SIX = 2, FAMILY_UNIX = 3 };
enum { TRANSPORT_NONE = 0, TRANSPORT_STREAM = 1, TRANSPORT_DATAGRAM = 2 };

/* The addresses of a connection that the proxy speaks for; `len` bytes are there. */
static bool read_addresses(const unsigned char *addresses, size_t len, unsigned family,
                           unsigned transport, struct proxy_header *out)
{
    if (family > FAMILY_UNIX || transport > TRANSPORT_DATAGRAM)
        return false;
    if (transport == TRANSPORT_NONE || family == FAMILY_NONE)
        return true;
    static const size_t needed[] = {
        [FAMILY_FOUR] = 2 * 4 + 2 * 2, [FAMILY_SIX] = 2 * 16 + 2 * 2, [FAMILY_UNIX] = 2 * 108};
    if (len < needed[family])
        return false;
    out->is_told = family != FAMILY_UNIX && transport == TRANSPORT_STREAM;
    if (family == FAMILY_FOUR)
        network_address_of_four(addresses, &out->client);
    else if (family == FAMILY_SIX)
        memcpy(out->client.bytes, addresses, sizeof out->client.bytes);
    return true;
}

static enum proxy_header_state read_version_2(const char *bytes, size_t len,
                                              struct proxy_header *out)
{
    const unsigned char *block = (const unsigned char *)bytes;
    if (len < BLOCK_START_LEN)
        return PROXY_HEADER_PARTIAL;
    unsigned version = block[12] >> 4, command = block[12] & 15;
    size_t rest = (size_t)block[14] << 8 | block[15];
    if (version != 2 || command > COMMAND_PROXY || rest > PROXY_HEADER_LIMIT - BLOCK_START_LEN)
        return PROXY_HEADER_MALFORMED;
    if (len < BLOCK_START_LEN + rest)
        return PROXY_HEADER_PARTIAL;
    if (command == COMMAND_PROXY &&
        !read_addresses(block + BLOCK_START_LEN, rest, block[13] >> 4, block[13] & 15, out))
        return PROXY_HEADER_MALFORMED;
    out->len = BLOCK_START_LEN + rest;
    return PROXY_HEADER_WHOLE;
}

enum proxy_header_state proxy_header_read(const char *bytes, size_t len, struct proxy_header *out)
{
    *out = (struct proxy_header){0};
    if (begins_with(bytes, len, line_start, LINE_START_LEN))
        return len < LINE_START_LEN ? PROXY_HEADER_PARTIAL : read_version_1(bytes, len, out);
    if (begins_with(bytes, len, signature, SIGNATURE_LEN))
        return len < SIGNATURE_LEN ? PROXY_HEADER_PARTIAL : read_version_2(bytes, len, out);
    return PROXY_HEADER_MALFORMED;
}
