#include "proxy/config.h"

#include <ctype.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/secret_file.h"
#include "proxy/server/service_credential.h"

#define PREFIX "RENEWGATE_"

enum kind {
    KIND_URL,           /* char * */
    KIND_PUBLIC_URL,    /* char *, or "auto" or "off" */
    KIND_PATH,          /* char * */
    KIND_AUTHORIZATION, /* char * */
    KIND_LOCK_URL,      /* struct lock_server */
    KIND_LABEL,         /* char * */
    KIND_HOST,          /* char * */
    KIND_ADDRESS,       /* struct listen_address */
    KIND_PEER,          /* the same, to connect to: neither part may be left out */
    KIND_NETWORKS,      /* struct network_list */
    KIND_CHOICE,        /* an enum: the index of the word */
    KIND_SWITCH,        /* bool: the index of the word */
    KIND_SECONDS,       /* int64_t, seconds */
    KIND_PERIOD,        /* the same, or "off": 0 */
    KIND_MILLISECONDS,  /* int64_t, milliseconds */
    KIND_INTERVAL,      /* the same, or "off": 0 */
    KIND_SIZE,          /* size_t */
    KIND_COUNT,         /* unsigned */
    KIND_WORKERS,       /* unsigned, or "auto" */
    KIND_ISSUE_LIMIT,   /* struct issue_limit */
    KIND_BACKOFF,       /* struct failure_backoff */
};

struct variable {
    const char *name; /* without the prefix */
    enum kind kind;
    bool required;
    bool secret;          /* also as NAME_FILE, and never shown */
    const char *fallback; /* as it would be written; NULL: none */
    const char *allowed;
    const char *help;
    size_t offset;            /* of its member in struct config */
    int64_t least;            /* numbers and durations, in the member's unit */
    int64_t most;             /* the same */
    const char *const *words; /* choices and switches, NULL at the end */
};

#define MEMBER(member) .offset = offsetof(struct config, member)
#define WORDS(...)                                                                                 \
    .words = (const char *const[])                                                                 \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }
#define DAY_SECONDS INT64_C(86400)

