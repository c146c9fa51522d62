#ifndef RENEWGATE_TESTS_UNIT_LOOPBACK_H
#define RENEWGATE_TESTS_UNIT_LOOPBACK_H

/* A listening socket on a port of the loopback that was free. */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

#define LOOPBACK_URL_SIZE 32

/* `url` gets where that is, without a path. The caller's to close. Behind <cmocka.h>. */
static inline int loopback_listen(char url[static LOOPBACK_URL_SIZE])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(listener >= 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(listener, 64), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(url, LOOPBACK_URL_SIZE, "http://127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    return listener;
}

#endif
