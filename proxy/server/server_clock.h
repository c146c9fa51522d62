#ifndef RENEWGATE_PROXY_SERVER_SERVER_CLOCK_H
#define RENEWGATE_PROXY_SERVER_SERVER_CLOCK_H

/*
 * What time it is at the server, whose clock decides when a task runs and a certificate is due.
 * Told by the Date of its answers (RFC 9110, section 6.6.1); until the first one by the gate's own
 * clock. Safe for threads.
 */

#include <stdatomic.h>

#include "policy/wall_time.h"
#include "proxy/http/field.h"

struct server_clock {
    atomic_int_fast64_t ahead; /* seconds; zeroed before its first use */
};

/* An answer has come just now; without a Date that can be read nothing changes. */
void server_clock_note(struct server_clock *clock, const struct field_list *fields);

/*
 * A date has whole seconds, so this can be a second before or after the server's time. After, when
 * in doubt: a task that is due just now must count as due.
 */
wall_time server_clock_now(const struct server_clock *clock);

#endif