/* The words of a choice stand in the order of its enum. */
static const struct variable variables[] = {
    {"UPSTREAM_URL", KIND_URL, .required = true, MEMBER(upstream_url),
     .allowed = "http://host[:port] or https://host[:port], without a path",
     .help = "The mail server behind the gate."},
    {"UPSTREAM_CA", KIND_PATH, MEMBER(upstream_ca),
     .allowed = "a readable file of PEM certificates",
     .help = "Whom to trust for an https:// server; the system's authorities if not set."},
    {"UPSTREAM_TLS_NAME", KIND_HOST, MEMBER(upstream_tls_name),
     .allowed = "a host name such as mail.example.org, with an https:// server",
     .help = "The name in the server's certificate, where UPSTREAM_URL has its address or another "
             "name."},
    {"UPSTREAM_TLS_VERIFY", KIND_SWITCH, MEMBER(upstream_tls_verify), .fallback = "on",
     .allowed = "on or off", WORDS("off", "on"),
     .help = "Whether an https:// server's certificate is verified."},
    {"LISTEN", KIND_ADDRESS, MEMBER(listen), .fallback = "[::]:8088",
     .allowed = "address:port, [address]:port or :port",
     .help = "Where clients connect; [::] takes IPv4 too."},
    {"HTTP_LISTEN", KIND_ADDRESS, MEMBER(http_listen),
     .allowed = "address:port, [address]:port or :port",
     .help =
         "Where plain HTTP comes beside TLS, mostly [::]:80: challenges of a CA (http-01) pass to "
         "the server, all else is sent to https://."},
    {"ADMIN_LISTEN", KIND_ADDRESS, MEMBER(admin_listen), .fallback = "127.0.0.1:9088",
     .allowed = "address:port, [address]:port or :port",
     .help = "Where the status page, /healthz, /readyz and /metrics are."},
    {"METRICS_DOMAINS", KIND_SWITCH, MEMBER(metrics_domains), .fallback = "off",
     .allowed = "on or off", WORDS("off", "on"),
     .help = "Whether /metrics has series for each domain: when its certificate expires, becomes "
             "due, and until when the CA holds it."},
    {"TLS_CERT", KIND_PATH, MEMBER(tls_cert), .allowed = "a readable PEM file, with TLS_KEY",
     .help = "The gate's certificate and those between it and the authority; clients then use "
             "HTTPS, and HTTP no more. Read again when it changes, and on SIGHUP."},
    {"TLS_KEY", KIND_PATH, MEMBER(tls_key), .allowed = "a readable PEM file, with TLS_CERT",
     .help = "The certificate's key. Read again likewise."},
    {"TLS_ALPN_UPSTREAM", KIND_PEER, MEMBER(tls_alpn_upstream),
     .allowed = "host:port or [address]:port, with TLS_CERT",
     .help =
         "The server's own TLS listener: connections of a CA that looks at a tls-alpn-01 challenge "
         "are passed on to it as they are."},
    {"TRUSTED_PROXIES", KIND_NETWORKS, MEMBER(trusted_proxies),
     .allowed = "networks and addresses such as 10.0.0.0/8, 2001:db8::/32, 192.0.2.1",
     .help =
         "Proxies in front of the gate; what they say of the client in X-Forwarded-For, -Proto, "
         "-Host and Forwarded is believed, and nobody else's word is."},
    {"PROXY_PROTOCOL", KIND_SWITCH, MEMBER(proxy_protocol), .fallback = "off",
     .allowed = "off, or on with TRUSTED_PROXIES", WORDS("off", "on"),
     .help = "Whether every connection comes from a trusted proxy and begins with a PROXY header, "
             "version 1 or 2, that tells the client's address."},
    {"PUBLIC_URL", KIND_PUBLIC_URL, MEMBER(public_url), .fallback = "auto",
     .allowed = "auto, off, or http://host[:port] or https://host[:port], without a path",
     .help = "Where the URLs in the JMAP session, and those that the web interface signs in with, "
             "lead: to the address that the client used, as the server wrote them, or to this "
             "one."},
    {"MODE", KIND_SWITCH, MEMBER(hold.observe), .fallback = "enforce",
     .allowed = "enforce or observe", WORDS("enforce", "observe"),
     .help = "observe decides and reports, and forwards every request as it came."},
    {"NOT_DUE", KIND_CHOICE, MEMBER(hold.not_due), .fallback = "noop",
     .allowed = "noop or schedule", WORDS("noop", "schedule"),
     .help = "A create whose renewal is not due and has no task yet: answered as done, or made "
             "for the time when it is due."},
    {"FORCE", KIND_SWITCH, MEMBER(hold.force_allowed), .fallback = "deny",
     .allowed = "deny or allow", WORDS("deny", "allow"),
     .help = "Whether the request field \"Renewgate-Force: 1\" renews what is not due."},
    {"ON_LOOKUP_FAILURE", KIND_CHOICE, MEMBER(hold.on_lookup_failure), .fallback = "forward",
     .allowed = "forward or refuse", WORDS("forward", "refuse"),
     .help = "A create whose domain could not be looked up."},
    {"BLIND_INTERVAL", KIND_SECONDS, MEMBER(hold.blind_interval_seconds), .fallback = "1h",
     .allowed = "a duration from 0s to 366d", .most = 366 * DAY_SECONDS,
     .help = "How long a create that was forwarded without a look-up stands for the next such "
             "create for its domain."},
    {"BLIND_HOLD", KIND_SECONDS, MEMBER(hold.blind_hold_seconds), .fallback = "6h",
     .allowed = "a duration from 0s to 366d", .most = 366 * DAY_SECONDS,
     .help = "How long nothing is asked of a CA that refused without naming a time."},
    {"ISSUE_LIMIT", KIND_ISSUE_LIMIT, MEMBER(hold.issue_limit), .fallback = "5/168h",
     .allowed = "count/duration such as 5/168h, or off",
     .help = "The CA's own limit of certificates for one exact set of names."},
    {"ACCOUNT_LIMIT", KIND_ISSUE_LIMIT, MEMBER(hold.account_limit), .fallback = "300/3h",
     .allowed = "count/duration such as 300/3h, or off",
     .help =
         "The CA's own limit of orders for one account; what goes beyond waits, spread over the "
         "time in which it is allowed. One bucket for each ACME provider."},
    {"VALIDATION_LIMIT", KIND_ISSUE_LIMIT, MEMBER(hold.validation_limit), .fallback = "5/1h",
     .allowed = "count/duration such as 5/1h, or off",
     .help = "The CA's own limit of failed validations for one name."},
    {"FAILURE_BACKOFF", KIND_BACKOFF, MEMBER(hold.failure_backoff), .fallback = "1h/24h",
     .allowed = "first/longest such as 1h/24h, or off",
     .help =
         "How long nothing is asked for a domain whose order has failed: the first wait, doubled "
         "with each failure, up to the longest."},
    {"STUCK_AFTER", KIND_PERIOD, MEMBER(hold.stuck_after_seconds), .fallback = "3h",
     .allowed = "a duration from 1h to 366d, or off", .least = 3600, .most = 366 * DAY_SECONDS,
     .help = "How long a task is due before it no longer counts as on its way: a new one then goes "
             "out, and it is taken out of the queue."},
    {"SERVICE_AUTHORIZATION", KIND_AUTHORIZATION, .secret = true, MEMBER(service_authorization),
     .allowed = "a whole Authorization value such as \"Bearer …\" or \"Basic …\"",
     .help = "The gate's own credential, for sweeps, and for look-ups where the caller may create "
             "but not read. The file is read again when it changes."},
    {"SWEEP_INTERVAL", KIND_INTERVAL, MEMBER(sweep_interval_ms), .fallback = "5m",
     .allowed = "a duration from 1s to 30d, or off", .least = 1000, .most = INT64_C(2592000000),
     .help = "How often the queue of all domains is tidied up, with the gate's own credential; "
             "never without one, nor in observe mode."},
    {"SWEEP_RATE", KIND_COUNT, MEMBER(sweep_rate), .fallback = "10",
     .allowed = "a number from 1 to 1000", .least = 1, .most = 1000,
     .help = "How many requests a second a sweep or a survey makes at most."},
    {"SURVEY_INTERVAL", KIND_INTERVAL, MEMBER(survey_interval_ms), .fallback = "1h",
     .allowed = "a duration from 1s to 30d, or off", .least = 1000, .most = INT64_C(2592000000),
     .help = "How often all domains are read, for the status page and metrics, with the gate's own "
             "credential; never without one."},
    {"LOCK_URL", KIND_LOCK_URL, .secret = true, MEMBER(lock_server),
     .allowed = "redis://[[user]:password@]host[:port][/database], or rediss:// with TLS",
     .help = "A Redis or Valkey through which the gate's replicas decide one at a time."},
    {"LOCK_CA", KIND_PATH, MEMBER(lock_ca), .allowed = "a readable file of PEM certificates",
     .help = "Whom to trust for a rediss:// server; the system's authorities if not set."},
    {"LOCK_PREFIX", KIND_LABEL, MEMBER(lock_prefix), .fallback = "renewgate",
     .allowed = "1 to 64 letters, digits, '-', '_', '.' and ':'",
     .help = "How the lock server's keys begin: the same for all replicas in front of one mail "
             "server, another for each other one."},
    {"LOCK_TIMEOUT", KIND_MILLISECONDS, MEMBER(lock_timeout_ms), .fallback = "2s",
     .allowed = "a duration from 10ms to 10s", .least = 10, .most = 10000,
     .help = "How long the lock server may take to answer before the gate goes on without it."},
    {"WORKERS", KIND_WORKERS, MEMBER(workers), .fallback = "auto",
     .allowed = "auto or a number from 1 to 64", .least = 1, .most = 64,
     .help = "Threads that serve clients; auto is one a processor, at most 4."},
    {"MAX_HEAD", KIND_SIZE, MEMBER(max_head), .fallback = "16384",
     .allowed = "bytes from 4096 to 1048576", .least = 4096, .most = 1048576,
     .help =
         "The largest head of a request, each field counted with 72 bytes more than its text and "
         "the first line with 1280, and of an answer. Every client's connection takes twice as "
         "much memory."},
    {"MAX_REQUEST", KIND_SIZE, MEMBER(max_request), .fallback = "10000000",
     .allowed = "bytes from 1024 to 1000000000", .least = 1024, .most = 1000000000,
     .help = "The largest JMAP request; other requests have no limit."},
    {"MAX_BUFFERED", KIND_SIZE, MEMBER(max_buffered), .fallback = "268435456",
     .allowed = "bytes from 1048576 to 1000000000000, and at least 8 times MAX_REQUEST",
     .least = 1048576, .most = INT64_C(1000000000000),
     .help = "The memory that JMAP requests may take, gathered and parsed, and answers to "
             "look-ups, all "
             "together; more are answered 503. One client gets half, requests above 64 KiB three "
             "quarters."},
    {"MAX_CONNECTIONS", KIND_COUNT, MEMBER(max_connections), .fallback = "8192",
     .allowed = "a number from 64 to 1000000", .least = 64, .most = 1000000,
     .help = "Clients' connections at one time; more have to wait."},
    {"CONNECT_TIMEOUT", KIND_MILLISECONDS, MEMBER(connect_timeout_ms), .fallback = "5s",
     .allowed = "a duration from 1ms to 1h", .least = 1, .most = 3600000,
     .help = "How long connecting to the server may take."},
    {"LOOKUP_TIMEOUT", KIND_MILLISECONDS, MEMBER(lookup_timeout_ms), .fallback = "5s",
     .allowed = "a duration from 1ms to 1h", .least = 1, .most = 3600000,
     .help = "How long a look-up of the gate's own may take."},
    {"FLIGHT_TIMEOUT", KIND_MILLISECONDS, MEMBER(flight_timeout_ms), .fallback = "35s",
     .allowed = "a duration from 1s to 1h", .least = 1000, .most = 3600000,
     .help = "How long a create waits while others decide about its domain, here or on another "
             "replica; then it is answered with what is there, and makes nothing."},
    {"HEADER_TIMEOUT", KIND_MILLISECONDS, MEMBER(header_timeout_ms), .fallback = "30s",
     .allowed = "a duration from 1s to 1h", .least = 1000, .most = 3600000,
     .help = "How long a new connection may take until its first request's header is there."},
    {"IDLE_TIMEOUT", KIND_MILLISECONDS, MEMBER(idle_timeout_ms), .fallback = "5m",
     .allowed = "a duration from 1s to 1d", .least = 1000, .most = 86400000,
     .help = "How long a client may say nothing or keep a connection without a request, and how "
             "long the server may be silent before its answer, or within one that is read whole "
             "here; a stream that goes on has no limit."},
    {"DRAIN_TIMEOUT", KIND_MILLISECONDS, MEMBER(drain_timeout_ms), .fallback = "10s",
     .allowed = "a duration from 0s to 1d", .most = 86400000,
     .help = "How long requests under way are waited for when the gate is stopped."},
    {"LOG_LEVEL", KIND_CHOICE, MEMBER(log.level), .fallback = "info",
     .allowed = "error, warn, info or debug", WORDS("error", "warn", "info", "debug"),
     .help = "What is logged."},
    {"LOG_FORMAT", KIND_CHOICE, MEMBER(log.format), .fallback = "json", .allowed = "json or logfmt",
     WORDS("json", "logfmt"), .help = "How log lines are written."},
};

