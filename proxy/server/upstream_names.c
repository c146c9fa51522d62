#include "proxy/server/upstream_parts.h"

#include <arpa/inet.h>
#include <stdio.h>

/* How long a name that was found is taken for known. */
#define KNOWN_SECONDS 60
/* A look-up that takes longer is left to itself, and another one may begin. */
#define LOOK_UP_SECONDS 300

static bool is_address(const char *host)
{
    struct in_addr unused;
    return *host == '[' || inet_pton(AF_INET, host, &unused) == 1;
}

bool names_prepare(struct upstream *upstream)
{
    char *host = NULL;
    TAILQ_INIT(&upstream->names.waiting);
    if (curl_url_get(upstream->url, CURLUPART_HOST, &host, 0) != CURLUE_OK)
        return false;
    upstream->names.needed = !is_address(host);
    curl_free(host);
    return true;
}

bool names_are_known(const struct upstream *upstream)
{
    const struct names *names = &upstream->names;
    return !names->needed || !monotonic_reached(names->known_until, clock_monotonic());
}

void names_doubt(struct upstream *upstream)
{
    upstream->names.known_until = upstream->now;
}

/* ---- the look-up ---- */

static void end_look_up(struct upstream *upstream)
{
    struct names *names = &upstream->names;
    connect_drop(upstream, names->easy);
    names->easy = NULL;
    upstream->connecting--;
}

void names_clear(struct upstream *upstream)
{
    if (upstream->names.easy != NULL)
        end_look_up(upstream);
}

/*
 * The name has been found, which is all that was wanted. It stays where every connection's handle
 * finds it: with its time-out of 0 libcurl would forget it together with this handle.
 */
static curl_socket_t on_found(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    struct names *names = user;
    (void)purpose;
    (void)address;
    names->found = true;
    curl_easy_setopt(names->easy, CURLOPT_DNS_CACHE_TIMEOUT, NAMES_CACHED_SECONDS);
    return CURL_SOCKET_BAD;
}

static bool look_up(struct upstream *upstream)
{
    struct names *names = &upstream->names;
    names->easy = curl_easy_init();
    if (names->easy == NULL)
        return false;
    names->found = false;
    names->error[0] = '\0';
    connect_set_server(upstream, names->easy);
    curl_easy_setopt(names->easy, CURLOPT_CONNECTTIMEOUT_MS, LOOK_UP_SECONDS * 1000L);
    curl_easy_setopt(names->easy, CURLOPT_DNS_CACHE_TIMEOUT, 0L);
    curl_easy_setopt(names->easy, CURLOPT_ERRORBUFFER, names->error);
    curl_easy_setopt(names->easy, CURLOPT_OPENSOCKETFUNCTION, on_found);
    curl_easy_setopt(names->easy, CURLOPT_OPENSOCKETDATA, names);
    return connect_add(upstream, &names->easy);
}

/* ---- those who wait for it ---- */

bool names_wait(struct connection *connection)
{
    struct names *names = &connection->upstream->names;
    if (names->easy == NULL && !look_up(connection->upstream))
        return false;
    connection->waits_for_name = true;
    connection->look_up = names->look_ups;
    TAILQ_INSERT_TAIL(&names->waiting, connection, name_entry);
    return true;
}

void names_leave(struct connection *connection)
{
    if (connection->waits_for_name)
        TAILQ_REMOVE(&connection->upstream->names.waiting, connection, name_entry);
    connection->waits_for_name = false;
}

monotonic_time names_due(const struct upstream *upstream)
{
    const struct connection *first = TAILQ_FIRST(&upstream->names.waiting);
    return first == NULL ? MONOTONIC_NEVER : first->connect_due;
}

static void begin_all(struct upstream *upstream)
{
    struct connection *connection;
    while ((connection = TAILQ_FIRST(&upstream->names.waiting)) != NULL) {
        names_leave(connection);
        if (!connect_start(connection))
            transfer_not_connected(connection->transfer, UPSTREAM_MEMORY, "out of memory");
    }
}

/* Whoever is told may ask again at once, and waits for the next look-up then. */
void names_fail(struct upstream *upstream, enum upstream_failure failure, const char *words)
{
    struct names *names = &upstream->names;
    struct connection *connection;
    char detail[CURL_ERROR_SIZE];
    snprintf(detail, sizeof detail, "%s", names->error[0] != '\0' ? names->error : words);
    end_look_up(upstream);
    unsigned long ended = names->look_ups++;
    while ((connection = TAILQ_FIRST(&names->waiting)) != NULL && connection->look_up == ended) {
        names_leave(connection);
        transfer_not_connected(connection->transfer, failure, detail);
    }
}

void names_run(struct upstream *upstream)
{
    struct names *names = &upstream->names;
    struct connection *connection;
    if (names->easy != NULL && names->found) {
        end_look_up(upstream);
        names->look_ups++;
        names->known_until = monotonic_after(upstream->now, KNOWN_SECONDS * (int64_t)1000);
        begin_all(upstream);
    }
    while ((connection = TAILQ_FIRST(&names->waiting)) != NULL &&
           monotonic_reached(connection->connect_due, upstream->now)) {
        names_leave(connection);
        transfer_not_connected(connection->transfer, UPSTREAM_CONNECT,
                               "the server's name was not found in time");
    }
}
