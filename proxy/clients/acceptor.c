#include "proxy/clients/acceptor.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/clients/client_hello.h"
#include "proxy/clients/passthrough.h"
#include "proxy/clients/proxy_header.h"

/* What is looked at of a TLS connection at most: a message that is not whole then is no CA's. */
#define HELLO_LIMIT 16384

struct acceptor {
    struct acceptor_settings settings;
    struct loop *loop;
    struct loop_source source;
    const struct acceptor_handler *handler;
    void *user;
    int listener;
    bool paused;                        /* the listener is not watched */
    struct client_hello_reader *hellos; /* NULL: nothing is passed through */
    struct greeting *greetings;
    size_t greeting_count;
};

/* A connection whose beginning has yet to come. */
struct greeting {
    struct acceptor *acceptor;
    struct greeting *next; /* in acceptor->greetings */
    struct greeting *previous;
    struct loop_source source;
    int file;
    struct sockaddr_storage address; /* the peer's, or the one that it has told */
    socklen_t address_len;
    bool is_told; /* the PROXY header is done with, or there is none */
    monotonic_time due;
};

/* ---- greetings ---- */

static void acceptor_complain(const struct acceptor *acceptor, const struct sockaddr_storage *peer,
                              const char *why)
{
    struct network_address address;
    char text[NETWORK_ADDRESS_TEXT_SIZE] = "unknown";
    if (network_address_of((const void *)peer, &address))
        network_address_write(&address, text);
    log_event(acceptor->settings.log, LOG_LEVEL_WARN, "connection refused", log_text("why", why),
              log_text("peer", text));
}

/* Forgets the greeting, and leaves its connection open. */
static int acceptor_release(struct greeting *greeting)
{
    struct acceptor *acceptor = greeting->acceptor;
    int file = greeting->file;
    loop_forget(acceptor->loop, file);
    if (greeting->previous != NULL)
        greeting->previous->next = greeting->next;
    else
        acceptor->greetings = greeting->next;
    if (greeting->next != NULL)
        greeting->next->previous = greeting->previous;
    acceptor->greeting_count--;
    free(greeting);
    return file;
}

/* `why` may be NULL: there is nothing to say. */
static void refuse(struct greeting *greeting, const char *why)
{
    struct acceptor *acceptor = greeting->acceptor;
    if (why != NULL)
        acceptor_complain(acceptor, &greeting->address, why);
    close(acceptor_release(greeting));
    acceptor_resume(acceptor);
}

static void pass_on(struct greeting *greeting)
{
    struct acceptor *acceptor = greeting->acceptor;
    struct sockaddr_storage address = greeting->address;
    socklen_t len = greeting->address_len;
    acceptor->handler->accepted(acceptor->user, acceptor_release(greeting), (const void *)&address,
                                len);
}

static void pass_through(struct greeting *greeting)
{
    struct acceptor *acceptor = greeting->acceptor;
    struct sockaddr_storage address = greeting->address;
    passthrough_begin(acceptor->settings.passthrough, acceptor_release(greeting),
                      (const void *)&address);
    acceptor_resume(acceptor);
}

static bool has_ended(uint32_t events)
{
    return (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
}

/*
 * Looks at what has come and leaves it there; 0 where nothing has yet, or the connection is gone.
 */
static size_t peek(struct greeting *greeting, char *bytes, size_t size)
{
    ssize_t len;
    do {
        len = recv(greeting->file, bytes, size, MSG_PEEK | MSG_DONTWAIT);
    } while (len < 0 && errno == EINTR);
    if (len > 0)
        return (size_t)len;
    if (len == 0 || errno != EAGAIN)
        refuse(greeting, NULL); /* nothing was said: a check whether anyone is there */
    return 0;
}

/* Not a byte of it is taken: it is read again by whoever speaks TLS. */
static void look_at_hello(struct greeting *greeting, uint32_t events)
{
    char bytes[HELLO_LIMIT];
    size_t len = peek(greeting, bytes, sizeof bytes);
    if (len == 0)
        return;
    enum client_hello_kind kind = client_hello_read(greeting->acceptor->hellos, bytes, len);
    if (kind == CLIENT_HELLO_CHALLENGE)
        pass_through(greeting);
    else if (kind == CLIENT_HELLO_OTHER || len == sizeof bytes)
        pass_on(greeting);
    else if (has_ended(events))
        refuse(greeting, NULL);
}

/* An IPv4 address goes on in its IPv6 form, as a socket for both families shows it. */
static void take_address(struct greeting *greeting, const struct proxy_header *header)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6};
    greeting->is_told = true;
    if (!header->is_told)
        return;
    memcpy(&six.sin6_addr, header->client.bytes, sizeof six.sin6_addr);
    memset(&greeting->address, 0, sizeof greeting->address);
    memcpy(&greeting->address, &six, sizeof six);
    greeting->address_len = sizeof six;
}

/*
 * Takes the header off the socket only when it is whole: not a byte of what comes behind may be
 * taken, since that is the client's. False where it is not done with.
 */