#define VARIABLE_COUNT (sizeof variables / sizeof *variables)

/* Choices are stored through an int whatever their enum is. */
_Static_assert(sizeof(enum not_due_mode) == sizeof(int), "an enum is as large as an int");
_Static_assert(sizeof(enum lookup_failure_mode) == sizeof(int), "an enum is as large as an int");
_Static_assert(sizeof(enum log_level) == sizeof(int), "an enum is as large as an int");
_Static_assert(sizeof(enum log_format) == sizeof(int), "an enum is as large as an int");

static bool config_read_number(const char *text, int64_t least, int64_t most, int64_t *out)
{
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < least || number > most)
        return false;
    *out = number;
    return true;
}

/* "300s", "5m" and so on, in milliseconds. */
static bool read_duration(const char *text, int64_t *milliseconds)
{
    static const struct {
        const char *unit;
        int64_t milliseconds;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (!isdigit((unsigned char)*text))
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0)
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcmp(end, units[i].unit) == 0 && number <= INT64_MAX / units[i].milliseconds) {
            *milliseconds = number * units[i].milliseconds;
            return true;
        }
    }
    return false;
}

static bool read_seconds(const struct variable *variable, const char *text, int64_t *out)
{
    int64_t milliseconds;
    if (!read_duration(text, &milliseconds) || milliseconds % 1000 != 0)
        return false;
    *out = milliseconds / 1000;
    return *out >= variable->least && *out <= variable->most;
}

