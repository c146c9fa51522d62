#ifndef RENEWGATE_PROXY_BASE_MAILBOX_H
#define RENEWGATE_PROXY_BASE_MAILBOX_H

/*
 * How other threads reach a worker: they post messages, and the worker opens them in its own loop.
 */

#include <pthread.h>
#include <stdbool.h>

#include "proxy/base/loop.h"

/* Owned by whom it is about, who keeps it in place until it is opened or withdrawn. */
struct mailbox_message {
    struct mailbox_message *next;
    bool posted;
    void (*open)(void *user); /* on the worker's thread */
    void *user;
};

struct mailbox {
    pthread_mutex_t lock;
    struct mailbox_message *first;
    struct mailbox_message **end;
    struct loop *loop;
    struct loop_source source;
    int event;
};

/* False with errno. The mailbox must stay where it is; the loop must outlive it. */
bool mailbox_open(struct mailbox *mailbox, struct loop *loop);

/* Once nobody posts any more; what is posted is not opened. */
void mailbox_close(struct mailbox *mailbox);

/* From any thread. A message that is posted already stays where it is in the queue. */
void mailbox_post(struct mailbox *mailbox, struct mailbox_message *message);

/* On the worker's thread: the message is not opened any more. */
void mailbox_withdraw(struct mailbox *mailbox, struct mailbox_message *message);

#endif
