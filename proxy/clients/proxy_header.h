#ifndef RENEWGATE_PROXY_CLIENTS_PROXY_HEADER_H
#define RENEWGATE_PROXY_CLIENTS_PROXY_HEADER_H

/*
 * The header with which a proxy begins a connection to tell whose it is: the PROXY protocol,
 * versions 1 and 2 (haproxy's doc/proxy-protocol.txt, sections 2.1 and 2.2).
 */

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/networks.h"

/* The longest that is taken, of version 2; nobody sends that many extensions. */
#define PROXY_HEADER_LIMIT ((size_t)4096)

enum proxy_header_state {
    PROXY_HEADER_PARTIAL, /* so far it may be one */
    PROXY_HEADER_WHOLE,   /* `out` is filled */
    PROXY_HEADER_MALFORMED,
};

struct proxy_header {
    size_t len;   /* what comes behind is the client's */
    bool is_told; /* false: the connection is the proxy's own, or it cannot say whose */
    struct network_address client;
};

/* Reads the first `len` bytes of a connection. */
enum proxy_header_state proxy_header_read(const char *bytes, size_t len, struct proxy_header *out);

#endif
