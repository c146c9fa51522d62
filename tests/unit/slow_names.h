#ifndef RENEWGATE_TESTS_UNIT_SLOW_NAMES_H
#define RENEWGATE_TESTS_UNIT_SLOW_NAMES_H

/*
 * A name server that does not answer: the system's resolver is replaced, for libcurl as well, by
 * one that answers when the test lets it: that there is no answer, or the loopback where the test
 * wants names to be found. Whoever waits for it until then ends the process.
 */

#include <netdb.h>
#include <netinet/in.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#define SLOW_NAMES_PATIENCE_SECONDS 30

static sem_t names_asked, names_answer;
static bool names_exist;
static atomic_int names_awaited;

/* In one piece, as freeaddrinfo() gives it back. */
static inline struct addrinfo *slow_names_loopback(const char *port)
{
    struct addrinfo *found = calloc(1, sizeof *found + sizeof(struct sockaddr_in));
    struct sockaddr_in *address = (void *)(found + 1);
    if (found == NULL)
        return NULL;
    *address = (struct sockaddr_in){.sin_family = AF_INET,
                                    .sin_port = htons((in_port_t)atoi(port)),
                                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    *found = (struct addrinfo){.ai_family = AF_INET,
                               .ai_socktype = SOCK_STREAM,
                               .ai_addrlen = sizeof *address,
                               .ai_addr = (struct sockaddr *)address};
    return found;
}

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    (void)name;
    (void)hints;
    names_awaited++;
    sem_post(&names_asked);
    sem_wait(&names_answer);
    names_awaited--;
    *found = names_exist ? slow_names_loopback(service) : NULL;
    return *found != NULL ? 0 : EAI_AGAIN;
}

static inline void slow_names_begin(void)
{
    sem_init(&names_asked, 0, 0);
    sem_init(&names_answer, 0, 0);
    names_exist = false;
    alarm(SLOW_NAMES_PATIENCE_SECONDS);
}

/* Answers whatever was asked for, so that it takes nothing of the next test's. */
static inline void slow_names_end(void)
{
    alarm(0);
    while (names_awaited > 0) {
        sem_post(&names_answer);
        sched_yield();
    }
}

#endif
