#include "proxy/base/loop.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ROUND_SIZE 128

bool loop_open(struct loop *loop)
{
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll >= 0;
}

void loop_close(struct loop *loop)
{
    if (loop->epoll >= 0)
        close(loop->epoll);
    loop->epoll = -1;
}

bool loop_watch(struct loop *loop, int file, uint32_t events, struct loop_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(loop->epoll, EPOLL_CTL_ADD, file, &event) == 0;
}

bool loop_change(struct loop *loop, int file, uint32_t events, struct loop_source *source)
{
    struct epoll_event event = {.events = events, .data.ptr = source};
    return epoll_ctl(loop->epoll, EPOLL_CTL_MOD, file, &event) == 0;
}

void loop_forget(struct loop *loop, int file)
{
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, file, NULL);
}

void loop_wait(struct loop *loop, int milliseconds)
{
    struct epoll_event events[ROUND_SIZE];
    int count = epoll_wait(loop->epoll, events, ROUND_SIZE, milliseconds);
    for (int i = 0; i < count; i++) {
        struct loop_source *source = events[i].data.ptr;
        source->ready(source->user, events[i].events);
    }
}

bool loop_wait_for_file(int file, short events, monotonic_time until)
{
    struct pollfd watched = {.fd = file, .events = events};
    int ready;
    do {
        int64_t left = monotonic_milliseconds_until(clock_monotonic(), until);
        ready = left > 0 ? poll(&watched, 1, (int)left) : 0;
    } while (ready < 0 && errno == EINTR);
    return ready > 0;
}
