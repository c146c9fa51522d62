#include "proxy/audit/stored_text.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "proxy/audit/x509_time.h"

/* More than any chain has. */
#define CHAIN_MAX 10

struct chain {
    X509 *certificates[CHAIN_MAX]; /* the leaf first */
    unsigned count;
};

static void read_chain(struct chain *chain, const char *pem)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate;

    *chain = (struct chain){.count = 0};
    while (text != NULL && chain->count < CHAIN_MAX &&
           (certificate = PEM_read_bio_X509(text, NULL, NULL, NULL)) != NULL)
        chain->certificates[chain->count++] = certificate;
    BIO_free(text);
}

static void free_chain(struct chain *chain)
{
    for (unsigned i = 0; i < chain->count; i++)
        X509_free(chain->certificates[i]);
}

/* ---- names ---- */

static bool add_alternatives(X509 *certificate, struct san_set *names)
{
    GENERAL_NAMES *list = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    bool done = true;
    for (int i = 0; done && i < sk_GENERAL_NAME_num(list); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type == GEN_DNS)
            done = san_set_append(names, (const char *)ASN1_STRING_get0_data(name->d.dNSName),
                                  (size_t)ASN1_STRING_length(name->d.dNSName));
    }
    GENERAL_NAMES_free(list);
    san_set_settle(names);
    return done;
}

static bool add_common_name(X509 *certificate, struct san_set *names)
{
    char text[256];
    int len = X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, text,
                                        sizeof text);
    return len <= 0 || san_set_add(names, text, strlen(text));
}

/* The server's object may count the common name among the names. */
static bool has_names(X509 *certificate, const struct san_set *expected)
{
    struct san_set names = SAN_SET_EMPTY;
    bool same = add_alternatives(certificate, &names) && san_set_equal(&names, expected);
    if (!same)
        same = add_common_name(certificate, &names) && san_set_equal(&names, expected);
    san_set_clear(&names);
    return same;
}

/* ---- dates and chain ---- */

static bool has_dates(const X509 *certificate, const struct lookup_certificate *expected)
{
    return wall_time_equal(x509_time(X509_get0_notBefore(certificate)), expected->begins) &&
           wall_time_equal(x509_time(X509_get0_notAfter(certificate)), expected->ends);
}

static bool is_linked(const struct chain *chain)
{
    for (unsigned i = 0; i + 1 < chain->count; i++) {
        X509 *issued = chain->certificates[i], *issuer = chain->certificates[i + 1];
        if (X509_check_issued(issuer, issued) != X509_V_OK ||
            X509_verify(issued, X509_get0_pubkey(issuer)) != 1)
            return false;
    }
    return true;
}

static const char *find_fault(const struct chain *chain,
                              const struct lookup_certificate *certificate,
                              const struct san_set *names)
{
    X509 *leaf = chain->certificates[0];
    if (!has_names(leaf, names))
        return "its text has other names";
    if (!has_dates(leaf, certificate))
        return "its text has other dates";
    if (chain->count == 1)
        return "its chain lacks the issuer";
    if (!is_linked(chain))
        return "its chain does not link up";
    return NULL;
}

static void describe_key(const X509 *certificate, char text[static CERTIFICATE_KEY_SIZE])
{
    EVP_PKEY *key = X509_get0_pubkey(certificate);
    char group[CERTIFICATE_KEY_SIZE] = "";
    size_t len = 0;
    if (key == NULL)
        snprintf(text, CERTIFICATE_KEY_SIZE, "unknown");
    else if (EVP_PKEY_get_group_name(key, group, sizeof group, &len) == 1)
        snprintf(text, CERTIFICATE_KEY_SIZE, "EC %.20s",
                 strcmp(group, "prime256v1") == 0  ? "P-256"
                 : strcmp(group, "secp384r1") == 0 ? "P-384"
                                                   : group);
    else
        snprintf(text, CERTIFICATE_KEY_SIZE, "%.12s %d", EVP_PKEY_get0_type_name(key),
                 EVP_PKEY_get_bits(key));
}

void stored_text_read(struct stored_text *text, const struct lookup_certificate *certificate,
                      const struct san_set *names, const char *pem)
{
    struct chain chain = {.count = 0};
    *text = (struct stored_text){.ends = certificate->ends, .fault = "its text cannot be read"};
    memcpy(text->id, certificate->id, sizeof text->id);
    if (pem != NULL)
        read_chain(&chain, pem);
    if (chain.count > 0 && X509_digest(chain.certificates[0], EVP_sha256(), text->digest, NULL)) {
        text->readable = true;
        text->chain = chain.count;
        describe_key(chain.certificates[0], text->key);
        text->fault = find_fault(&chain, certificate, names);
    }
    free_chain(&chain);
}