static bool read_milliseconds(const struct variable *variable, const char *text, int64_t *out)
{
    return read_duration(text, out) && *out >= variable->least && *out <= variable->most;
}

static int read_word(const struct variable *variable, const char *text)
{
    for (int i = 0; variable->words[i] != NULL; i++) {
        if (strcmp(variable->words[i], text) == 0)
            return i;
    }
    return -1;
}

static bool config_read_address(const char *text, struct listen_address *out)
{
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return false;
    size_t host_len = (size_t)(colon - text);
    if (*host == '[') {
        if (host_len < 2 || colon[-1] != ']')
            return false;
        host++;
        host_len -= 2;
    } else if (memchr(host, ':', host_len) != NULL) {
        return false; /* an IPv6 address needs its brackets */
    }
    int64_t port;
    if (host_len >= sizeof out->host || !config_read_number(colon + 1, 0, UINT16_MAX, &port))
        return false;
    memcpy(out->host, host, host_len);
    out->host[host_len] = '\0';
    out->port = (uint16_t)port;
    out->set = true;
    return true;
}

static bool is_url(const char *text)
{
    CURLU *url = curl_url();
    bool fine = url != NULL && curl_url_set(url, CURLUPART_URL, text, 0) == CURLUE_OK;
    curl_url_cleanup(url);
    return fine;
}

