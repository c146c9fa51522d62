/* The first message of TLS: whose challenge it is for, however it is cut. */

#include "proxy/clients/client_hello.h"

#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define HEADER 5 /* of a record: type, version, length (RFC 8446, section 5.1) */

struct bytes {
    char *at;
    size_t len;
};

/* What OpenSSL's client says first. */
static struct bytes hello_of(const char *protocols, int version)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    SSL_CTX_set_max_proto_version(context, version);
    SSL *client = SSL_new(context);
    BIO *sent = BIO_new(BIO_s_mem());
    char *content;

    if (protocols[0] != '\0')
        SSL_set_alpn_protos(client, (const unsigned char *)protocols, (unsigned)strlen(protocols));
    SSL_set_tlsext_host_name(client, "mail.example.org");
    SSL_set_bio(client, BIO_new(BIO_s_mem()), sent);
    SSL_set_connect_state(client);
    SSL_do_handshake(client);
    size_t len = (size_t)BIO_get_mem_data(sent, &content);
    struct bytes hello = {malloc(len), len};
    memcpy(hello.at, content, len);
    SSL_free(client);
    SSL_CTX_free(context);
    return hello;
}

/* The same message in records of `most` bytes. */
static struct bytes in_records(struct bytes whole, size_t most)
{
    size_t left = whole.len - HEADER;
    const char *from = whole.at + HEADER;
    struct bytes out = {malloc(whole.len + (left / most + 1) * HEADER), 0};

    for (size_t len; left > 0; left -= len, from += len) {
        len = left < most ? left : most;
        const char header[HEADER] = {0x16, 0x03, 0x01, (char)(len >> 8), (char)len};
        memcpy(out.at + out.len, header, HEADER);
        memcpy(out.at + out.len + HEADER, from, len);
        out.len += HEADER + len;
    }
    return out;
}

/* As `step` bytes more come, each time a copy of its own so that a step too far is seen. */
static enum client_hello_kind read_in_pieces(struct bytes bytes, size_t step)
{
    struct client_hello_reader *reader = client_hello_reader_create();
    enum client_hello_kind kind = CLIENT_HELLO_PARTIAL;

    for (size_t at = 0; at < bytes.len && kind == CLIENT_HELLO_PARTIAL; at += step) {
        size_t len = bytes.len - at < step ? bytes.len : at + step;
        char *seen = malloc(len);
        memcpy(seen, bytes.at, len);
        kind = client_hello_read(reader, seen, len);
        free(seen);
    }
    client_hello_reader_destroy(reader);
    return kind;
}

static const struct {
    const char *protocols;
    enum client_hello_kind kind;
} offers[] = {
    {"\x0a"
     "acme-tls/1",
     CLIENT_HELLO_CHALLENGE},
    {"", CLIENT_HELLO_OTHER},
    {"\x08"
     "http/1.1",
     CLIENT_HELLO_OTHER},
    {"\x0a"
     "acme-tls/1"
     "\x08"
     "http/1.1",
     CLIENT_HELLO_OTHER},
    {"\x08"
     "http/1.1"
     "\x0a"
     "acme-tls/1",
     CLIENT_HELLO_OTHER},
    {"\x0a"
     "acme-tls/1"
     "\x0a"
     "acme-tls/1",
     CLIENT_HELLO_OTHER},
    {"\x0a"
     "acme-tls/2",
     CLIENT_HELLO_OTHER},
    {"\x0b"
     "acme-tls/1x",
     CLIENT_HELLO_OTHER},
};

static void only_a_challenge_is_one_however_it_is_cut(void **state)
{
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    static const size_t sizes[] = {1, 2, 100, 16384};
    (void)state;

    for (size_t i = 0; i < COUNT(offers) * COUNT(versions); i++) {
        struct bytes hello = hello_of(offers[i / 2].protocols, versions[i % 2]);
        for (size_t j = 0; j < COUNT(sizes); j++) {
            struct bytes records = in_records(hello, sizes[j]);
            assert_int_equal(read_in_pieces(records, 1), offers[i / 2].kind);
            assert_int_equal(read_in_pieces(records, records.len), offers[i / 2].kind);
            records.len--;
            assert_int_equal(read_in_pieces(records, 7), CLIENT_HELLO_PARTIAL);
            free(records.at);
        }
        free(hello.at);
    }
}

static void what_is_no_hello_is_no_challenge(void **state)
{
    static const char *const noise[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "\x16\x03\x01\xff\xff\xff\xff\xff\xff\xff",
        "PROXY TCP4 192.0.2.7 192.0.2.8 12345 443\r\n",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(noise); i++) {
        struct bytes bytes = {(char *)(uintptr_t)noise[i], strlen(noise[i])};
        if (read_in_pieces(bytes, bytes.len) != CLIENT_HELLO_OTHER)
            fail_msg("row %zu", i);
    }
}

/* Blocks that OpenSSL holds. */
static size_t held;

static void *count_malloc(size_t size, const char *file, int line)
{
    void *block = malloc(size);
    (void)file;
    (void)line;
    held += block != NULL;
    return block;
}

static void *count_realloc(void *block, size_t size, const char *file, int line)
{
    void *larger = realloc(block, size);
    (void)file;
    (void)line;
    held += block == NULL && larger != NULL;
    return larger;
}

static void count_free(void *block, const char *file, int line)
{
    (void)file;
    (void)line;
    held -= block != NULL;
    free(block);
}

/* Thousands of connections may begin one and say no more. */
static void nothing_is_kept_of_a_beginning(void **state)
{
    struct bytes bytes = hello_of("\x0a"
                                  "acme-tls/1",
                                  TLS1_3_VERSION);
    struct client_hello_reader *reader = client_hello_reader_create();
    (void)state;

    assert_int_equal(client_hello_read(reader, bytes.at, bytes.len), CLIENT_HELLO_CHALLENGE);
    size_t before = held;
    for (size_t len = 1; len < bytes.len; len++)
        assert_int_equal(client_hello_read(reader, bytes.at, len), CLIENT_HELLO_PARTIAL);
    assert_int_equal(held, before);
    client_hello_reader_destroy(reader);
    client_hello_reader_destroy(NULL);
    free(bytes.at);
}

int main(void)
{
    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_a_challenge_is_one_however_it_is_cut),
        cmocka_unit_test(what_is_no_hello_is_no_challenge),
        cmocka_unit_test(nothing_is_kept_of_a_beginning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
