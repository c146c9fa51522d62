#include "proxy/base/open_files.h"

#include <sys/resource.h>

/*
 * The log, the admin address with some connections and what they ask the server, the lock, sweeps.
 */
#define OWN_FILES 26UL
/* Its loops, listeners and mailbox. */
#define WORKER_FILES 8UL
/* A client's connection and one to the server. */
#define CLIENT_FILES 2UL

static unsigned long least(unsigned long a, unsigned long b)
{
    return a < b ? a : b;
}

static unsigned at_least(unsigned long number, unsigned workers)
{
    return number < workers ? workers : (unsigned)number;
}

struct open_files open_files_share_of(unsigned long allowed, const struct open_files_wish *wish)
{
    unsigned long own = OWN_FILES + WORKER_FILES * wish->workers;
    unsigned long left = allowed > own ? (allowed - own) / CLIENT_FILES : 0;
    unsigned long passages = least(wish->passages, left / 4);
    left -= passages;
    unsigned long challenges = least(wish->challenges, left / 4);
    left -= challenges;
    /* Where there are enough for all clients, WebSockets have the rest, else a quarter. */
    unsigned long clients = least(wish->clients, left - left / 4);
    return (struct open_files){
        .allowed = allowed,
        .wanted = own + CLIENT_FILES * (2UL * wish->clients + wish->challenges + wish->passages),
        .clients = at_least(clients, wish->workers),
        .challenges = wish->challenges == 0 ? 0 : at_least(challenges, wish->workers),
        .passages = wish->passages == 0 ? 0 : at_least(passages, 1),
        .upgraded = at_least(least(wish->clients, left - clients), wish->workers),
    };
}

struct open_files open_files_share(const struct open_files_wish *wish)
{
    struct rlimit limit;
    unsigned long wanted = open_files_share_of(0, wish).wanted;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return open_files_share_of(wanted, wish);
    if (limit.rlim_cur < wanted) {
        const struct rlimit raised = {.rlim_cur = least(limit.rlim_max, wanted),
                                      .rlim_max = limit.rlim_max};
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return open_files_share_of(least(limit.rlim_cur, wanted), wish);
}
