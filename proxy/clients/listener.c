#include "proxy/clients/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of pending connections; the kernel has a limit of its own. */
#define BACKLOG 1024

struct endpoint {
    struct sockaddr_storage address;
    socklen_t len;
};

static void set_option(int file, int level, int name, int value)
{
    setsockopt(file, level, name, &value, sizeof value);
}

/* -1 with errno. */
static int bind_socket(const struct endpoint *endpoint, bool shared)
{
    int file = socket(endpoint->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (file < 0)
        return -1;
    set_option(file, SOL_SOCKET, SO_REUSEADDR, 1);
    if (shared)
        set_option(file, SOL_SOCKET, SO_REUSEPORT, 1);
    if (endpoint->address.ss_family == AF_INET6)
        set_option(file, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (bind(file, (const void *)&endpoint->address, endpoint->len) == 0 &&
        listen(file, BACKLOG) == 0)
        return file;
    int error = errno;
    close(file);
    errno = error;
    return -1;
}

static bool listener_resolve(const struct listen_address *address, struct endpoint *out)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    const char *host = address->host[0] == '\0' ? "::" : address->host;
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)address->port);
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found) != 0) {
        errno = EADDRNOTAVAIL;
        return false;
    }
    memcpy(&out->address, found->ai_addr, found->ai_addrlen);
    out->len = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

/* Machines without IPv6 have no "::"; every IPv4 address is then what is meant. */
static void use_four(struct endpoint *endpoint)
{
    const struct sockaddr_in6 *six = (const void *)&endpoint->address;
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = six->sin6_port};
    memcpy(&endpoint->address, &four, sizeof four);
    endpoint->len = sizeof four;
}

static bool is_any_six(const struct endpoint *endpoint)
{
    const struct sockaddr_in6 *six = (const void *)&endpoint->address;
    return six->sin6_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&six->sin6_addr);
}

/*
 * Sockets that share a port would share it with another process's as well, so a first one that
 * does not finds out whether the address is free, and which port it is.
 */
static bool probe(struct endpoint *endpoint)
{
    int file = bind_socket(endpoint, false);
    if (file < 0 && (errno == EAFNOSUPPORT || errno == EADDRNOTAVAIL) && is_any_six(endpoint)) {
        use_four(endpoint);
        file = bind_socket(endpoint, false);
    }
    if (file < 0)
        return false;
    endpoint->len = sizeof endpoint->address;
    bool fine = getsockname(file, (void *)&endpoint->address, &endpoint->len) == 0;
    close(file);
    return fine;
}

static void format(const struct endpoint *endpoint, char text[static LISTENER_TEXT_SIZE])
{
    char host[INET6_ADDRSTRLEN] = "";
    if (endpoint->address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const void *)&endpoint->address;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        snprintf(text, LISTENER_TEXT_SIZE, "[%s]:%u", host, (unsigned)ntohs(six->sin6_port));
    } else {
        const struct sockaddr_in *four = (const void *)&endpoint->address;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        snprintf(text, LISTENER_TEXT_SIZE, "%s:%u", host, (unsigned)ntohs(four->sin_port));
    }
}

bool listener_open(const struct listen_address *address, int *sockets, size_t count,
                   char text[static LISTENER_TEXT_SIZE])
{
    struct endpoint endpoint;
    if (!listener_resolve(address, &endpoint) || !probe(&endpoint))
        return false;
    format(&endpoint, text);
    for (size_t i = 0; i < count; i++) {
        sockets[i] = bind_socket(&endpoint, count > 1);
        if (sockets[i] >= 0)
            continue;
        int error = errno;
        while (i > 0)
            close(sockets[--i]);
        errno = error;
        return false;
    }
    return true;
}
