#include "proxy/clients/downstream_parts.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "proxy/clients/acceptor.h"
#include "proxy/telemetry/metrics.h"

int connection_socket(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

void *connection_tls_session(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    return info == NULL ? NULL : info->tls_session;
}

struct client *connection_client(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

/* A dead client's host would otherwise hold a stream for ever. */
void connection_keep_alive(int file)
{
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, 60},
        {IPPROTO_TCP, TCP_KEEPINTVL, 15},
        {IPPROTO_TCP, TCP_KEEPCNT, 4},
    };
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        setsockopt(file, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

void connection_look_after(struct MHD_Connection *connection)
{
    char byte;
    int file = connection_socket(connection);
    if (file >= 0 && recv(file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        shutdown(file, SHUT_RDWR);
}

static void format_peer(const struct sockaddr *address, char peer[static NETWORK_ADDRESS_TEXT_SIZE])
{
    struct network_address plain;
    if (network_address_of(address, &plain))
        network_address_write(&plain, peer);
    else
        strcpy(peer, "unknown");
}

static void show_keypair(struct client *client)
{
    void *session = connection_tls_session(client->connection);
    if (session == NULL)
        return;
    client->keypair = keypair_take(client->downstream->keypairs);
    keypair_show(client->keypair, session);
}

/* Every connection is shown its pair, but for those that are closed for want of memory. */
int connection_show_nothing(gnutls_session_t session, const gnutls_datum_t *authorities,
                            int authority_count, const gnutls_pk_algorithm_t *algorithms,
                            int algorithm_count, gnutls_pcert_st **certificates,
                            unsigned int *certificate_count, gnutls_privkey_t *key)
{
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    (void)certificates;
    (void)certificate_count;
    (void)key;
    return -1;
}

void client_begin_wait(struct client *client, monotonic_time now, int64_t timeout_ms)
{
    client->waits_since = now;
    client->head_due = monotonic_after(now, timeout_ms);
}

void client_end_wait(struct client *client)
{
    client->waits_since = MONOTONIC_NEVER;
    client->head_due = MONOTONIC_NEVER;
}

/*
 * Nobody waits for those who say nothing: whoever has been there for longest is ended. One whose
 * request waits for the server is not gone before the next tick, and then it is another's turn.
 */
static void client_make_room(const struct downstream *downstream)
{
    struct client *oldest = NULL;
    for (struct client *client = downstream->clients->next; client != NULL; client = client->next)
        oldest = client->makes_room ? oldest : client;
    if (oldest == NULL)
        return;
    oldest->makes_room = true;
    shutdown(connection_socket(oldest->connection), SHUT_RDWR);
}

static struct client *client_create(struct downstream *downstream,
                                    struct MHD_Connection *connection)
{
    struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return NULL;
    client->downstream = downstream;
    client->connection = connection;
    client_begin_wait(client, clock_monotonic(), downstream->header_timeout_ms);
    client->next = downstream->clients;
    if (client->next != NULL)
        client->next->previous = client;
    downstream->clients = client;
    downstream->client_count++;
    metrics_connection_opened(downstream->metrics);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info != NULL && info->client_addr != NULL)
        format_peer(info->client_addr, client->peer);
    client->is_trusted = forwarding_trusts(client->peer, downstream->trusted);
    if (downstream->keypairs != NULL)
        show_keypair(client);
    if (downstream->makes_room && downstream->client_count == downstream->max_connections)
        client_make_room(downstream);
    return client;
}

/* At its limit of connections libmicrohttpd looks at its listening socket only in a later run. */
static void client_destroy(struct client *client)
{
    struct downstream *downstream = client->downstream;
    downstream->needs_run = true;
    downstream->client_count--;
    metrics_connection_closed(downstream->metrics);
    if (client->previous != NULL)
        client->previous->next = client->next;
    else
        downstream->clients = client->next;
    if (client->next != NULL)
        client->next->previous = client->previous;
    keypair_release(client->keypair);
    free(client->target);
    free(client);
    if (downstream->acceptor != NULL)
        acceptor_resume(downstream->acceptor);
}

void connection_notify(void *user, struct MHD_Connection *connection, void **context,
                       enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *context = client_create(user, connection);
        return;
    }
    if (*context != NULL)
        client_destroy(*context);
    *context = NULL;
}

/*
 * The only sight of the raw target: libmicrohttpd decodes it in place afterwards. It is kept with
 * the connection, since not every request that comes so far reaches the handler and its end.
 */
void *connection_take_target(void *user, const char *target, struct MHD_Connection *connection)
{
    (void)user;
    struct client *client = connection_client(connection);
    if (client == NULL)
        return NULL;
    size_t len = strlen(target);
    if (len + 1 > client->target_capacity) {
        char *bytes = realloc(client->target, len + 1);
        client->target_len = 0;
        if (bytes == NULL)
            return NULL;
        client->target = bytes;
        client->target_capacity = len + 1;
    }
    memcpy(client->target, target, len + 1);
    client->target_len = len;
    return NULL;
}

/*
 * libmicrohttpd's own limit is on silence, so that a byte now and then would keep a connection for
 * ever; and before a head is whole it has no request to show.
 */
void clients_look_after(struct downstream *downstream, monotonic_time now)
{
    for (struct client *client = downstream->clients; client != NULL; client = client->next) {
        if (monotonic_reached(client->head_due, now)) {
            client_end_wait(client);
            shutdown(connection_socket(client->connection), SHUT_RDWR);
        } else if (monotonic_elapsed(client->waits_since, now) >= PATIENCE_NANOSECONDS) {
            connection_look_after(client->connection);
        }
    }
}

/* Idle connections; those whose next request has begun to come are not. */
void clients_shut_idle(struct downstream *downstream)
{
    char byte;
    for (struct client *client = downstream->clients; client != NULL; client = client->next) {
        int file = connection_socket(client->connection);
        if (client->head_due.nanoseconds != MONOTONIC_NEVER.nanoseconds &&
            recv(file, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
            shutdown(file, SHUT_RDWR);
    }
}
