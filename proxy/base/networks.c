#include "proxy/base/networks.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_BITS 128U
/* Where an IPv4 address begins in its IPv6 form. */
#define FOUR_BYTES 12
/* How much of an IPv6 address is its network's. */
#define SIX_NETWORK_BYTES 8
#define FOUR_BITS 96U

void network_address_of_four(const void *four, struct network_address *out)
{
    memset(out->bytes, 0, 10);
    memset(out->bytes + 10, 0xff, 2);
    memcpy(out->bytes + FOUR_BYTES, four, 4);
}

static bool is_four(const struct network_address *address)
{
    static const uint8_t start[FOUR_BYTES] = {[10] = 0xff, [11] = 0xff};
    return memcmp(address->bytes, start, sizeof start) == 0;
}

bool network_address_read(const char *text, size_t len, struct network_address *out)
{
    char copy[NETWORK_ADDRESS_TEXT_SIZE];
    struct in_addr four;
    if (len >= sizeof copy || memchr(text, '\0', len) != NULL)
        return false;
    memcpy(copy, text, len);
    copy[len] = '\0';
    if (memchr(copy, ':', len) != NULL)
        return inet_pton(AF_INET6, copy, out->bytes) == 1;
    if (inet_pton(AF_INET, copy, &four) != 1)
        return false;
    network_address_of_four(&four, out);
    return true;
}

bool network_address_of(const struct sockaddr *address, struct network_address *out)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *four = (const void *)address;
        network_address_of_four(&four->sin_addr, out);
        return true;
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)address;
        memcpy(out->bytes, &six->sin6_addr, sizeof out->bytes);
        return true;
    }
    return false;
}

void network_address_write(const struct network_address *address,
                           char text[static NETWORK_ADDRESS_TEXT_SIZE])
{
    if (is_four(address))
        inet_ntop(AF_INET, address->bytes + FOUR_BYTES, text, NETWORK_ADDRESS_TEXT_SIZE);
    else
        inet_ntop(AF_INET6, address->bytes, text, NETWORK_ADDRESS_TEXT_SIZE);
}

struct network_address network_address_client(const struct network_address *address)
{
    struct network_address client = *address;
    if (!is_four(address))
        memset(client.bytes + SIX_NETWORK_BYTES, 0, sizeof client.bytes - SIX_NETWORK_BYTES);
    return client;
}

static bool read_prefix(const char *text, size_t len, unsigned most, unsigned *out)
{
    unsigned prefix = 0;
    if (len == 0 || len > 3)
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        prefix = prefix * 10 + (unsigned)(text[i] - '0');
    }
    *out = prefix;
    return prefix <= most;
}

/* "192.0.2.0/24" counts from where the IPv4 address begins. */
static bool read_network(const char *text, size_t len, struct network *out)
{
    const char *slash = memchr(text, '/', len);
    size_t address_len = slash == NULL ? len : (size_t)(slash - text);
    if (!network_address_read(text, address_len, &out->address))
        return false;
    out->prefix = ADDRESS_BITS;
    if (slash == NULL)
        return true;
    unsigned skipped = memchr(text, ':', address_len) == NULL ? FOUR_BITS : 0;
    bool fine = read_prefix(slash + 1, len - address_len - 1, ADDRESS_BITS - skipped, &out->prefix);
    out->prefix += skipped;
    return fine;
}

bool network_list_read(const char *text, struct network_list *out)
{
    *out = (struct network_list){0};
    size_t most = 1;
    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',';
    out->networks = calloc(most, sizeof *out->networks);
    bool fine = out->networks != NULL;
    while (fine) {
        text += strspn(text, " \t");
        size_t len = strcspn(text, ",");
        size_t bare = len;
        while (bare > 0 && (text[bare - 1] == ' ' || text[bare - 1] == '\t'))
            bare--;
        fine = read_network(text, bare, &out->networks[out->count++]);
        if (text[len] == '\0')
            break;
        text += len + 1;
    }
    if (!fine)
        network_list_clear(out);
    return fine;
}

static bool network_has(const struct network *network, const struct network_address *address)
{
    size_t whole = network->prefix / 8;
    unsigned rest = network->prefix % 8;
    if (memcmp(network->address.bytes, address->bytes, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    unsigned differing = network->address.bytes[whole] ^ address->bytes[whole];
    return differing >> (8 - rest) == 0;
}

bool network_list_has(const struct network_list *list, const struct network_address *address)
{
    for (size_t i = 0; i < list->count; i++) {
        if (network_has(&list->networks[i], address))
            return true;
    }
    return false;
}

void network_list_clear(struct network_list *list)
{
    free(list->networks);
    *list = (struct network_list){0};
}