/* Scheme and authority and at most one slash; a copy without the slash. */
static bool read_url(const char *text, char **out)
{
    size_t scheme_len = strncmp(text, "http://", 7) == 0    ? 7
                        : strncmp(text, "https://", 8) == 0 ? 8
                                                            : 0;
    if (scheme_len == 0)
        return false;
    size_t authority_len = strcspn(text + scheme_len, "/?#@\\ \t\r\n");
    const char *rest = text + scheme_len + authority_len;
    if (authority_len == 0 || (strcmp(rest, "") != 0 && strcmp(rest, "/") != 0) || !is_url(text))
        return false;
    *out = strndup(text, scheme_len + authority_len);
    return *out != NULL;
}

/* As read_url(), but that the authority must be able to stand in JSON text as it is. */
static bool read_public_url(const char *text, char **out)
{
    if (strcmp(text, "off") == 0)
        return true;
    if (strcmp(text, "auto") == 0) {
        *out = strdup("");
        return *out != NULL;
    }
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '"')
            return false;
    }
    return read_url(text, out);
}

static bool read_authorization(const char *text, char **out)
{
    if (!service_credential_is_valid(text))
        return false;
    *out = strdup(text);
    return *out != NULL;
}

/* A copy of what is safe to stand in a lock server's key. */
static bool read_label(const char *text, char **out)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.:");
    if (len == 0 || len > 64 || text[len] != '\0')
        return false;
    *out = strdup(text);
    return *out != NULL;
}

