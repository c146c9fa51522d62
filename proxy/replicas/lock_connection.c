#include "proxy/replicas/lock_connection.h"

#include <curl/curl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/clock.h"
#include "proxy/base/loop.h"

#define RECEIVE_SIZE 4096
/* A lease for trial that nobody gives back is gone after this. */
#define TRIAL_LIFE_MILLISECONDS 5000

struct lock_connection {
    CURL *easy;
    struct lock_reader *reader;
    curl_socket_t file;
    char curl_error[CURL_ERROR_SIZE];
};

/* ---- bytes ---- */

static bool lock_connection_fail(char error[static LOCK_ERROR_SIZE], const char *reason)
{
    snprintf(error, LOCK_ERROR_SIZE, "%s", reason);
    return false;
}

/* What curl says, in its longer words where it has them. */
static bool fail_as_curl(struct lock_connection *connection, CURLcode code,
                         char error[static LOCK_ERROR_SIZE])
{
    const char *words = connection->curl_error;
    return lock_connection_fail(error, *words != '\0' ? words : curl_easy_strerror(code));
}

int lock_connection_file(const struct lock_connection *connection)
{
    return connection->file;
}

bool lock_connection_send(struct lock_connection *connection, struct buffer *bytes,
                          char error[static LOCK_ERROR_SIZE])
{
    while (bytes->len > 0) {
        size_t sent = 0;
        CURLcode code = curl_easy_send(connection->easy, buffer_content(bytes), bytes->len, &sent);
        if (code == CURLE_AGAIN)
            return true;
        if (code != CURLE_OK)
            return fail_as_curl(connection, code, error);
        buffer_drop(bytes, sent);
    }
    return true;
}

/* False without an error: nothing is there to be read now. */
static bool receive_bytes(struct lock_connection *connection, char error[static LOCK_ERROR_SIZE])
{
    char bytes[RECEIVE_SIZE];
    size_t len = 0;
    CURLcode code = curl_easy_recv(connection->easy, bytes, sizeof bytes, &len);
    error[0] = '\0';
    if (code == CURLE_AGAIN)
        return false;
    if (code != CURLE_OK)
        return fail_as_curl(connection, code, error);
    if (len == 0)
        return lock_connection_fail(error, "it closed the connection");
    return lock_reader_feed(connection->reader, bytes, len) ||
           lock_connection_fail(error, "out of memory");
}

enum lock_receipt lock_connection_receive(struct lock_connection *connection,
                                          struct lock_reply *out,
                                          char error[static LOCK_ERROR_SIZE])
{
    do {
        switch (lock_reader_next(connection->reader, out)) {
        case LOCK_READING_REPLY:
            return LOCK_RECEIPT_REPLY;
        case LOCK_READING_NONSENSE:
            lock_connection_fail(error, "it does not speak as Redis or Valkey does");
            return LOCK_RECEIPT_NONSENSE;
        case LOCK_READING_MORE:
            break;
        }
    } while (receive_bytes(connection, error));
    return error[0] == '\0' ? LOCK_RECEIPT_LATER : LOCK_RECEIPT_BROKEN;
}

/* ---- the first words ---- */

static bool send_all(struct lock_connection *connection, struct buffer *bytes, monotonic_time until,
                     char error[static LOCK_ERROR_SIZE])
{
    while (lock_connection_send(connection, bytes, error)) {
        if (bytes->len == 0)
            return true;
        if (!loop_wait_for_file(connection->file, POLLOUT, until))
            return lock_connection_fail(error, "it did not answer in time");
    }
    return false;
}

static bool expect_reply(struct lock_connection *connection, enum lock_reply_kind kind,
                         monotonic_time until, char error[static LOCK_ERROR_SIZE])
{
    struct lock_reply reply;
    enum lock_receipt receipt;
    while ((receipt = lock_connection_receive(connection, &reply, error)) == LOCK_RECEIPT_LATER) {
        if (!loop_wait_for_file(connection->file, POLLIN, until))
            return lock_connection_fail(error, "it did not answer in time");
    }
    if (receipt != LOCK_RECEIPT_REPLY)
        return false;
    if (reply.kind == LOCK_REPLY_ERROR)
        snprintf(error, LOCK_ERROR_SIZE, "it refuses: %s", reply.text);
    else if (reply.kind != kind)
        lock_connection_fail(error, "it does not answer as Redis or Valkey does");
    return reply.kind == kind;
}

