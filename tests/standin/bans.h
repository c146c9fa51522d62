/*
 * What failed logins lead to: after 100 in a day of one address, or of one login name from
 * anywhere, the next is answered 429 and bans the address it came from, without end. Connections of
 * a banned address are closed as they are accepted. A path that is not there and looks like a
 * scanner's bans at once (the server's default scanBanPaths). After 30 malformed requests in a day
 * the next bans, unless the server reads forwarded addresses: of such a request it has none. The
 * loopback is exempt, unless the state's "bans" says that it is not.
 */
#ifndef STANDIN_BANS_H
#define STANDIN_BANS_H

#include <stdbool.h>

/* Forgets all failures and bans. */
void bans_reset(bool loopback_counts);
void bans_free(void);

/* A login that was really tried has failed, by an Authorization field as it came; `from` is the
 * forwarded address where the server reads it, else NULL. True: it is answered 429. store.lock is
 * held. */
bool bans_note(const char *authorization, const char *from);

/* A target was answered 404, to a client with such an address. store.lock is held. */
void bans_note_missing(const char *target, const char *from);

/* A request could not be read. store.lock is held. */
void bans_note_malformed(bool reads_forwarded);

/* Whether the loopback may connect. Safe without the lock. */
bool bans_admit(void);

unsigned bans_failures(void);
unsigned bans_malformed(void);
void bans_forget_failures(void);

#endif
