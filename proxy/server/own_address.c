#include "proxy/server/own_address.h"

#include <curl/curl.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The caller's to curl_free(), without an IPv6 address's brackets; NULL where there is none. */
static char *host_of(const char *url)
{
    CURLU *parsed = curl_url();
    char *host = NULL;
    if (parsed == NULL || curl_url_set(parsed, CURLUPART_URL, url, 0) != CURLUE_OK ||
        curl_url_get(parsed, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        host = NULL;
    curl_url_cleanup(parsed);
    size_t len = host == NULL ? 0 : strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        memmove(host, host + 1, len - 2);
        host[len - 2] = '\0';
    }
    return host;
}

/* To connect a datagram socket chooses the address that its packets would be from. */
static bool find_for(const struct addrinfo *server, struct network_address *out)
{
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    int file = socket(server->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (file < 0)
        return false;
    bool found = connect(file, server->ai_addr, server->ai_addrlen) == 0 &&
                 getsockname(file, (void *)&own, &len) == 0 &&
                 network_address_of((const void *)&own, out);
    close(file);
    return found;
}

bool own_address_find(const char *url, char text[static NETWORK_ADDRESS_TEXT_SIZE])
{
    const struct addrinfo hints = {.ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *servers = NULL;
    struct network_address address;
    bool found = false;
    char *host = host_of(url);
    text[0] = '\0';
    if (host != NULL && getaddrinfo(host, "9", &hints, &servers) == 0) {
        for (const struct addrinfo *at = servers; at != NULL && !found; at = at->ai_next)
            found = find_for(at, &address);
        freeaddrinfo(servers);
    }
    curl_free(host);
    if (found)
        network_address_write(&address, text);
    return found;
}
