#ifndef RENEWGATE_PROXY_BASE_OPEN_FILES_H
#define RENEWGATE_PROXY_BASE_OPEN_FILES_H

/*
 * How the files that the process may open are shared out: first to what must go on whatever clients
 * do (the gate's own, the admin address, the lock, sweeps), then to clients' connections, each with
 * one to the server. Clients for whom there are none wait in the kernel's queue.
 */

#include <stdbool.h>

struct open_files {
    unsigned long allowed; /* by the limit, which is raised as far as that may be */
    unsigned long wanted;  /* for all connections that there may be */
    unsigned clients;      /* connections at one time, at least one a worker */
    unsigned challenges;   /* likewise of the address for challenges, where there is one */
    unsigned passages;     /* connections passed through, each with one to the server */
    unsigned upgraded;     /* WebSockets at one time */
};

/* What is asked for: `clients` and as many WebSockets, `challenges` and `passages`. */
struct open_files_wish {
    unsigned workers;
    unsigned clients;
    unsigned challenges;
    unsigned passages;
};

/* Raises the limit, and shares out what there is then. */
struct open_files open_files_share(const struct open_files_wish *wish);

/* The same for a limit of that many files. */
struct open_files open_files_share_of(unsigned long allowed, const struct open_files_wish *wish);

#endif
