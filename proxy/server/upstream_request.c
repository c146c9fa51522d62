#include "proxy/server/upstream_parts.h"

#include <string.h>

/*
 * Shorter than servers usually keep an idle connection, so that a request is rarely sent into one
 * that is being closed.
 */
#define IDLE_CONNECTION_SECONDS 25L
#define RECEIVE_SIZE 65536L
#define SEND_SIZE 65536L
/* The least that curl takes. */
#define SMALL_SEND_SIZE 16384L
/* Tunnels may be idle for hours, each with its buffers. */
#define TUNNEL_RECEIVE_SIZE 4096L

/*
 * Before each attempt. curl by itself makes up to six, whatever the method, each time that a kept
 * connection ends before it has answered anything.
 */
static int on_attempt(void *user, char *their_address, char *own_address, int their_port,
                      int own_port)
{
    (void)their_address;
    (void)own_address;
    (void)their_port;
    (void)own_port;
    struct transfer *transfer = user;
    long sent = 0;
    curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &sent);
    bool again = !transfer->once && (sent == 0 || transfer->repeatable);
    transfer->attempts++;
    if (transfer->attempts == 1 || (transfer->attempts == 2 && again))
        return CURL_PREREQFUNC_OK;
    transfer->fault = "the server closed a kept connection and may have read the request";
    return CURL_PREREQFUNC_ABORT;
}

/* What is the same for every transfer. */
static void set_common(struct transfer *transfer)
{
    const struct upstream_settings *settings = &transfer->upstream->settings;
    CURL *easy = transfer->easy;
    curl_easy_setopt(easy, CURLOPT_CURLU, transfer->upstream->url);
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(easy, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)settings->connect_timeout_ms);
    curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_SECONDS);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, settings->tls_verify ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, settings->tls_verify ? 2L : 0L);
    if (settings->ca != NULL)
        curl_easy_setopt(easy, CURLOPT_CAINFO, settings->ca);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, transfer_on_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, transfer_on_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_READFUNCTION, transfer_on_pull);
    curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_attempt);
    curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, upstream_open_connection);
    curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer->upstream);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, upstream_close_connection);
    curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->upstream);
}

/* One more line for curl; the list lives in the arena, so nothing is freed piece by piece. */
static bool add_line(struct transfer *transfer, struct curl_slist ***end, char *text)
{
    struct curl_slist *line = arena_alloc(transfer->arena, sizeof *line);
    if (line == NULL || text == NULL)
        return false;
    *line = (struct curl_slist){.data = text};
    **end = line;
    *end = &line->next;
    return true;
}

/* curl spells an empty field "Name;" and leaves out its own one for "Name:". */
static char *field_line(struct transfer *transfer, const struct field *field)
{
    size_t len = field->name_len + 2 + field->value_len;
    char *line = arena_alloc(transfer->arena, len + 1);
    if (line == NULL)
        return NULL;
    memcpy(line, field->name, field->name_len);
    if (field->value_len == 0) {
        memcpy(line + field->name_len, ";", 2);
        return line;
    }
    memcpy(line + field->name_len, ": ", 2);
    memcpy(line + field->name_len + 2, field->value, field->value_len + 1);
    return line;
}

/*
 * curl would move Host to the front and spell it its own way. Told first to leave it out, it takes
 * the later line for one that it does not know. Without Transfer-Encoding, it would send what is
 * for a tunnel in chunks.
 */
static bool set_fields(struct transfer *transfer, const struct field_list *fields)
{
    static const struct {
        const char *name;
        char *left_out;
    } own_ones[] = {
        {"Accept", "Accept:"},
        {"Expect", "Expect:"},
        {"Content-Type", "Content-Type:"},
        {"Transfer-Encoding", "Transfer-Encoding:"},
    };
    size_t own_count = sizeof own_ones / sizeof *own_ones - (transfer->asks_upgrade ? 0 : 1);
    struct curl_slist *lines = NULL;
    struct curl_slist **end = &lines;
    if (field_find(fields, "Host") != NULL && !add_line(transfer, &end, "Host:"))
        return false;
    for (size_t i = 0; i < fields->count; i++) {
        if (!add_line(transfer, &end, field_line(transfer, &fields->fields[i])))
            return false;
    }
    for (size_t i = 0; i < own_count; i++) {
        if (field_find(fields, own_ones[i].name) == NULL &&
            !add_line(transfer, &end, own_ones[i].left_out))
            return false;
    }
    return curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, lines) == CURLE_OK;
}

/* curl 8 has and clears a buffer of that size even for what has no body. */
static long send_size(const struct upstream_request *request)
{
    switch (request->body_kind) {
    case BODY_STREAM:
    case BODY_CHUNKS:
        return SEND_SIZE;
    case BODY_WHOLE:
        return request->len > SMALL_SEND_SIZE ? SEND_SIZE : SMALL_SEND_SIZE;
    case BODY_NONE:
    case BODY_UPGRADE:
        break;
    }
    return SMALL_SEND_SIZE;
}

static bool set_body(CURL *easy, const struct upstream_request *request)
{
    bool tunnel = request->body_kind == BODY_UPGRADE;
    bool stream = request->body_kind == BODY_STREAM || request->body_kind == BODY_CHUNKS || tunnel;
    curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, tunnel ? TUNNEL_RECEIVE_SIZE : RECEIVE_SIZE);
    curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, send_size(request));
    /*
     * A stream cannot be sent twice, so it must not meet a connection that is being closed. Its own
     * is not kept either: the next stream would leave it alone, and they would pile up.
     */
    long alone = stream || request->once ? 1L : 0L;
    curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, alone);
    curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, alone);
    switch (request->body_kind) {
    case BODY_NONE:
        if (strcmp(request->method, "HEAD") == 0)
            curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        break;
    case BODY_WHOLE:
        curl_easy_setopt(easy, CURLOPT_POST, 1L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->len);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, request->body);
        break;
    case BODY_STREAM:
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->len);
        break;
    case BODY_CHUNKS:
    case BODY_UPGRADE:
        curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, (curl_off_t)-1);
        break;
    }
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK;
}

bool transfer_write_request(struct transfer *transfer, const struct upstream_request *request)
{
    CURL *easy = transfer->easy;
    set_common(transfer);
    return set_fields(transfer, &request->fields) && set_body(easy, request) &&
           curl_easy_setopt(easy, CURLOPT_REQUEST_TARGET, request->target) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)request->timeout_ms) == CURLE_OK;
}
