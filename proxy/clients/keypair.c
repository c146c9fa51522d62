#include "proxy/clients/keypair.h"

#include <gnutls/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/base/file_version.h"

struct keypair {
    atomic_size_t holders;
    int64_t expires; /* seconds since 1970 */
    gnutls_certificate_credentials_t credentials;
};

struct keypair_store {
    const char *certificate;
    const char *key;
    pthread_mutex_t lock; /* over what follows */
    struct keypair *present;
    struct file_watch watch; /* of both files */
};

/* TLS 1.2 and 1.3, with forward secrecy and authenticated ciphers only (RFC 9325, section 4.2). */
const char keypair_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-KX-ALL:+ECDHE-ECDSA:+ECDHE-RSA"
    ":-CIPHER-ALL:+AES-256-GCM:+AES-128-GCM:+CHACHA20-POLY1305:-MAC-ALL:+AEAD:%SERVER_PRECEDENCE";

static int read_certificates(const char *path, gnutls_x509_crt_t **certificates, unsigned *count)
{
    gnutls_datum_t content;
    int result = gnutls_load_file(path, &content);
    if (result < 0)
        return result;
    result = gnutls_x509_crt_list_import2(certificates, count, &content, GNUTLS_X509_FMT_PEM, 0);
    gnutls_free(content.data);
    return result;
}

static int read_key(const char *path, gnutls_x509_privkey_t *key)
{
    gnutls_datum_t content;
    int result = gnutls_load_file(path, &content);
    if (result < 0)
        return result;
    result = gnutls_x509_privkey_init(key);
    if (result >= 0)
        result = gnutls_x509_privkey_import2(*key, &content, GNUTLS_X509_FMT_PEM, NULL, 0);
    gnutls_memset(content.data, 0, content.size);
    gnutls_free(content.data);
    return result;
}

/*
 * GnuTLS has one function for all of this, but that forgets a certificate in memory when it cannot
 * be read. A negative result is GnuTLS's.
 */
static int read_pair(const char *certificate, const char *key, struct keypair *keypair)
{
    gnutls_x509_crt_t *certificates = NULL;
    gnutls_x509_privkey_t private_key = NULL;
    unsigned count = 0;
    int result = read_certificates(certificate, &certificates, &count);
    if (result < 0)
        return result;
    result = read_key(key, &private_key);
    if (result >= 0)
        result = gnutls_certificate_set_x509_key(keypair->credentials, certificates, (int)count,
                                                 private_key);
    if (result >= 0)
        keypair->expires = gnutls_x509_crt_get_expiration_time(certificates[0]);
    for (unsigned i = 0; i < count; i++)
        gnutls_x509_crt_deinit(certificates[i]);
    gnutls_free(certificates);
    if (private_key != NULL)
        gnutls_x509_privkey_deinit(private_key);
    return result;
}

static struct keypair *keypair_read(const char *certificate, const char *key,
                                    char error[static KEYPAIR_ERROR_SIZE])
{
    struct keypair *keypair = malloc(sizeof *keypair);
    if (keypair == NULL ||
        gnutls_certificate_allocate_credentials(&keypair->credentials) != GNUTLS_E_SUCCESS) {
        free(keypair);
        snprintf(error, KEYPAIR_ERROR_SIZE, "out of memory");
        return NULL;
    }
    atomic_init(&keypair->holders, 1);
    int result = read_pair(certificate, key, keypair);
    if (result >= 0)
        return keypair;
    snprintf(error, KEYPAIR_ERROR_SIZE, "%s", gnutls_strerror(result));
    keypair_release(keypair);
    return NULL;
}

struct keypair_store *keypair_store_open(const char *certificate, const char *key,
                                         char error[static KEYPAIR_ERROR_SIZE])
{
    const struct file_version version = file_version_now(certificate, key);
    struct keypair *first = keypair_read(certificate, key, error);
    if (first == NULL)
        return NULL;
    struct keypair_store *store = malloc(sizeof *store);
    if (store == NULL) {
        keypair_release(first);
        snprintf(error, KEYPAIR_ERROR_SIZE, "out of memory");
        return NULL;
    }
    *store = (struct keypair_store){.certificate = certificate, .key = key, .present = first};
    file_watch_note_read(&store->watch, &version);
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

bool keypair_store_reload(struct keypair_store *store, char error[static KEYPAIR_ERROR_SIZE])
{
    const struct file_version version = file_version_now(store->certificate, store->key);
    struct keypair *next = keypair_read(store->certificate, store->key, error);
    pthread_mutex_lock(&store->lock);
    struct keypair *before = next != NULL ? store->present : NULL;
    store->present = next != NULL ? next : store->present;
    file_watch_note_read(&store->watch, &version);
    pthread_mutex_unlock(&store->lock);
    keypair_release(before);
    return next != NULL;
}

bool keypair_store_is_stale(struct keypair_store *store)
{
    const struct file_version version = file_version_now(store->certificate, store->key);
    pthread_mutex_lock(&store->lock);
    bool stale = file_watch_is_stale(&store->watch, &version);
    pthread_mutex_unlock(&store->lock);
    return stale;
}

int64_t keypair_store_expiry(struct keypair_store *store)
{
    pthread_mutex_lock(&store->lock);
    int64_t expires = store->present->expires;
    pthread_mutex_unlock(&store->lock);
    return expires;
}

void keypair_store_close(struct keypair_store *store)
{
    if (store == NULL)
        return;
    keypair_release(store->present);
    pthread_mutex_destroy(&store->lock);
    free(store);
}

struct keypair *keypair_take(struct keypair_store *store)
{
    pthread_mutex_lock(&store->lock);
    struct keypair *keypair = store->present;
    atomic_fetch_add(&keypair->holders, 1);
    pthread_mutex_unlock(&store->lock);
    return keypair;
}

void keypair_release(struct keypair *keypair)
{
    if (keypair == NULL || atomic_fetch_sub(&keypair->holders, 1) != 1)
        return;
    gnutls_certificate_free_credentials(keypair->credentials);
    free(keypair);
}

/* HTTP/1.1 is all that is spoken here, so no other protocol is agreed on (RFC 7301). */
void keypair_show(const struct keypair *keypair, void *session)
{
    static unsigned char http[] = "http/1.1";
    const gnutls_datum_t protocol = {.data = http, .size = sizeof http - 1};
    gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, keypair->credentials);
    gnutls_alpn_set_protocols(session, &protocol, 1, 0);
}
