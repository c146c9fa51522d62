#ifndef RENEWGATE_PROXY_BASE_LISTEN_ADDRESS_H
#define RENEWGATE_PROXY_BASE_LISTEN_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

/* Where to listen: a host name or address, "" for every address, and a port. */
struct listen_address {
    bool set; /* false: nowhere */
    char host[256];
    uint16_t port; /* 0: any */
};

#endif
