#include "proxy/base/mailbox.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct mailbox_message *mailbox_take(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mailbox_message *message = mailbox->first;
    if (message != NULL) {
        mailbox->first = message->next;
        if (mailbox->first == NULL)
            mailbox->end = &mailbox->first;
        message->posted = false;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return message;
}

static void mailbox_on_ready(void *user, uint32_t events)
{
    (void)events;
    struct mailbox *mailbox = user;
    uint64_t count;
    if (read(mailbox->event, &count, sizeof count) < 0)
        return;
    struct mailbox_message *message;
    while ((message = mailbox_take(mailbox)) != NULL)
        message->open(message->user);
}

bool mailbox_open(struct mailbox *mailbox, struct loop *loop)
{
    *mailbox = (struct mailbox){.loop = loop, .source = {mailbox_on_ready, mailbox}};
    mailbox->end = &mailbox->first;
    mailbox->event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (mailbox->event < 0)
        return false;
    pthread_mutex_init(&mailbox->lock, NULL);
    if (loop_watch(loop, mailbox->event, EPOLLIN, &mailbox->source))
        return true;
    mailbox_close(mailbox);
    return false;
}

void mailbox_close(struct mailbox *mailbox)
{
    if (mailbox->event < 0)
        return;
    close(mailbox->event);
    mailbox->event = -1;
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, struct mailbox_message *message)
{
    pthread_mutex_lock(&mailbox->lock);
    bool post = !message->posted;
    if (post) {
        message->posted = true;
        message->next = NULL;
        *mailbox->end = message;
        mailbox->end = &message->next;
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (!post)
        return;
    /* It can only fail when it would wake the worker for the 2^64th time before it looks. */
    ssize_t written = write(mailbox->event, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

void mailbox_withdraw(struct mailbox *mailbox, struct mailbox_message *message)
{
    pthread_mutex_lock(&mailbox->lock);
    struct mailbox_message **at = &mailbox->first;
    while (message->posted && *at != message)
        at = &(*at)->next;
    if (message->posted) {
        *at = message->next;
        if (*at == NULL)
            mailbox->end = at;
        message->posted = false;
    }
    pthread_mutex_unlock(&mailbox->lock);
}
