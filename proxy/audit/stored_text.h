#ifndef RENEWGATE_PROXY_AUDIT_STORED_TEXT_H
#define RENEWGATE_PROXY_AUDIT_STORED_TEXT_H

/* A stored certificate's PEM text, read and compared with what the server's object says of it. */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/lookup.h"

#define CERTIFICATE_DIGEST_SIZE 32 /* SHA-256 of the certificate's DER */
#define CERTIFICATE_KEY_SIZE 24

struct stored_text {
    char id[OBJECT_ID_SIZE];
    bool readable; /* the digest, the key and the chain are known */
    unsigned char digest[CERTIFICATE_DIGEST_SIZE];
    char key[CERTIFICATE_KEY_SIZE]; /* "EC P-256", "RSA 2048" */
    unsigned chain;                 /* how many certificates the text holds */
    wall_time ends;                 /* the object's */
    const char *fault;              /* in words, or NULL; static */
};

/* `pem` is NULL where the server does not show it, which is a text that cannot be read. */
void stored_text_read(struct stored_text *text, const struct lookup_certificate *certificate,
                      const struct san_set *names, const char *pem);

#endif
