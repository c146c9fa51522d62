#ifndef RENEWGATE_PROXY_BASE_NETWORKS_H
#define RENEWGATE_PROXY_BASE_NETWORKS_H

/*
 * Internet addresses, and sets of them: networks as prefixes (RFC 4632, section 3.1; RFC 4291,
 * section 2.3). An IPv4 address is kept in its IPv6 form, ::ffff:192.0.2.1 (RFC 4291, section
 * 2.5.5.2), so that one address is one value whichever way it came.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct network_address {
    uint8_t bytes[16];
};

/* The longest text of an address and its NUL. */
#define NETWORK_ADDRESS_TEXT_SIZE 46

/* False for anything but one address, without port, brackets or zone. */
bool network_address_read(const char *text, size_t len, struct network_address *out);

/* False for families other than IPv4 and IPv6. */
bool network_address_of(const struct sockaddr *address, struct network_address *out);

/* The four bytes of an IPv4 address, as they are on the wire. */
void network_address_of_four(const void *four, struct network_address *out);

/* The usual text: IPv4 as IPv4. */
void network_address_write(const struct network_address *address,
                           char text[static NETWORK_ADDRESS_TEXT_SIZE]);

/*
 * What one client cannot choose of its address: all of an IPv4 address; of an IPv6 address the
 * first 64 bits, which is what one network gets, and the rest is 0.
 */
struct network_address network_address_client(const struct network_address *address);

struct network {
    struct network_address address;
    unsigned prefix; /* bits of it that count, of 128 */
};

struct network_list {
    struct network *networks;
    size_t count;
};

/*
 * Reads "10.0.0.0/8, 2001:db8::/32, 192.0.2.1": networks, or addresses that stand for themselves.
 * False, and `out` is empty, for anything else or where memory runs out. End with
 * network_list_clear().
 */
bool network_list_read(const char *text, struct network_list *out);

bool network_list_has(const struct network_list *list, const struct network_address *address);

void network_list_clear(struct network_list *list);

#endif
