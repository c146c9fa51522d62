#ifndef RENEWGATE_PROXY_ADMIN_NOTIFY_H
#define RENEWGATE_PROXY_ADMIN_NOTIFY_H

/*
 * Tells the service manager how the process is: the protocol of sd_notify(3), one datagram a
 * message to the socket that NOTIFY_SOCKET names. Where there is none, all of this does nothing.
 *
 * The watchdog is fed only while every worker's loop turns: each leaves a mark, the time at which
 * it last did, and one that is stuck leaves none. The process is then killed and started anew.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/clock.h"

struct notify {
    int socket;          /* -1: nobody is to be told */
    int64_t watchdog_us; /* how long the manager waits for a sign of life; 0: for none */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID from the environment. */
void notify_open(struct notify *notify);

void notify_close(struct notify *notify);

/* Clients can connect. `status` is a line for people. */
void notify_ready(const struct notify *notify, const char *status);

/* What was read once is read again; notify_ready() ends it. */
void notify_reloading(const struct notify *notify);

void notify_stopping(const struct notify *notify);

/* How often to call the next function, so that the manager never waits in vain; -1: never. */
int64_t notify_interval_ms(const struct notify *notify);

/* A sign of life, unless one of the workers' marks shows that it is stuck. */
void notify_alive(const struct notify *notify, const monotonic_time *marks, size_t count,
                  monotonic_time now);

#endif
