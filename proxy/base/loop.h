#ifndef RENEWGATE_PROXY_BASE_LOOP_H
#define RENEWGATE_PROXY_BASE_LOOP_H

/*
 * One thread's epoll set. Who watches a file gives a source that stays where it is until it is
 * watched no more and the round of events in which that happened is over.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/clock.h"

struct loop_source {
    void (*ready)(void *user, uint32_t events); /* EPOLLIN and so on */
    void *user;
};

struct loop {
    int epoll;
};

/* False with errno. */
bool loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Begin to watch, change what is watched for, and end it; false with errno. */
bool loop_watch(struct loop *loop, int file, uint32_t events, struct loop_source *source);
bool loop_change(struct loop *loop, int file, uint32_t events, struct loop_source *source);
void loop_forget(struct loop *loop, int file);

/* Waits up to `milliseconds` (-1: for ever), then calls the sources of one round of events. */
void loop_wait(struct loop *loop, int milliseconds);

/* For who has no loop: waits until the file is ready for POLLIN or POLLOUT; false at `until`. */
bool loop_wait_for_file(int file, short events, monotonic_time until);

#endif
