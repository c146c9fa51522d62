#include "tests/standin/listener.h"
#include "tests/standin/clock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static void *note_target(void *with, const char *uri, struct MHD_Connection *connection)
{
    struct request *request = calloc(1, sizeof *request);
    if (!request)
        abort();
    request->target = strdup(uri);
    request->connection = connection;
    request->listener = with;
    if (!request->target)
        abort();
    return request;
}

static void forget_request(void *with, struct MHD_Connection *connection, void **context,
                           enum MHD_RequestTerminationCode code)
{
    struct request *request = *context;
    (void)with;
    (void)connection;
    (void)code;
    if (!request)
        return;
    free(request->target);
    free(request->body);
    free(request);
    *context = NULL;
}

static void keep(struct request *request, const char *data, size_t size)
{
    size_t max = request->listener->max_body;
    request->received += size;
    if (max && request->len + size > max)
        size = max - request->len;
    if (request->len + size + 1 > request->room) {
        request->room = (request->len + size + 1) * 2;
        request->body = realloc(request->body, request->room);
        if (!request->body)
            abort();
    }
    memcpy(request->body + request->len, data, size);
    request->len += size;
    request->body[request->len] = '\0';
}

struct half {
    char *body;
    size_t len;
};

static ssize_t read_half(void *with, uint64_t at, char *buffer, size_t max)
{
    const struct half *half = with;
    if (at >= half->len / 2)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t count = half->len / 2 - at < max ? (size_t)(half->len / 2 - at) : max;
    memcpy(buffer, half->body + at, count);
    return (ssize_t)count;
}

static void free_half(void *with)
{
    struct half *half = with;
    free(half->body);
    free(half);
}

static struct MHD_Response *make_response(struct answer *answer)
{
    if (answer->response)
        return answer->response;
    if (!answer->truncate)
        return MHD_create_response_from_buffer(answer->len, answer->body ? answer->body : "",
                                               MHD_RESPMEM_MUST_COPY);
    struct half *half = malloc(sizeof *half);
    if (!half)
        abort();
    *half = (struct half){.body = answer->body, .len = answer->len};
    answer->body = NULL;
    /* cppcheck-suppress memleak ; the response frees it by free_half() */
    return MHD_create_response_from_callback(half->len, 16384, read_half, half, free_half);
}

static enum MHD_Result handle(void *with, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **context)
{
    struct request *request = *context;
    (void)url;
    if (!request->begun) {
        request->begun = true;
        keep(request, "", 0);
        return MHD_YES;
    }
    if (*size) {
        keep(request, data, *size);
        *size = 0;
        return MHD_YES;
    }
    struct listener *listener = with;
    struct answer answer = {.status = 500};
    request->method = method;
    request->version = version;
    listener->answer(request, &answer);
    if (answer.close) {
        free(answer.body);
        if (answer.response)
            MHD_destroy_response(answer.response);
        return MHD_NO;
    }
    struct MHD_Response *response = make_response(&answer);
    for (size_t i = 0; i < answer.header_count; i++)
        MHD_add_response_header(response, answer.headers[i][0], answer.headers[i][1]);
    /* The library would write the real time. */
    char date[CLOCK_TEXT];
    clock_format_http(clock_now(), date);
    MHD_add_response_header(response, "Date", date);
    enum MHD_Result result = MHD_queue_response(connection, answer.status, response);
    MHD_destroy_response(response);
    free(answer.body);
    return result;
}

static enum MHD_Result admit(void *with, const struct sockaddr *address, socklen_t len)
{
    const struct listener *listener = with;
    (void)address;
    (void)len;
    return !listener->admits || listener->admits() ? MHD_YES : MHD_NO;
}

bool listener_start(struct listener *listener, const char *address)
{
    char host[64];
    unsigned port;
    struct sockaddr_in in = {.sin_family = AF_INET};
    if (sscanf(address, "%63[^:]:%u", host, &port) != 2 || port > 65535 ||
        inet_pton(AF_INET, host, &in.sin_addr) != 1) {
        fprintf(stderr, "stalwart-standin: %s is not like 127.0.0.1:8080\n", address);
        return false;
    }
    in.sin_port = htons((uint16_t)port);
    listener->daemon = MHD_start_daemon(
        MHD_USE_THREAD_PER_CONNECTION | MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_POLL |
            MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG,
        (uint16_t)port, admit, listener, handle, listener, MHD_OPTION_SOCK_ADDR,
        (struct sockaddr *)&in, MHD_OPTION_URI_LOG_CALLBACK, note_target, listener,
        MHD_OPTION_NOTIFY_COMPLETED, forget_request, NULL, MHD_OPTION_CONNECTION_LIMIT, 8192u,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)(256 << 10), MHD_OPTION_LISTEN_BACKLOG_SIZE,
        4096u, MHD_OPTION_THREAD_STACK_SIZE, (size_t)(1 << 20), MHD_OPTION_END);
    if (!listener->daemon) {
        fprintf(stderr, "stalwart-standin: cannot listen on %s\n", address);
        return false;
    }
    listener->port = MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_BIND_PORT)->port;
    return true;
}

void listener_stop(struct listener *listener)
{
    MHD_stop_daemon(listener->daemon);
}

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

static enum MHD_Result add_pair(void *with, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    json_t *shown = value ? json_string(value) : json_null();
    (void)kind;
    json_array_append_new(with,
                          json_pack("[s, o]", name, shown ? shown : json_string("(not UTF-8)")));
    return MHD_YES;
}

json_t *request_headers(const struct request *request)
{
    json_t *list = json_array();
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, add_pair, list);
    return list;
}

void answer_header(struct answer *answer, const char *name, const char *value)
{
    if (answer->header_count < ANSWER_HEADERS) {
        answer->headers[answer->header_count][0] = name;
        answer->headers[answer->header_count++][1] = value;
    }
}

void answer_json(struct answer *answer, unsigned status, const char *content_type, json_t *json)
{
    free(answer->body);
    answer->status = status;
    answer->body = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    answer->len = answer->body ? strlen(answer->body) : 0;
    answer->header_count = 0;
    answer_header(answer, "content-type", content_type);
    json_decref(json);
}
