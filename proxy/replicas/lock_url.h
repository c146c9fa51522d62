#ifndef RENEWGATE_PROXY_REPLICAS_LOCK_URL_H
#define RENEWGATE_PROXY_REPLICAS_LOCK_URL_H

/*
 * Where the lock server is, from a URL as Redis' and Valkey's own tools write it:
 * redis://[[user]:password@]host[:port][/database], and rediss:// for TLS.
 */

#include <stdbool.h>

struct lock_server {
    bool tls;
    char *address;     /* host:port, the host as in a URL; NULL: there is no lock server */
    char *user;        /* NULL: the server's default one */
    char *password;    /* NULL: none is asked for */
    unsigned database; /* the server selects 0 by itself */
};

/* Reads the URL; false where it is none. End with lock_server_clear() in either case. */
bool lock_url_read(const char *text, struct lock_server *out);

void lock_server_clear(struct lock_server *server);

#endif
