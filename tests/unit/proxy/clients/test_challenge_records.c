/* What passes of a tls-alpn-01 connection: a handshake and its end, whatever was negotiated. */

#include "proxy/clients/challenge_records.h"

#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct negotiated {
    int version;
    const char *suite; /* of TLS 1.3 */
    const char *group; /* the server's; the client has a key for X25519 only, at first */
};

static const struct negotiated all[] = {
    {TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", "X25519"},
    {TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", "X25519"},
    {TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", "P-256"}, /* asks for a second ClientHello */
    {TLS1_2_VERSION, NULL, "X25519"},
    {TLS1_2_VERSION, NULL, "P-256"},
};

struct ends {
    SSL *client, *server;
    struct challenge_records records;
    size_t step;   /* how many bytes come at a time */
    bool filtered; /* something was not allowed */
};

static SSL_CTX *server_context(const struct negotiated *negotiated)
{
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    assert_int_not_equal(X509_sign(certificate, key, EVP_sha256()), 0);
    assert_int_equal(SSL_CTX_use_certificate(context, certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(context, key), 1);
    assert_int_equal(SSL_CTX_set1_groups_list(context, negotiated->group), 1);
    X509_free(certificate);
    EVP_PKEY_free(key);
    return context;
}

static SSL *end_of(SSL_CTX *context, const struct negotiated *negotiated, bool server)
{
    SSL *end = SSL_new(context);
    SSL_set_max_proto_version(end, negotiated->version);
    if (negotiated->suite != NULL)
        assert_int_equal(SSL_set_ciphersuites(end, negotiated->suite), 1);
    SSL_set_bio(end, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (server)
        SSL_set_accept_state(end);
    else
        SSL_set_connect_state(end);
    return end;
}

static void open_ends(struct ends *ends, const struct negotiated *negotiated, size_t step)
{
    SSL_CTX *server = server_context(negotiated), *client = SSL_CTX_new(TLS_client_method());
    assert_int_equal(SSL_CTX_set1_groups_list(client, "X25519:P-256"), 1);
    *ends = (struct ends){.client = end_of(client, negotiated, false),
                          .server = end_of(server, negotiated, true),
                          .step = step};
    SSL_CTX_free(server);
    SSL_CTX_free(client);
}

static void close_ends(struct ends *ends)
{
    SSL_free(ends->client);
    SSL_free(ends->server);
}

/* What one end has written goes to the other; of the client's what is allowed. */
static void carry(struct ends *ends, SSL *from, SSL *to)
{
    char bytes[16384];
    for (int len; (len = BIO_read(SSL_get_wbio(from), bytes, (int)ends->step)) > 0;) {
        if (from == ends->server) {
            challenge_records_note(&ends->records, bytes, (size_t)len);
        } else if (!challenge_records_allow(&ends->records, bytes, (size_t)len)) {
            ends->filtered = true;
            BIO_reset(SSL_get_wbio(from));
            return;
        }
        BIO_write(SSL_get_rbio(to), bytes, len);
    }
}

static void shake_hands(struct ends *ends)
{
    for (int i = 0; i < 8; i++) {
        SSL_do_handshake(ends->client);
        carry(ends, ends->client, ends->server);
        SSL_do_handshake(ends->server);
        carry(ends, ends->server, ends->client);
    }
    assert_true(SSL_is_init_finished(ends->client) && SSL_is_init_finished(ends->server));
}

static void each(void (*check)(struct ends *ends))
{
    static const size_t steps[] = {1, 7, 16384};
    for (size_t i = 0; i < COUNT(all); i++) {
        for (size_t j = 0; j < COUNT(steps); j++) {
            struct ends ends;
            open_ends(&ends, &all[i], steps[j]);
            shake_hands(&ends);
            assert_false(ends.filtered);
            assert_int_equal(SSL_version(ends.client), all[i].version);
            check(&ends);
            close_ends(&ends);
        }
    }
}

static void ends_well(struct ends *ends)
{
    char byte;
    SSL_shutdown(ends->client);
    carry(ends, ends->client, ends->server);
    assert_false(ends->filtered);
    assert_int_equal(SSL_read(ends->server, &byte, 1), 0);
    assert_int_equal(SSL_get_error(ends->server, 0), SSL_ERROR_ZERO_RETURN);
}

static void test_a_handshake_and_its_end_pass(void **state)
{
    (void)state;
    each(ends_well);
}

static void asks(struct ends *ends)
{
    static const char request[] = "GET / HTTP/1.0\n\n";
    char byte;
    SSL_write(ends->client, request, sizeof request - 1);
    carry(ends, ends->client, ends->server);
    assert_true(ends->filtered);
    assert_true(SSL_read(ends->server, &byte, 1) <= 0);
}

static void test_a_request_does_not(void **state)
{
    (void)state;
    each(asks);
}

/* In TLS 1.3 two bytes might be an alert. */
static void asks_byte_by_byte(struct ends *ends)
{
    static const char request[] = "GET / HTTP/1.0\n\n";
    char read[sizeof request];
    size_t got = 0;
    for (size_t i = 0; i < sizeof request - 1 && !ends->filtered; i++) {
        SSL_write(ends->client, request + i, 1);
        carry(ends, ends->client, ends->server);
    }
    assert_true(ends->filtered);
    for (int len; (len = SSL_read(ends->server, read, sizeof read)) > 0;)
        got += (size_t)len;
    assert_true(got <= 2);
}

static void test_nor_does_one_in_bytes(void **state)
{
    (void)state;
    each(asks_byte_by_byte);
}

/* As does a session of TLS 1.2 that goes on: its client's Finished looks like nothing in
 * particular. */
static void test_an_application_may_not_speak_first(void **state)
{
    (void)state;
    struct challenge_records records = {.encrypted = 0};
    static const char finished[] = "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x01\x01";
    challenge_records_note(&records, finished, sizeof finished - 1);
    assert_true(challenge_records_allow(&records, finished, sizeof finished - 1));
    assert_false(challenge_records_allow(&records, "\x17\x03\x03\x00\x13", 5));
}

static void test_what_is_no_record_ends(void **state)
{
    (void)state;
    static const char *const said[] = {"GET / HTTP/1.1\r\n\r\n", "\x18\x03\x03\x01\x01",
                                       "\x17\x03\x03\x40\x01", "\x17\x03\x03\x01\x01",
                                       "\x01\x03\x03\x01\x01"};
    for (size_t i = 0; i < COUNT(said); i++) {
        struct challenge_records records = {.encrypted = 0};
        assert_false(challenge_records_allow(&records, said[i], strlen(said[i])));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handshake_and_its_end_pass),
        cmocka_unit_test(test_a_request_does_not),
        cmocka_unit_test(test_nor_does_one_in_bytes),
        cmocka_unit_test(test_an_application_may_not_speak_first),
        cmocka_unit_test(test_what_is_no_record_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
