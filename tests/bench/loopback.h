/*
 * Sockets on 127.0.0.1 for the programs of the measurements. What cannot work ends the process,
 * with a line that says what.
 */
#ifndef BENCH_LOOPBACK_H
#define BENCH_LOOPBACK_H

/* Says what failed, with errno, and exits. */
void loopback_fail(const char *what) __attribute__((noreturn));

/* A listening socket on a free port. */
int loopback_listen(unsigned *port);

/* Both without Nagle's delay. */
int loopback_accept(int listener);
int loopback_connect(unsigned port);

#endif