static bool take_header(struct greeting *greeting, uint32_t events)
{
    struct proxy_header header;
    char bytes[PROXY_HEADER_LIMIT];
    size_t len = peek(greeting, bytes, sizeof bytes);
    if (len == 0)
        return false;
    switch (proxy_header_read(bytes, len, &header)) {
    case PROXY_HEADER_PARTIAL:
        if (has_ended(events))
            refuse(greeting, "the PROXY header is cut off");
        return false;
    case PROXY_HEADER_MALFORMED:
        refuse(greeting, "it does not begin with a PROXY header");
        return false;
    case PROXY_HEADER_WHOLE:
        break;
    }
    if (recv(greeting->file, bytes, header.len, MSG_DONTWAIT) != (ssize_t)header.len) {
        refuse(greeting, "the PROXY header cannot be read");
        return false;
    }
    take_address(greeting, &header);
    return true;
}

static void on_greeting(void *user, uint32_t events)
{
    struct greeting *greeting = user;
    if (!greeting->is_told && !take_header(greeting, events))
        return;
    if (greeting->acceptor->settings.passthrough != NULL)
        look_at_hello(greeting, events);
    else
        pass_on(greeting);
}

/* Edges only: a header that is not whole stays on the socket. */
static bool greet(struct acceptor *acceptor, int file, const struct sockaddr_storage *peer,
                  socklen_t peer_len)
{
    struct greeting *greeting = malloc(sizeof *greeting);
    if (greeting == NULL)
        return false;
    *greeting = (struct greeting){
        .acceptor = acceptor,
        .next = acceptor->greetings,
        .source = {on_greeting, greeting},
        .file = file,
        .address = *peer,
        .address_len = peer_len,
        .is_told = !acceptor->settings.proxy_protocol,
        .due = monotonic_after(clock_monotonic(), acceptor->settings.header_timeout_ms),
    };
    if (!loop_watch(acceptor->loop, file, EPOLLIN | EPOLLRDHUP | EPOLLET, &greeting->source)) {
        free(greeting);
        return false;
    }
    if (greeting->next != NULL)
        greeting->next->previous = greeting;
    acceptor->greetings = greeting;
    acceptor->greeting_count++;
    return true;
}

void acceptor_tick(struct acceptor *acceptor)
{
    monotonic_time now = clock_monotonic();
    struct greeting *next;
    for (struct greeting *greeting = acceptor->greetings; greeting != NULL; greeting = next) {
        next = greeting->next;
        if (greeting->due.nanoseconds <= now.nanoseconds)
            refuse(greeting, greeting->is_told ? NULL : "no PROXY header came in time");
    }
    acceptor_resume(acceptor);
}

/* ---- the listening socket ---- */

static void pause_accepting(struct acceptor *acceptor)
{
    loop_forget(acceptor->loop, acceptor->listener);
    acceptor->paused = true;
}

void acceptor_resume(struct acceptor *acceptor)
{
    if (acceptor->paused && acceptor->handler->has_room(acceptor->user, acceptor->greeting_count) &&
        loop_watch(acceptor->loop, acceptor->listener, EPOLLIN, &acceptor->source))
        acceptor->paused = false;
}

static void acceptor_take(struct acceptor *acceptor, int file, const struct sockaddr_storage *peer,
                          socklen_t peer_len)
{
    struct network_address address;
    if (acceptor->settings.proxy_protocol &&
        (!network_address_of((const void *)peer, &address) ||
         !network_list_has(acceptor->settings.trusted, &address))) {
        acceptor_complain(acceptor, peer, "it comes from no trusted proxy");
        close(file);
    } else if (!greet(acceptor, file, peer, peer_len)) {
        close(file);
    }
}

/* Where files or memory run out, the listener would be ready for ever: it rests until the tick. */
static void on_listener(void *user, uint32_t events)
{
    (void)events;
    struct acceptor *acceptor = user;
    while (acceptor->handler->has_room(acceptor->user, acceptor->greeting_count)) {
        struct sockaddr_storage peer;
        socklen_t len = sizeof peer;
        int file = accept4(acceptor->listener, (void *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (file >= 0)
            acceptor_take(acceptor, file, &peer, len);
        else if (errno == EAGAIN)
            return;
        else if (errno != ECONNABORTED && errno != EINTR)
            break;
    }
    pause_accepting(acceptor);
}

struct acceptor *acceptor_create(const struct acceptor_settings *settings, int listener,
                                 struct loop *loop, const struct acceptor_handler *handler,
                                 void *user)
{
    struct acceptor *acceptor = malloc(sizeof *acceptor);
    if (acceptor != NULL) {
        *acceptor = (struct acceptor){.settings = *settings,
                                      .loop = loop,
                                      .source = {on_listener, acceptor},
                                      .handler = handler,
                                      .user = user,
                                      .listener = listener};
        bool looks = settings->passthrough != NULL;
        acceptor->hellos = looks ? client_hello_reader_create() : NULL;
        if ((acceptor->hellos != NULL || !looks) &&
            loop_watch(loop, listener, EPOLLIN, &acceptor->source))
            return acceptor;
        client_hello_reader_destroy(acceptor->hellos);
    }
    free(acceptor);
    close(listener);
    return NULL;
}

void acceptor_destroy(struct acceptor *acceptor)
{
    if (acceptor == NULL)
        return;
    while (acceptor->greetings != NULL)
        close(acceptor_release(acceptor->greetings));
    loop_forget(acceptor->loop, acceptor->listener);
    close(acceptor->listener);
    client_hello_reader_destroy(acceptor->hellos);
    free(acceptor);
}
