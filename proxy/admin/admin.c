#include "proxy/admin/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <microhttpd.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/budget.h"
#include "proxy/admin/domain_metrics.h"
#include "proxy/admin/probe.h"
#include "proxy/admin/process.h"
#include "proxy/admin/status_json.h"
#include "proxy/admin/status_page.h"
#include "proxy/admin/status_style.h"
#include "proxy/base/plain_text.h"
#include "proxy/clients/keypair.h"
#include "proxy/server/service_credential.h"

#define MAX_CONNECTIONS 32U
/* Nobody alone can keep the health checks of others out. */
#define MAX_CONNECTIONS_EACH (MAX_CONNECTIONS / 2)
#define IDLE_SECONDS 30U
#define PROBE_TIMEOUT_MILLISECONDS 2000
/* The server counts requests without a credential, so it is not asked for every question. */
#define PROBE_LIFE_MILLISECONDS 5000

struct admin {
    struct gate *gate;
    struct admin_explainer explainer;
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock; /* over what follows, and over the asking itself */
    monotonic_time asked_again_at;
    bool reachable;
    char error[PROBE_ERROR_SIZE];
};

/* A request, and what is answered. */
struct page {
    struct MHD_Connection *connection;
    unsigned status;
    const char *type;
    struct buffer body;
    bool styled; /* its style sheet is the status page's */
};

#define TYPE_TEXT "text/plain; charset=utf-8"

/* Any answer but a failure of the server's own shows that it can serve clients. */
static bool ask_server(struct admin *admin)
{
    struct probe_result result;
    probe_live(admin->gate->config, admin->gate->own_address, PROBE_TIMEOUT_MILLISECONDS, &result);
    bool reachable = result.status != 0 && result.status < 500;
    if (result.status == 0)
        snprintf(admin->error, sizeof admin->error, "%s", result.error);
    else
        snprintf(admin->error, sizeof admin->error, "status %u", result.status);
    probe_clear(&result);
    return reachable;
}

/* Not being able to sweep is no reason to send clients elsewhere. */
static void tell_credential(const struct gate *gate, struct buffer *out)
{
    if (gate->credential == NULL)
        return;
    struct service_credential_state state =
        service_credential_state(gate->credential, clock_monotonic());
    if (state.rests)
        buffer_format(out,
                      "the server refuses the gate's own credential (%u times in a row); it is "
                      "tried again in %" PRId64 " s, or after SIGHUP\n",
                      state.refusals, state.rest_left_ms / 1000);
}

static void render_ready(struct admin *admin, struct page *page)
{
    if (atomic_load(&admin->gate->draining)) {
        page->status = 503;
        buffer_format(&page->body, "stopping\n");
        return;
    }
    pthread_mutex_lock(&admin->lock);
    monotonic_time now = clock_monotonic();
    if (admin->asked_again_at.nanoseconds <= now.nanoseconds) {
        admin->reachable = ask_server(admin);
        admin->asked_again_at = monotonic_after(clock_monotonic(), PROBE_LIFE_MILLISECONDS);
    }
    page->status = admin->reachable ? 200 : 503;
    if (admin->reachable) {
        buffer_format(&page->body, "ready\n");
    } else {
        buffer_format(&page->body, "the mail server cannot be reached: ");
        plain_text_append(&page->body, admin->error);
        buffer_format(&page->body, "\n");
    }
    pthread_mutex_unlock(&admin->lock);
    tell_credential(admin->gate, &page->body);
}

/* In the browser's words. False where the page cannot be meant. */
static bool read_query(struct MHD_Connection *connection, struct status_query *query)
{
    const char *domain = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "domain");
    const char *page = MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "page");
    *query = (struct status_query){.page = 1};
    if (domain != NULL) {
        json_t *text = json_string(domain); /* NULL for what is not UTF-8 */
        bool usable = text != NULL && strlen(domain) < sizeof query->domain;
        json_decref(text);
        if (!usable)
            return false;
        memcpy(query->domain, domain, strlen(domain));
    }
    if (page != NULL) {
        char *end;
        query->page = strtoul(page, &end, 10);
        if (page[0] < '1' || page[0] > '9' || *end != '\0')
            return false;
    }
    query->refresh =
        MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "refresh") != NULL;
    return true;
}

static void render_status(const struct admin *admin, bool json, struct page *page)
{
    struct status_query query;
    if (!read_query(page->connection, &query)) {
        page->status = 400;
        buffer_format(&page->body, "domain is a part of a name, page a number from 1\n");
        return;
    }
    struct status *status = status_read(admin->gate, &query);
    if (status != NULL && status->names_one && admin->explainer.explain != NULL)
        status->explanation = admin->explainer.explain(admin->explainer.user, query.domain);
    bool made = status != NULL && (json ? status_json_render(status, &page->body)
                                        : status_page_render(status, &page->body));
    status_free(status);
    if (!made) {
        buffer_clear(&page->body);
        page->status = 500;
        return;
    }
    page->type = json ? "application/json" : "text/html; charset=utf-8";
    page->styled = !json;
}

/* Of the certificate that the gate shows to clients itself; nothing where a proxy does. */
static bool render_own_certificate(const struct gate *gate, struct buffer *out)
{
    static const char name[] = "renewgate_own_certificate_expiry_timestamp_seconds";
    return gate->keypairs == NULL ||
           (metrics_render_head(out, name, "gauge", "When the gate's own certificate expires.") &&
            buffer_format(out, "%s %" PRId64 "\n", name, keypair_store_expiry(gate->keypairs)));
}

