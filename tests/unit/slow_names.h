#ifndef RENEWGATE_TESTS_UNIT_SLOW_NAMES_H
#define RENEWGATE_TESTS_UNIT_SLOW_NAMES_H

/*
 * A name server that does not answer: the system's resolver is replaced, for libcurl as well, by
 * one that answers when the test lets it. Whoever waits for it until then ends the process.
 */

#include <netdb.h>
#include <semaphore.h>
#include <unistd.h>

#define SLOW_NAMES_PATIENCE_SECONDS 30

static sem_t names_asked, names_answer;

int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
    (void)name;
    (void)service;
    (void)hints;
    (void)found;
    sem_post(&names_asked);
    sem_wait(&names_answer);
    return EAI_AGAIN;
}

static inline void slow_names_begin(void)
{
    sem_init(&names_asked, 0, 0);
    sem_init(&names_answer, 0, 0);
    alarm(SLOW_NAMES_PATIENCE_SECONDS);
}

/* Answers the one name that was asked for. */
static inline void slow_names_end(void)
{
    alarm(0);
    sem_post(&names_answer);
}

#endif
