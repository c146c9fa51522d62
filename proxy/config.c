#include "proxy/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/secret_file.h"
#include "proxy/config_value.h"

#define PREFIX "RENEWGATE_"

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
    {"NOT_DUE", KIND_CHOICE, MEMBER(hold.table.not_due), .fallback = "noop",
     .allowed = "noop or schedule", WORDS("noop", "schedule"),
     .help = "A create whose renewal is not due and has no task yet: answered as done, or made "
             "for the time when it is due."},
    {"FORCE", KIND_SWITCH, MEMBER(hold.force_allowed), .fallback = "deny",
     .allowed = "deny or allow", WORDS("deny", "allow"),
     .help = "Whether the request field \"Renewgate-Force: 1\" renews what is not due."},
    {"ON_LOOKUP_FAILURE", KIND_CHOICE, MEMBER(hold.table.on_lookup_failure), .fallback = "forward",
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
    {"STUCK_AFTER", KIND_PERIOD, MEMBER(hold.table.stuck_after_seconds), .fallback = "3h",
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
         "the first line with 1280, and of an answer; the two together may have 4096 more. Every "
         "client's connection takes as much memory."},
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
     .help = "Clients' connections at one time; more have to wait. Beside them as many WebSockets; "
             "more are answered 503."},
    {"CONNECT_TIMEOUT", KIND_MILLISECONDS, MEMBER(connect_timeout_ms), .fallback = "5s",
     .allowed = "a duration from 1ms to 1h", .least = 1, .most = 3600000,
     .help = "How long connecting to the server may take."},
    {"LOOKUP_TIMEOUT", KIND_MILLISECONDS, MEMBER(lookup_timeout_ms), .fallback = "5s",
     .allowed = "a duration from 1ms to 1h", .least = 1, .most = 3600000,
     .help = "How long a request of a look-up may take."},
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
             "here, or take nothing of a request; a stream that goes on has no limit."},
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

static bool read_into(struct config *config, const struct variable *variable, const char *text)
{
    return config_value_read(variable, text, (char *)config + variable->offset);
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
    bool allowed = read_into(config, variable, content);
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
    return read_into(config, variable, value) || config_complain(errors, variable, value);
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

bool config_read_admin(struct listen_address *admin, char *const *environment, FILE *errors)
{
    struct config config = {0};
    bool fine = false;
    for (size_t i = 0; i < VARIABLE_COUNT; i++) {
        if (variables[i].offset == offsetof(struct config, admin_listen))
            fine = read_variable(&config, &variables[i], environment, errors);
    }
    *admin = config.admin_listen;
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
