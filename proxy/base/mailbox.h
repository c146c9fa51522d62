#ifndef RENEWGATE_PROXY_BASE_MAILBOX_H
#define RENEWGATE_PROXY_BASE_MAILBOX_H

/*
 * How other threads reach a worker: they post letters, and the worker opens them in its own loop.
 */

#include <pthread.h>
#include <stdbool.h>

#include "proxy/base/loop.h"

/* Owned by whom it is about, who keeps it in place until it is opened or withdrawn. */
struct letter {
    struct letter *next;
    bool posted;
    void (*open)(void *user); /* on the worker's thread */
    void *user;
};

struct mailbox {
    pthread_mutex_t lock;
    struct letter *first;
    struct letter **end;
    struct loop *loop;
    struct loop_source source;
    int event;
};

/* False with errno. The mailbox must stay where it is; the loop must outlive it. */
bool mailbox_open(struct mailbox *mailbox, struct loop *loop);
void mailbox_close(struct mailbox *mailbox);

/* From any thread. A letter that is posted already stays where it is in the queue. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

/* On the worker's thread: the letter is not opened any more. */
void mailbox_withdraw(struct mailbox *mailbox, struct letter *letter);

#endif
