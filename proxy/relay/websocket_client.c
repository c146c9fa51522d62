#include "proxy/relay/websocket_parts.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* What is read of the client lies here unread up to that, and comes in such pieces. */
#define STREAM_LOW ((size_t)32768)
#define READ_BLOCK ((size_t)16384)
#define READ_ROUNDS 16

static bool reads_client(const struct websocket *websocket)
{
    return !websocket->client_left && !websocket_is_deciding(websocket) &&
           websocket->client.frames.in.len < STREAM_LOW;
}

static void on_client_ready(void *user, uint32_t events)
{
    struct websocket *websocket = user;
    websocket_mark(websocket);
    /* Its request would be answered to nobody. */
    if (events & (EPOLLERR | EPOLLHUP) || ((events & EPOLLRDHUP) && !reads_client(websocket)))
        websocket->client_left = true;
}

struct loop_source websocket_client_source(struct websocket *websocket)
{
    return (struct loop_source){on_client_ready, websocket};
}

void websocket_client_read(struct websocket *websocket)
{
    struct buffer *in = &websocket->client.frames.in;
    char block[READ_BLOCK];
    for (int i = 0; i < READ_ROUNDS && reads_client(websocket); i++) {
        ssize_t len = recv(websocket->file, block, sizeof block, MSG_DONTWAIT);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            return;
        if (len <= 0)
            websocket->client_left = true;
        else if (!websocket->client.ended && !buffer_append(in, block, (size_t)len))
            websocket->client.frames.no_memory = true;
    }
}

bool websocket_client_write(struct websocket *websocket)
{
    struct buffer *out = &websocket->client.frames.out;
    size_t before = out->len;
    while (out->len > 0 && !websocket->client_left) {
        ssize_t len =
            send(websocket->file, buffer_content(out), out->len, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (len < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (len < 0)
            websocket->client_left = true;
        else
            buffer_drop(out, (size_t)len);
    }
    if (out->len == before)
        return false;
    websocket->context->websockets->passed += before - out->len;
    websocket->give_up = MONOTONIC_NEVER;
    return true;
}

void websocket_client_end_watch(struct websocket *websocket)
{
    if (websocket->in_loop)
        loop_forget(websocket->context->loop, websocket->file);
    websocket->in_loop = false;
}

void websocket_client_watch(struct websocket *websocket)
{
    struct loop *loop = websocket->context->loop;
    bool reads = reads_client(websocket);
    uint32_t events = (reads ? (uint32_t)EPOLLIN : 0) |
                      (websocket->client.frames.out.len > 0 ? (uint32_t)EPOLLOUT : 0);
    /* A client that has left while its request is decided is not to be waited for. */
    if (!reads && websocket_is_deciding(websocket))
        events |= (uint32_t)EPOLLRDHUP;
    if (websocket->client_left) {
        websocket_client_end_watch(websocket);
        return;
    }
    if (websocket->in_loop && events == websocket->watched)
        return;
    websocket->in_loop = websocket->in_loop
                             ? loop_change(loop, websocket->file, events, &websocket->source)
                             : loop_watch(loop, websocket->file, events, &websocket->source);
    websocket->watched = events;
    if (!websocket->in_loop)
        websocket->client_left = true;
}