static bool render_buffered(const struct gate *gate, struct buffer *out)
{
    return metrics_render_head(out, "renewgate_buffered_bytes", "gauge",
                               "Memory counted against RENEWGATE_MAX_BUFFERED.") &&
           buffer_format(out, "renewgate_buffered_bytes %zu\n", atomic_load(&gate->budget->used)) &&
           metrics_render_head(out, "renewgate_buffered_bytes_limit", "gauge",
                               "RENEWGATE_MAX_BUFFERED.") &&
           buffer_format(out, "renewgate_buffered_bytes_limit %zu\n", gate->budget->limit);
}

/* Nothing where the gate has none of its own. */
static bool render_credential(const struct gate *gate, struct buffer *out)
{
    static const char refused[] = "renewgate_service_credential_refused";
    static const char refusals[] = "renewgate_service_credential_refusals_total";
    if (gate->credential == NULL)
        return true;
    bool rests = service_credential_state(gate->credential, clock_monotonic()).rests;
    return metrics_render_head(out, refused, "gauge",
                               "Whether the server refuses the gate's own credential, which "
                               "rests then.") &&
           buffer_format(out, "%s %d\n", refused, (int)rests) &&
           metrics_render_head(out, refusals, "counter",
                               "Requests with the gate's own credential that the server did not "
                               "know it for.") &&
           buffer_format(out, "%s %" PRIuFAST64 "\n", refusals,
                         atomic_load(&gate->metrics->credential_refusals));
}

static bool render_metrics(const struct gate *gate, struct buffer *out)
{
    return metrics_render(gate->metrics, out) && render_buffered(gate, out) &&
           render_own_certificate(gate, out) && render_credential(gate, out) &&
           domain_metrics_render(gate, out) && process_render(gate->started, out);
}

static void render(struct admin *admin, const char *url, struct page *page)
{
    if (strcmp(url, "/healthz") == 0) {
        buffer_format(&page->body, "ok\n");
    } else if (strcmp(url, "/readyz") == 0) {
        render_ready(admin, page);
    } else if (strcmp(url, "/metrics") == 0) {
        page->type = "text/plain; version=0.0.4; charset=utf-8";
        if (!render_metrics(admin->gate, &page->body))
            page->status = 500;
    } else if (strcmp(url, "/") == 0) {
        render_status(admin, false, page);
    } else if (strcmp(url, "/status.json") == 0) {
        render_status(admin, true, page);
    } else if (strcmp(url, "/favicon.svg") == 0) {
        page->type = "image/svg+xml";
        if (!buffer_append(&page->body, status_icon, strlen(status_icon)))
            page->status = 500;
    } else {
        page->status = 404;
        buffer_format(&page->body, "there are /, /status.json, /healthz, /readyz and /metrics\n");
    }
}

/* Nothing may be loaded, run or framed; the one form leads to this same page. */
static void add_fields(struct MHD_Response *response, const struct page *page)
{
    char source[STATUS_STYLE_SOURCE_SIZE] = "'none'";
    char policy[256];
    if (page->styled)
        status_style_source(source);
    snprintf(
        policy, sizeof policy,
        "default-src 'none'; style-src %s; img-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'none'",
        source);
    MHD_add_response_header(response, "Content-Type", page->type);
    MHD_add_response_header(response, "Cache-Control", "no-store");
    MHD_add_response_header(response, "Content-Security-Policy", policy);
    MHD_add_response_header(response, "Cross-Origin-Resource-Policy", "same-origin");
    MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    MHD_add_response_header(response, "X-Frame-Options", "DENY");
}

static enum MHD_Result on_access(void *user, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_len, void **context)
{
    (void)version;
    (void)upload;
    static int seen;
    if (*context == NULL) {
        *context = &seen;
        return MHD_YES;
    }
    if (*upload_len > 0) {
        *upload_len = 0;
        return MHD_YES;
    }
    struct page page = {.connection = connection, .status = 200, .type = TYPE_TEXT};
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
        render(user, url, &page);
    else
        page.status = 405;
    struct MHD_Response *response =
        MHD_create_response_from_buffer_copy(page.body.len, buffer_content(&page.body));
    buffer_clear(&page.body);
    if (response == NULL)
        return MHD_NO;
    add_fields(response, &page);
    enum MHD_Result result = MHD_queue_response(connection, page.status, response);
    MHD_destroy_response(response);
    return result;
}

/* A thread a connection: asking the server takes time, and the other pages do not wait for it. */
static struct MHD_Daemon *start_daemon(struct admin *admin, int listener)
{
    return MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL,
        NULL, on_access, admin, MHD_OPTION_LISTEN_SOCKET, listener, MHD_OPTION_CONNECTION_LIMIT,
        MAX_CONNECTIONS, MHD_OPTION_PER_IP_CONNECTION_LIMIT, MAX_CONNECTIONS_EACH,
        MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
}

struct admin *admin_start(struct gate *gate, const struct admin_explainer *explainer,
                          char text[static LISTENER_TEXT_SIZE])
{
    struct admin *admin = calloc(1, sizeof *admin);
    int listener = -1;
    if (admin != NULL && listener_open(&gate->config->admin_listen, &listener, 1, text)) {
        admin->gate = gate;
        admin->explainer = *explainer;
        pthread_mutex_init(&admin->lock, NULL);
        admin->daemon = start_daemon(admin, listener);
        if (admin->daemon != NULL)
            return admin;
        pthread_mutex_destroy(&admin->lock);
        close(listener);
    }
    log_event(gate->log, LOG_LEVEL_ERROR, "cannot listen for administration",
              log_text("host", gate->config->admin_listen.host),
              log_number("port", gate->config->admin_listen.port),
              log_text("error", strerror(errno)));
    free(admin);
    return NULL;
}

void admin_stop(struct admin *admin)
{
    if (admin == NULL)
        return;
    MHD_stop_daemon(admin->daemon);
    pthread_mutex_destroy(&admin->lock);
    free(admin);
}
