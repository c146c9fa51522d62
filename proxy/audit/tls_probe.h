#ifndef RENEWGATE_PROXY_AUDIT_TLS_PROBE_H
#define RENEWGATE_PROXY_AUDIT_TLS_PROBE_H

/*
 * Asks a listener that speaks TLS from the first byte on which certificate it serves for a name
 * (SNI, RFC 6066, section 3). Nothing is verified: it is only looked at. Several names are asked
 * for at once, each for a few seconds at most.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/wall_time.h"
#include "proxy/audit/stored_text.h"

#define TLS_PROBE_DETAIL_SIZE 96

struct tls_answer {
    bool answered;
    char detail[TLS_PROBE_DETAIL_SIZE]; /* why not, in words */
    bool self_signed;
    bool covers; /* the name that was asked for */
    wall_time begins, ends;
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
};

struct tls_probe;

/* Finds the listener's addresses: "host:port" or "[address]:port". NULL with words; static. */
struct tls_probe *tls_probe_open(const char *listener, const char **error);
void tls_probe_close(struct tls_probe *probe);

/*
 * One answer for each name; a wildcard is asked for by a name that it covers. A listener that has
 * answered none of the first names is not asked for the rest. `told` is called on the caller's
 * thread now and then with how many are done. False when memory or threads run out.
 */
bool tls_probe_ask(struct tls_probe *probe, const char *const *names, size_t count,
                   struct tls_answer *answers, void (*told)(void *user, size_t done), void *user);

#endif