/* How many commands were written; 0 when memory ran out. All but the last are answered in text. */
static size_t write_greeting(const struct lock_connection_settings *settings, struct buffer *out)
{
    const struct lock_server *server = settings->server;
    const struct lock_key trial = {settings->prefix, "#trial", "trial"};
    size_t count = 2;
    bool fine = true;
    if (server->password != NULL) {
        fine = lock_command_auth(out, server->user, server->password);
        count++;
    }
    if (fine && server->database != 0) {
        fine = lock_command_select(out, server->database);
        count++;
    }
    fine = fine && lock_command_take(out, &trial, TRIAL_LIFE_MILLISECONDS) &&
           lock_command_give(out, &trial, "", 0);
    return fine ? count : 0;
}

static bool greet(struct lock_connection *connection,
                  const struct lock_connection_settings *settings,
                  char error[static LOCK_ERROR_SIZE])
{
    monotonic_time until = monotonic_after(clock_monotonic(), settings->timeout_ms);
    struct buffer greeting = BUFFER_EMPTY;
    size_t count = write_greeting(settings, &greeting);
    bool fine = count > 0 ? send_all(connection, &greeting, until, error)
                          : lock_connection_fail(error, "out of memory");
    buffer_clear(&greeting);
    for (; fine && count > 0; count--)
        fine =
            expect_reply(connection, count > 1 ? LOCK_REPLY_TEXT : LOCK_REPLY_NUMBER, until, error);
    return fine;
}

/* ---- the connection ---- */

static bool set_up(CURL *easy, const struct lock_connection_settings *settings, char *curl_error)
{
    char url[512];
    int len = snprintf(url, sizeof url, "%s://%s", settings->server->tls ? "https" : "http",
                       settings->server->address);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl_error);
    curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(easy, CURLOPT_PROXY, "");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    /* Its time-out would wait for the system's resolver. */
    curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->timeout_ms);
    /* Nothing but HTTP would be offered. */
    curl_easy_setopt(easy, CURLOPT_SSL_ENABLE_ALPN, 0L);
    if (settings->ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca);
    return len > 0 && (size_t)len < sizeof url &&
           curl_easy_setopt(easy, CURLOPT_URL, url) == CURLE_OK;
}

static bool establish(struct lock_connection *connection,
                      const struct lock_connection_settings *settings,
                      char error[static LOCK_ERROR_SIZE])
{
    connection->easy = curl_easy_init();
    connection->reader = lock_reader_create();
    if (connection->easy == NULL || connection->reader == NULL ||
        !set_up(connection->easy, settings, connection->curl_error))
        return lock_connection_fail(error, "out of memory");
    CURLcode code = curl_easy_perform(connection->easy);
    if (code == CURLE_OK)
        code = curl_easy_getinfo(connection->easy, CURLINFO_ACTIVESOCKET, &connection->file);
    if (code != CURLE_OK)
        return fail_as_curl(connection, code, error);
    return greet(connection, settings, error);
}

struct lock_connection *lock_connection_open(const struct lock_connection_settings *settings,
                                             char error[static LOCK_ERROR_SIZE])
{
    struct lock_connection *connection = calloc(1, sizeof *connection);
    if (connection == NULL) {
        lock_connection_fail(error, "out of memory");
        return NULL;
    }
    if (establish(connection, settings, error))
        return connection;
    lock_connection_close(connection);
    return NULL;
}

void lock_connection_close(struct lock_connection *connection)
{
    if (connection == NULL)
        return;
    curl_easy_cleanup(connection->easy);
    lock_reader_destroy(connection->reader);
    free(connection);
}