/* Letters, digits, hyphens and dots; of neither an address nor a URL. */
static bool read_host(const char *text, char **out)
{
    size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.");
    if (len == 0 || len > 253 || text[len] != '\0' ||
        strpbrk(text, "abcdefghijklmnopqrstuvwxyz"
                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL)
        return false;
    *out = strdup(text);
    return *out != NULL;
}

static bool read_workers(const struct variable *variable, const char *text, unsigned *out)
{
    int64_t number;
    if (strcmp(text, "auto") == 0) {
        long processors = sysconf(_SC_NPROCESSORS_ONLN);
        *out = processors < 1 ? 1 : processors > 4 ? 4 : (unsigned)processors;
        return true;
    }
    if (!config_read_number(text, variable->least, variable->most, &number))
        return false;
    *out = (unsigned)number;
    return true;
}

/* A pipe will do, as a shell's <(…) makes one. */
static bool is_readable_file(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISDIR(about.st_mode) && access(path, R_OK) == 0;
}

/* Reads one value into its member; false where it is not allowed. */
static bool read_value(const struct variable *variable, const char *text, struct config *config)
{
    void *member = (char *)config + variable->offset;
    int64_t number;
    int word;
    switch (variable->kind) {
    case KIND_URL:
        return read_url(text, member);
    case KIND_PUBLIC_URL:
        return read_public_url(text, member);
    case KIND_PATH:
        *(char **)member = strdup(text);
        return *(char **)member != NULL && is_readable_file(text);
    case KIND_AUTHORIZATION:
        return read_authorization(text, member);
    case KIND_LOCK_URL:
        return lock_url_read(text, member);
    case KIND_LABEL:
        return read_label(text, member);
    case KIND_HOST:
        return read_host(text, member);
    case KIND_ADDRESS:
        return config_read_address(text, member);
    case KIND_PEER:
        return config_read_address(text, member) &&
               ((struct listen_address *)member)->host[0] != '\0' &&
               ((struct listen_address *)member)->port != 0;
    case KIND_NETWORKS:
        return network_list_read(text, member);
    case KIND_CHOICE:
        word = read_word(variable, text);
        *(int *)member = word;
        return word >= 0;
    case KIND_SWITCH:
        word = read_word(variable, text);
        *(bool *)member = word == 1;
        return word >= 0;
    case KIND_SECONDS:
        return read_seconds(variable, text, member);
    case KIND_PERIOD:
        *(int64_t *)member = 0;
        return strcmp(text, "off") == 0 || read_seconds(variable, text, member);
    case KIND_MILLISECONDS:
        return read_milliseconds(variable, text, member);
    case KIND_INTERVAL:
        *(int64_t *)member = 0;
        return strcmp(text, "off") == 0 || read_milliseconds(variable, text, member);
    case KIND_SIZE:
        if (!config_read_number(text, variable->least, variable->most, &number))
            return false;
        *(size_t *)member = (size_t)number;
        return true;
    case KIND_COUNT:
        if (!config_read_number(text, variable->least, variable->most, &number))
            return false;
        *(unsigned *)member = (unsigned)number;
        return true;
    case KIND_WORKERS:
        return read_workers(variable, text, member);
    case KIND_ISSUE_LIMIT:
        return issue_limit_parse(text, member);
    case KIND_BACKOFF:
        return failure_backoff_parse(text, member);
    }
    return false;
}

/* The value of PREFIX name suffix in the environment; an empty one counts as not set. */
static const char *look_up(char *const *environment, const char *name, const char *suffix)
{
    size_t name_len = strlen(name);
    size_t suffix_len = strlen(suffix);
    for (; *environment != NULL; environment++) {
        const char *at = *environment;
        if (strncmp(at, PREFIX, strlen(PREFIX)) != 0)
            continue;
        at += strlen(PREFIX);
        if (strncmp(at, name, name_len) == 0 && strncmp(at + name_len, suffix, suffix_len) == 0 &&
            at[name_len + suffix_len] == '=')
            return at[name_len + suffix_len + 1] == '\0' ? NULL : at + name_len + suffix_len + 1;
    }
    return NULL;
}

static bool config_complain(FILE *errors, const struct variable *variable, const char *value)
{
    if (value == NULL)
        fprintf(errors, "renewgate: " PREFIX "%s is not set; it must be: %s\n", variable->name,
                variable->allowed);
    else if (variable->secret)
        fprintf(errors, "renewgate: " PREFIX "%s is not allowed (not shown); allowed is: %s\n",
                variable->name, variable->allowed);
    else
        fprintf(errors, "renewgate: " PREFIX "%s=\"%s\" is not allowed; allowed is: %s\n",
                variable->name, value, variable->allowed);
    return false;
}

/* A secret from the file that PREFIX name _FILE names. */
static bool read_from_file(struct config *config, const struct variable *variable, const char *path,
                           FILE *errors)
{
    char *content = secret_file_read(path);
    if (content == NULL) {
        fprintf(errors,
                "renewgate: " PREFIX "%s_FILE=\"%s\" cannot be read (%s); allowed is: a "
                "readable file\n",
                variable->name, path, strerror(errno));
        return false;
    }
    bool allowed = read_value(variable, content, config);
    free(content);
    if (!allowed)
        fprintf(errors,
                "renewgate: " PREFIX
                "%s_FILE=\"%s\" holds what is not allowed (not shown); allowed "
                "is: %s\n",
                variable->name, path, variable->allowed);
    return allowed;
}

static bool read_variable(struct config *config, const struct variable *variable,
                          char *const *environment, FILE *errors)
{
    const char *value = look_up(environment, variable->name, "");
    const char *path = variable->secret ? look_up(environment, variable->name, "_FILE") : NULL;
    if (value != NULL && path != NULL) {
        fprintf(errors,
                "renewgate: " PREFIX "%s_FILE=\"%s\" is not allowed together with " PREFIX
                "%s; allowed is: one of the two\n",
                variable->name, path, variable->name);
        return false;
    }
    if (path != NULL)
        return read_from_file(config, variable, path, errors);
    if (value == NULL)
        value = variable->fallback;
    if (value == NULL)
        return !variable->required || config_complain(errors, variable, NULL);
    return read_value(variable, value, config) || config_complain(errors, variable, value);
}

static bool name_known(const char *name, size_t len)
{
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        size_t known_len = strlen(variables[i].name);
        if (strncmp(name, variables[i].name, known_len) != 0)
            continue;
        if (len == known_len)
            return true;
        if (variables[i].secret && len == known_len + 5 &&
            strncmp(name + known_len, "_FILE", 5) == 0)
            return true;
    }
    return false;
}

