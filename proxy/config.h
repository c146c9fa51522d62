#ifndef RENEWGATE_PROXY_CONFIG_H
#define RENEWGATE_PROXY_CONFIG_H

/*
 * Configuration: environment variables only, all named RENEWGATE_*. One table in config.c says
 * what there is; reading, --help, the reference page and the check of unknown names are made of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "policy/hold_settings.h"
#include "proxy/replicas/lock_connection.h"
#include "proxy/replicas/lock_url.h"
#include "proxy/server/trust.h"
#include "proxy/server/upstream.h"
#include "proxy/telemetry/log.h"
#include "proxy/base/listen_address.h"
#include "proxy/base/networks.h"

/* How often the largest request must fit into what is buffered: parsed, it is several times its
 * size, and one client gets half. */
#define CONFIG_REQUESTS_BUFFERED 8

struct config {
    char *upstream_url;      /* scheme and authority, without a trailing slash */
    char *upstream_ca;       /* path, or NULL for the system's */
    char *upstream_tls_name; /* or NULL: the URL's */
    bool upstream_tls_verify;
    struct listen_address listen;
    struct listen_address admin_listen;
    struct listen_address http_listen; /* for challenges and redirects */
    struct listen_address
        tls_alpn_upstream; /* a TLS listener of the server's; not without TLS here */
    char *tls_cert;        /* paths, both or none */
    char *tls_key;
    struct network_list trusted_proxies;
    bool proxy_protocol; /* not without trusted proxies */
    char *public_url;    /* scheme and authority; "" for what the client used; NULL: left alone */
    char *service_authorization;      /* a whole Authorization value, or NULL */
    char *service_authorization_file; /* where it was read from, or NULL */
    struct hold_settings hold;
    struct lock_server lock_server; /* address NULL: this replica is the only one */
    char *lock_ca;                  /* path, or NULL for the system's */
    char *lock_prefix;
    int64_t lock_timeout_ms;    /* above 0 */
    int64_t sweep_interval_ms;  /* 0: no sweeps */
    int64_t survey_interval_ms; /* 0: no surveys */
    unsigned sweep_rate;        /* requests a second, of both */
    bool metrics_domains;       /* a series a domain */
    unsigned workers;
    unsigned max_connections;
    size_t max_head;            /* bytes, of a request and of its answer */
    size_t max_request;         /* bytes */
    size_t max_buffered;        /* bytes; at least CONFIG_REQUESTS_BUFFERED * max_request */
    int64_t connect_timeout_ms; /* this and the others: milliseconds, above 0 */
    int64_t lookup_timeout_ms;
    int64_t flight_timeout_ms;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    int64_t drain_timeout_ms;
    struct log log;
};

/*
 * Reads the configuration from `environment` (as main() gets it). False after one line on `errors`
 * that names the variable, its value (never a secret's), and what is allowed; `config` is then
 * cleared. End with config_clear().
 */
bool config_read(struct config *config, char *const *environment, FILE *errors);

void config_clear(struct config *config);

/* The admin address alone, whatever else is set. False after such a line. */
bool config_read_admin(struct listen_address *admin, char *const *environment, FILE *errors);

/* Whom an https:// server must be. Borrowed from the configuration. */
struct trust config_trust(const struct config *config);

/* How the server is reached, by whoever speaks to it. Borrowed likewise. */
struct upstream_settings config_upstream(const struct config *config);

/* How the lock server is reached; its address is NULL where there is none. Borrowed likewise. */
struct lock_connection_settings config_lock_server(const struct config *config);

/* One entry a variable, for --help. */
void config_print_help(FILE *out);

/* The same as a Markdown table, for the reference page. */
void config_print_reference(FILE *out);

#endif
