#include "tests/bench/loopback.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define BACKLOG 4096

void loopback_fail(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct sockaddr_in address_of(unsigned port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int without_delay(int file)
{
    int on = 1;
    setsockopt(file, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return file;
}

int loopback_listen(unsigned *port)
{
    struct sockaddr_in address = address_of(0);
    socklen_t len = sizeof address;
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || bind(file, (struct sockaddr *)&address, len) != 0 ||
        listen(file, BACKLOG) != 0 || getsockname(file, (struct sockaddr *)&address, &len) != 0)
        loopback_fail("cannot listen");
    *port = ntohs(address.sin_port);
    return file;
}

int loopback_accept(int listener)
{
    int file = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (file < 0)
        loopback_fail("accept");
    return without_delay(file);
}

int loopback_connect(unsigned port)
{
    struct sockaddr_in address = address_of(port);
    int file = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (file < 0 || connect(file, (struct sockaddr *)&address, sizeof address) != 0)
        loopback_fail("cannot connect");
    return without_delay(file);
}