/*
 * Kubernetes puts the addresses of a namespace's services into every container's environment; a
 * service named "renewgate" is told as RENEWGATE_SERVICE_HOST, RENEWGATE_PORT and so on.
 */
static bool name_from_kubernetes(const char *name, size_t len)
{
    static const char *const starts[] = {"SERVICE_HOST", "SERVICE_PORT", "PORT_"};
    for (size_t i = 0; i < sizeof starts / sizeof *starts; i++) {
        if (strncmp(name, starts[i], strlen(starts[i])) == 0)
            return true;
    }
    return len == 4 && strncmp(name, "PORT", 4) == 0;
}

static bool check_names(char *const *environment, FILE *errors)
{
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, PREFIX, strlen(PREFIX)) != 0)
            continue;
        const char *name = *environment + strlen(PREFIX);
        size_t len = strcspn(name, "=");
        if (name_known(name, len) || name_from_kubernetes(name, len))
            continue;
        /* The value is left out: a misspelt name may be that of a secret. */
        fprintf(errors,
                "renewgate: " PREFIX "%.*s is not a known variable; allowed is: what "
                "renewgate --help lists\n",
                (int)len, name);
        return false;
    }
    return true;
}

/* What no variable shows for itself. */
static bool check_together(const struct config *config, FILE *errors)
{
    if (config->proxy_protocol && config->trusted_proxies.count == 0) {
        fputs("renewgate: " PREFIX "TRUSTED_PROXIES is not set, but " PREFIX
              "PROXY_PROTOCOL=\"on\" is; allowed is: both or none\n",
              errors);
        return false;
    }
    if (config->upstream_tls_name != NULL && strncmp(config->upstream_url, "https://", 8) != 0) {
        fprintf(errors,
                "renewgate: " PREFIX "UPSTREAM_TLS_NAME=\"%s\" is not allowed with " PREFIX
                "UPSTREAM_URL=\"%s\"; allowed is: an https:// server\n",
                config->upstream_tls_name, config->upstream_url);
        return false;
    }
    if (config->tls_alpn_upstream.set && config->tls_cert == NULL) {
        fputs("renewgate: " PREFIX "TLS_CERT is not set, but " PREFIX
              "TLS_ALPN_UPSTREAM is; allowed is: both, or TLS_CERT alone\n",
              errors);
        return false;
    }
    if (config->max_buffered / CONFIG_REQUESTS_BUFFERED < config->max_request) {
        fprintf(errors,
                "renewgate: " PREFIX "MAX_BUFFERED=\"%zu\" is not allowed with " PREFIX
                "MAX_REQUEST=\"%zu\"; allowed is: at least %d times that\n",
                config->max_buffered, config->max_request, CONFIG_REQUESTS_BUFFERED);
        return false;
    }
    if ((config->tls_cert == NULL) == (config->tls_key == NULL))
        return true;
    const char *missing = config->tls_cert == NULL ? "TLS_CERT" : "TLS_KEY";
    const char *other = config->tls_cert == NULL ? "TLS_KEY" : "TLS_CERT";
    fprintf(errors,
            "renewgate: " PREFIX "%s is not set, but " PREFIX "%s is; allowed is: both or none\n",
            missing, other);
    return false;
}

