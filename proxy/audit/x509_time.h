#ifndef RENEWGATE_PROXY_AUDIT_X509_TIME_H
#define RENEWGATE_PROXY_AUDIT_X509_TIME_H

/* The times in certificates (RFC 5280, section 4.1.2.5), which are in UTC and in whole seconds. */

#include <openssl/asn1.h>
#include <time.h>

#include "policy/wall_time.h"

/* WALL_TIME_NEVER where it is none. */
static inline wall_time x509_time(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return WALL_TIME_NEVER;
    return (wall_time){(int64_t)timegm(&parts)};
}

#endif
