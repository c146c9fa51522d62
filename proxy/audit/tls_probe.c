#include "proxy/audit/tls_probe.h"

#include <errno.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/loop.h"
#include "proxy/audit/x509_time.h"

#define THREADS_MAX 16
#define TIMEOUT_MILLISECONDS 5000
/* So many without an answer, and none with one, and the rest is not asked. */
#define SILENT_MAX 32
#define TOLD_MILLISECONDS 100
#define NAME_SIZE 300

struct tls_probe {
    struct addrinfo *addresses;
    SSL_CTX *tls;
};

/* What the threads share. */
struct round {
    const struct tls_probe *probe;
    const char *const *names;
    size_t count;
    struct tls_answer *answers;
    atomic_size_t next, done, silent, answered;
};

static void say(struct tls_answer *answer, const char *words)
{
    snprintf(answer->detail, sizeof answer->detail, "%s", words);
}

/* ---- one connection ---- */

/* False with a detail when the time is over. */
static bool wait_for(int file, short events, monotonic_time until, struct tls_answer *answer)
{
    if (loop_wait_for_file(file, events, until))
        return true;
    say(answer, "it did not answer in time");
    return false;
}

static bool finish_connecting(int file, monotonic_time until, struct tls_answer *answer)
{
    int error = 0;
    socklen_t size = sizeof error;
    if (errno != EINPROGRESS) {
        say(answer, strerrordesc_np(errno));
        return false;
    }
    if (!wait_for(file, POLLOUT, until, answer))
        return false;
    getsockopt(file, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error != 0)
        say(answer, strerrordesc_np(error));
    return error == 0;
}

/* -1 with a detail. */
static int open_connection(const struct tls_probe *probe, monotonic_time until,
                           struct tls_answer *answer)
{
    for (const struct addrinfo *at = probe->addresses; at != NULL; at = at->ai_next) {
        int file = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (file < 0) {
            say(answer, strerrordesc_np(errno));
            continue;
        }
        if (connect(file, at->ai_addr, at->ai_addrlen) == 0 ||
            finish_connecting(file, until, answer))
            return file;
        close(file);
    }
    return -1;
}

static bool shake_hands(SSL *connection, int file, monotonic_time until, struct tls_answer *answer)
{
    for (;;) {
        ERR_clear_error();
        int result = SSL_connect(connection);
        if (result == 1)
            return true;
        int error = SSL_get_error(connection, result);
        if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE) {
            const char *reason = ERR_reason_error_string(ERR_peek_last_error());
            say(answer, reason != NULL ? reason : "it closed the connection");
            return false;
        }
        if (!wait_for(file, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, until, answer))
            return false;
    }
}

static bool is_self_signed(X509 *certificate)
{
    return X509_check_issued(certificate, certificate) == X509_V_OK &&
           X509_verify(certificate, X509_get0_pubkey(certificate)) == 1;
}

static void describe(X509 *certificate, const char *name, struct tls_answer *answer)
{
    answer->answered = X509_digest(certificate, EVP_sha256(), answer->digest, NULL) == 1;
    answer->self_signed = is_self_signed(certificate);
    answer->covers = X509_check_host(certificate, name, 0, 0, NULL) == 1;
    answer->begins = x509_time(X509_get0_notBefore(certificate));
    answer->ends = x509_time(X509_get0_notAfter(certificate));
}

static void ask_as(const struct tls_probe *probe, const char *name, int file, monotonic_time until,
                   struct tls_answer *answer)
{
    SSL *connection = SSL_new(probe->tls);
    X509 *certificate = NULL;
    say(answer, "no TLS can be spoken with that name");
    if (connection != NULL && SSL_set_tlsext_host_name(connection, name) == 1 &&
        SSL_set_fd(connection, file) == 1 && shake_hands(connection, file, until, answer))
        certificate = SSL_get1_peer_certificate(connection);
    if (certificate != NULL)
        describe(certificate, name, answer);
    X509_free(certificate);
    SSL_free(connection);
}

static void ask(const struct tls_probe *probe, const char *name, struct tls_answer *answer)
{
    monotonic_time until = monotonic_after(clock_monotonic(), TIMEOUT_MILLISECONDS);
    bool wildcard = strncmp(name, "*.", 2) == 0;
    char asked[NAME_SIZE];
    snprintf(asked, sizeof asked, "%s%s", wildcard ? "renewgate-audit" : "",
             wildcard ? name + 1 : name);
    int file = open_connection(probe, until, answer);
    if (file < 0)
        return;
    ask_as(probe, asked, file, until, answer);
    close(file);
}

/* ---- many ---- */

static void *work(void *user)
{
    struct round *round = user;
    size_t i;
    while ((i = atomic_fetch_add(&round->next, 1)) < round->count) {
        struct tls_answer *answer = &round->answers[i];
        *answer = (struct tls_answer){.answered = false};
        if (round->silent >= SILENT_MAX && round->answered == 0)
            say(answer, "not asked: it has not answered for any other name");
        else
            ask(round->probe, round->names[i], answer);
        atomic_fetch_add(answer->answered ? &round->answered : &round->silent, 1);
        atomic_fetch_add(&round->done, 1);
    }
    return NULL;
}

bool tls_probe_ask(struct tls_probe *probe, const char *const *names, size_t count,
                   struct tls_answer *answers, void (*told)(void *user, size_t done), void *user)
{
    struct round round = {.probe = probe, .names = names, .count = count, .answers = answers};
    pthread_t threads[THREADS_MAX];
    size_t started = 0;
    while (started < THREADS_MAX && started < count &&
           pthread_create(&threads[started], NULL, work, &round) == 0)
        started++;
    while (started > 0 && round.done < count) {
        poll(NULL, 0, TOLD_MILLISECONDS);
        told(user, round.done);
    }
    for (size_t i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return started > 0 || count == 0;
}

/* ---- its beginning and end ---- */

/* Splits at the last colon; false where there is none, or nothing on either side. */
static bool split(const char *listener, char host[static NAME_SIZE], const char **port)
{
    const char *colon = strrchr(listener, ':');
    if (colon == NULL || colon == listener || colon[1] == '\0' || colon - listener >= NAME_SIZE)
        return false;
    size_t len = (size_t)(colon - listener);
    bool bracketed = listener[0] == '[' && colon[-1] == ']' && len > 2;
    snprintf(host, NAME_SIZE, "%.*s", (int)(bracketed ? len - 2 : len),
             bracketed ? listener + 1 : listener);
    *port = colon + 1;
    return true;
}

static SSL_CTX *create_tls(void)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_client_method());
    if (tls == NULL)
        return NULL;
    SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, NULL);
    /* What is weak is to be looked at too. */
    SSL_CTX_set_security_level(tls, 0);
    return tls;
}

struct tls_probe *tls_probe_open(const char *listener, const char **error)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    char host[NAME_SIZE];
    const char *port;
    *error = "it is host:port, or [address]:port";
    if (!split(listener, host, &port))
        return NULL;
    *error = "out of memory";
    struct tls_probe *probe = calloc(1, sizeof *probe);
    if (probe == NULL)
        return NULL;
    int code = getaddrinfo(host, port, &hints, &probe->addresses);
    if (code != 0)
        *error = gai_strerror(code);
    else
        probe->tls = create_tls();
    if (probe->tls != NULL)
        return probe;
    tls_probe_close(probe);
    return NULL;
}

void tls_probe_close(struct tls_probe *probe)
{
    if (probe == NULL)
        return;
    if (probe->addresses != NULL)
        freeaddrinfo(probe->addresses);
    SSL_CTX_free(probe->tls);
    free(probe);
}
