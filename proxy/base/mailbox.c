#include "proxy/base/mailbox.h"

#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static struct letter *mailbox_take(struct mailbox *mailbox)
{
    pthread_mutex_lock(&mailbox->lock);
    struct letter *letter = mailbox->first;
    if (letter != NULL) {
        mailbox->first = letter->next;
        if (mailbox->first == NULL)
            mailbox->end = &mailbox->first;
        letter->posted = false;
    }
    pthread_mutex_unlock(&mailbox->lock);
    return letter;
}

static void on_ready(void *user, uint32_t events)
{
    (void)events;
    struct mailbox *mailbox = user;
    uint64_t count;
    if (read(mailbox->event, &count, sizeof count) < 0)
        return;
    struct letter *letter;
    while ((letter = mailbox_take(mailbox)) != NULL)
        letter->open(letter->user);
}

bool mailbox_open(struct mailbox *mailbox, struct loop *loop)
{
    *mailbox = (struct mailbox){.loop = loop, .source = {on_ready, mailbox}};
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

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
    pthread_mutex_lock(&mailbox->lock);
    bool post = !letter->posted;
    if (post) {
        letter->posted = true;
        letter->next = NULL;
        *mailbox->end = letter;
        mailbox->end = &letter->next;
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (!post)
        return;
    /* It can only fail when it would wake the worker for the 2^64th time before it looks. */
    ssize_t written = write(mailbox->event, &(uint64_t){1}, sizeof(uint64_t));
    (void)written;
}

void mailbox_withdraw(struct mailbox *mailbox, struct letter *letter)
{
    pthread_mutex_lock(&mailbox->lock);
    struct letter **at = &mailbox->first;
    while (letter->posted && *at != letter)
        at = &(*at)->next;
    if (letter->posted) {
        *at = letter->next;
        if (*at == NULL)
            mailbox->end = at;
        letter->posted = false;
    }
    pthread_mutex_unlock(&mailbox->lock);
}
