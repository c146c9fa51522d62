#include "tests/standin/websocket.h"
#include "tests/standin/api.h"
#include "tests/standin/http.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define MAX_MESSAGE (64 << 20)

enum { OP_MORE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

struct connection {
    MHD_socket socket;
    const char *early; /* bytes that came with the handshake */
    size_t early_len;
    const char *user;
};

static bool wait_for(MHD_socket socket, short events)
{
    while (!store.stopping) {
        struct pollfd poll_fd = {.fd = socket, .events = events};
        int ready = poll(&poll_fd, 1, 100);
        if (ready > 0)
            return true;
        if (ready < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static bool read_all(struct connection *c, void *buffer, size_t len)
{
    char *to = buffer;
    while (len) {
        ssize_t got;
        if (c->early_len) {
            got = (ssize_t)(c->early_len < len ? c->early_len : len);
            memcpy(to, c->early, (size_t)got);
            c->early += got;
            c->early_len -= (size_t)got;
        } else {
            if (!wait_for(c->socket, POLLIN))
                return false;
            got = recv(c->socket, to, len, 0);
            if (got < 0 && (errno == EAGAIN || errno == EINTR))
                continue;
            if (got <= 0)
                return false;
        }
        to += got;
        len -= (size_t)got;
    }
    return true;
}

static bool write_all(const struct connection *c, const void *buffer, size_t len)
{
    const char *from = buffer;
    while (len) {
        ssize_t put = send(c->socket, from, len, MSG_NOSIGNAL);
        if (put < 0 && (errno == EAGAIN || errno == EINTR)) {
            if (!wait_for(c->socket, POLLOUT))
                return false;
            continue;
        }
        if (put <= 0)
            return false;
        from += put;
        len -= (size_t)put;
    }
    return true;
}

static bool send_frame(const struct connection *c, int op, const char *data, size_t len)
{
    unsigned char head[10] = {(unsigned char)(0x80 | op)};
    size_t head_len = 2;
    if (len < 126) {
        head[1] = (unsigned char)len;
    } else if (len < 65536) {
        head[1] = 126;
        head[2] = (unsigned char)(len >> 8);
        head[3] = (unsigned char)len;
        head_len = 4;
    } else {
        head[1] = 127;
        for (int i = 0; i < 8; i++)
            head[2 + i] = (unsigned char)((uint64_t)len >> (56 - 8 * i));
        head_len = 10;
    }
    return write_all(c, head, head_len) && write_all(c, data, len);
}

struct frame {
    int op;
    bool last;
    char *data; /* NUL-terminated, owned */
    size_t len;
};

/* What breaks the protocol (RFC 6455, section 5) the server leaves without a word. */
static bool well_formed(const unsigned char head[2], bool under_way)
{
    int op = head[0] & 0xf, len = head[1] & 0x7f;
    bool last = head[0] & 0x80, masked = head[1] & 0x80, control = op >= OP_CLOSE;
    if ((head[0] & 0x70) || !masked || (op > OP_BINARY && op < OP_CLOSE) || op > OP_PONG)
        return false;
    return control ? last && len < 126 : under_way == (op == OP_MORE);
}

static bool read_frame(struct connection *c, struct frame *frame, bool under_way)
{
    unsigned char head[2], size[8], mask[4] = {0};
    *frame = (struct frame){0};
    if (!read_all(c, head, 2))
        return false;
    uint64_t len = head[1] & 0x7f;
    int extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (extra) {
        if (!read_all(c, size, (size_t)extra))
            return false;
        len = 0;
        for (int i = 0; i < extra; i++)
            len = len << 8 | size[i];
    }
    if (len > MAX_MESSAGE || ((head[1] & 0x80) && !read_all(c, mask, 4)))
        return false;
    frame->op = head[0] & 0xf;
    frame->last = head[0] & 0x80;
    frame->len = (size_t)len;
    frame->data = malloc(frame->len + 1);
    if (!frame->data)
        abort();
    /* Read to its end in any case: closing before would be a reset. */
    if (!read_all(c, frame->data, frame->len) || !well_formed(head, under_way)) {
        free(frame->data);
        return false;
    }
    for (size_t i = 0; i < frame->len; i++)
        frame->data[i] = (char)((unsigned char)frame->data[i] ^ mask[i & 3]);
    frame->data[frame->len] = '\0';
    return true;
}

static json_t *request_error(json_t *problem)
{
    json_t *error = json_pack("{s:s}", "@type", "RequestError");
    json_object_update(error, problem);
    json_decref(problem);
    return error;
}

static json_t *not_understood(size_t len)
{
    json_t *error = json_pack("{s:s, s:s, s:i}", "@type", "RequestError", "type",
                              "urn:ietf:params:jmap:error:notRequest", "status", 400);
    json_object_set_new(error, "detail",
                        json_sprintf("Invalid WebSocket JMAP request Invalid WebSocket JMAP "
                                     "request at line 1 column %zu",
                                     len));
    return error;
}

static bool is_utf8(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    json_decref(string);
    return string != NULL;
}

static const struct user *find_user(const char *name)
{
    for (size_t i = 0; i < store.user_count; i++)
        if (strcmp(store.users[i].name, name) == 0)
            return &store.users[i];
    return NULL;
}

/* The message's answer, NULL where there is none. */
static json_t *answer_message(const struct connection *c, const char *text, size_t len,
                              const struct fault *fault)
{
    struct api_request request;
    json_t *message = json_loadb(text, len, JSON_ALLOW_NUL, NULL);
    const char *type = json_string_value(json_object_get(message, "@type"));
    bool has_calls = json_object_get(message, "methodCalls") || json_object_get(message, "using") ||
                     json_object_get(message, "createdIds");
    json_t *answer = NULL;
    if (type && strcmp(type, "Request") == 0 && has_calls) {
        /* Unlike a POST, a message need not have both. */
        enum api_refusal refusal = api_parse(VERSION_0_16_5, text, len, &request);
        if (refusal == API_GOOD) {
            pthread_mutex_lock(&store.lock);
            const struct user *user = find_user(c->user);
            json_t *document = user ? api_run(&request, user, fault) : NULL;
            pthread_mutex_unlock(&store.lock);
            answer = json_pack("{s:s}", "@type", "Response");
            if (document)
                json_object_update(answer, document);
            json_decref(document);
            /* Misnamed over WebSocket only. */
            json_t *created_ids = json_object_get(answer, "createdIds");
            if (created_ids)
                json_object_set(answer, "created_ids", created_ids);
            json_object_del(answer, "createdIds");
            if (json_is_string(json_object_get(message, "id")))
                json_object_set(answer, "requestId", json_object_get(message, "id"));
            api_request_clear(&request);
        } else {
            answer = refusal == API_NOT_REQUEST ? not_understood(len)
                                                : request_error(http_refusal(refusal, text, len));
        }
    } else if (!type || (strcmp(type, "WebSocketPushEnable") != 0 &&
                         strcmp(type, "WebSocketPushDisable") != 0)) {
        answer = not_understood(len);
    }
    json_decref(message);
    return answer;
}

/* false: the connection is to be closed. */
static bool take_message(const struct connection *c, const char *text, size_t len)
{
    struct fault fault = {0};
    traffic_note("WS", "/jmap/ws", "", json_array(), text, len);
    bool faulty = fault_take("/jmap/ws", "", text, len, &fault);
    bool good = true;
    json_t *answer = NULL;
    if (faulty && !fault.after)
        good = http_suffer(&fault);
    if (good)
        answer = answer_message(c, text, len, faulty ? &fault : NULL);
    if (faulty && fault.after)
        good = http_suffer(&fault);
    if (good && answer) {
        char *bytes = json_dumps(answer, JSON_COMPACT);
        if (faulty && (fault.garbage || fault.body)) {
            free(bytes);
            bytes = text_copy(fault.body ? fault.body : "{\"@type\":");
        }
        good = send_frame(c, OP_TEXT, bytes, strlen(bytes));
        free(bytes);
    }
    json_decref(answer);
    if (faulty)
        fault_free(&fault);
    return good;
}

/* A message that was begun, of text or of bytes, which the server passes over. */
struct message {
    bool under_way, binary;
    char *text;
    size_t len;
};

static bool add_frame(const struct connection *c, struct message *message,
                      const struct frame *frame)
{
    if (frame->op != OP_MORE)
        message->binary = frame->op == OP_BINARY;
    if (message->len + frame->len > MAX_MESSAGE)
        return false;
    message->text = realloc(message->text, message->len + frame->len + 1);
    if (!message->text)
        abort();
    memcpy(message->text + message->len, frame->data, frame->len);
    message->len += frame->len;
    message->text[message->len] = '\0';
    message->under_way = !frame->last;
    if (message->under_way)
        return true;
    size_t len = message->len;
    message->len = 0;
    return message->binary || (is_utf8(message->text, len) && take_message(c, message->text, len));
}

/* A close frame ends the connection too, unanswered. */
static void converse(struct connection *c)
{
    struct message message = {0};
    bool open = true;
    struct frame frame;
    while (open && read_frame(c, &frame, message.under_way)) {
        if (frame.op == OP_PING)
            open = send_frame(c, OP_PONG, frame.data, frame.len);
        else if (frame.op < OP_CLOSE)
            open = add_frame(c, &message, &frame);
        else
            open = frame.op != OP_CLOSE;
        free(frame.data);
    }
    free(message.text);
}

static void upgraded(void *with, struct MHD_Connection *connection, void *context,
                     const char *extra, size_t extra_len, MHD_socket socket,
                     struct MHD_UpgradeResponseHandle *handle)
{
    (void)connection;
    (void)context;
    struct connection c = {.socket = socket, .early = extra, .early_len = extra_len, .user = with};
    converse(&c);
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
}

/*
 * Names of users, kept to the end, each once: a client that is gone before the 101 has gone out
 * leaves no one to free its own.
 */
static struct name {
    struct name *next;
    char text[];
} *names;
static pthread_mutex_t names_lock = PTHREAD_MUTEX_INITIALIZER;

static char *keep_name(const char *text)
{
    pthread_mutex_lock(&names_lock);
    struct name *name = names;
    while (name && strcmp(name->text, text) != 0)
        name = name->next;
    if (!name) {
        name = malloc(sizeof *name + strlen(text) + 1);
        if (!name)
            abort();
        strcpy(name->text, text);
        name->next = names;
        names = name;
    }
    pthread_mutex_unlock(&names_lock);
    return name->text;
}

void websocket_free(void)
{
    while (names) {
        struct name *name = names;
        names = name->next;
        free(name);
    }
}

static void accept_key(const char *key, char text[32])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char joined[128];
    snprintf(joined, sizeof joined, "%.64s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
    EVP_Digest(joined, strlen(joined), digest, &len, EVP_sha1(), NULL);
    EVP_EncodeBlock((unsigned char *)text, digest, (int)len);
}

void websocket_answer(const struct request *request, const char *user, struct answer *answer)
{
    const char *upgrade = request_header(request, "Upgrade");
    const char *key = request_header(request, "Sec-WebSocket-Key");
    const char *version = request_header(request, "Sec-WebSocket-Version");
    if (!upgrade || strcasecmp(upgrade, "websocket") != 0 || !key || !version ||
        strcmp(version, "13") != 0) {
        answer_json(answer, 400, "application/problem+json",
                    json_pack("{s:s, s:i, s:s, s:s}", "type", "about:blank", "status", 400, "title",
                              "Invalid parameters", "detail", "WebSocket upgrade failed"));
        return;
    }
    char accept[32];
    accept_key(key, accept);
    answer->status = 101;
    answer->response = MHD_create_response_for_upgrade(upgraded, keep_name(user));
    MHD_add_response_header(answer->response, "Upgrade", "websocket");
    MHD_add_response_header(answer->response, "Sec-WebSocket-Accept", accept);
    MHD_add_response_header(answer->response, "Sec-WebSocket-Protocol", "jmap");
}