/* It is read again when it changes. */
static bool note_service_file(struct config *config, char *const *environment, FILE *errors)
{
    const char *path = look_up(environment, "SERVICE_AUTHORIZATION", "_FILE");
    config->service_authorization_file = path != NULL ? strdup(path) : NULL;
    if (path == NULL || config->service_authorization_file != NULL)
        return true;
    fputs("renewgate: out of memory\n", errors);
    return false;
}

bool config_read(struct config *config, char *const *environment, FILE *errors)
{
    *config = (struct config){0};
    bool fine = check_names(environment, errors);
    for (size_t i = 0; fine && i < VARIABLE_COUNT; i++)
        fine = read_variable(config, &variables[i], environment, errors);
    fine = fine && check_together(config, errors);
    config->hold.has_service_credential = config->service_authorization != NULL;
    config->hold.max_request = config->max_request;
    if (fine)
        fine = note_service_file(config, environment, errors);
    if (!fine)
        config_clear(config);
    return fine;
}

void config_clear(struct config *config)
{
    free(config->upstream_url);
    free(config->upstream_ca);
    free(config->upstream_tls_name);
    free(config->public_url);
    free(config->tls_cert);
    free(config->tls_key);
    free(config->service_authorization);
    free(config->service_authorization_file);
    network_list_clear(&config->trusted_proxies);
    lock_server_clear(&config->lock_server);
    free(config->lock_ca);
    free(config->lock_prefix);
    *config = (struct config){0};
}

struct trust config_trust(const struct config *config)
{
    return (struct trust){.ca = config->upstream_ca,
                          .name = config->upstream_tls_name,
                          .verify = config->upstream_tls_verify};
}

struct upstream_settings config_upstream(const struct config *config)
{
    return (struct upstream_settings){
        .url = config->upstream_url,
        .trust = config_trust(config),
        .connect_timeout_ms = config->connect_timeout_ms,
        .idle_timeout_ms = config->idle_timeout_ms,
        .head_limit = config->max_head,
    };
}

struct lock_connection_settings config_lock_server(const struct config *config)
{
    return (struct lock_connection_settings){.server = &config->lock_server,
                                             .ca = config->lock_ca,
                                             .prefix = config->lock_prefix,
                                             .timeout_ms = config->lock_timeout_ms};
}

void config_print_help(FILE *out)
{
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const struct variable *variable = &variables[i];
        fprintf(out, "  " PREFIX "%s%s\n", variable->name,
                variable->secret ? ", or " PREFIX "…_FILE: a file that holds it" : "");
        fprintf(out, "      %s\n", variable->help);
        fprintf(out, "      %s; default: %s\n", variable->allowed,
                variable->required           ? "none, must be set"
                : variable->fallback == NULL ? "not set"
                                             : variable->fallback);
    }
}

void config_print_reference(FILE *out)
{
    fputs("| variable | default | allowed | |\n|---|---|---|---|\n", out);
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        const struct variable *variable = &variables[i];
        const char *tick = variable->fallback == NULL ? "" : "`";
        fprintf(out, "| `" PREFIX "%s`%s | %s%s%s | %s | %s |\n", variable->name,
                variable->secret ? ", `…_FILE`" : "", tick,
                variable->required           ? "required"
                : variable->fallback == NULL ? "not set"
                                             : variable->fallback,
                tick, variable->allowed, variable->help);
    }
}
