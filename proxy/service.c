#include "proxy/service.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/admin/admin.h"
#include "proxy/admin/notify.h"
#include "proxy/base/clock.h"
#include "proxy/base/version.h"
#include "proxy/clients/keypair.h"
#include "proxy/clients/listener.h"
#include "proxy/clients/passthrough.h"
#include "proxy/jobs/explainer.h"
#include "proxy/jobs/sweeper.h"
#include "proxy/relay/report.h"
#include "proxy/relay/worker.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/server/service_credential.h"

#define WORKERS_LIMIT 64
/* How often it is looked whether the gate's own certificate or credential has been renewed. */
#define FILES_LOOK_MILLISECONDS 2000

/* The signals that are waited for; workers inherit that they are blocked. */
static void block_signals(sigset_t *signals)
{
    sigemptyset(signals);
    sigaddset(signals, SIGTERM);
    sigaddset(signals, SIGINT);
    sigaddset(signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, signals, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void share_open_files(struct gate *gate)
{
    const struct config *config = gate->config;
    const struct open_files_wish wish = {
        .workers = config->workers,
        .clients = config->max_connections,
        .challenges = config->http_listen.set ? WORKER_CHALLENGES * config->workers : 0,
        .passages = config->tls_alpn_upstream.set ? PASSTHROUGH_MAX : 0,
    };
    gate->files = open_files_share(&wish);
    if (gate->files.clients < config->max_connections)
        log_event(gate->log, LOG_LEVEL_WARN,
                  "fewer open files are allowed than connections may need",
                  log_number("allowed", (int64_t)gate->files.allowed),
                  log_number("wanted", (int64_t)gate->files.wanted),
                  log_number("connections", gate->files.clients));
}

/* Where clients reach the gate, as text; "" where they do not. */
struct listen_texts {
    char clients[LISTENER_TEXT_SIZE];
    char challenges[LISTENER_TEXT_SIZE];
    char admin[LISTENER_TEXT_SIZE];
};

/* One socket a worker, all -1 where the address is not set. False with a line in the log. */
static bool listen_for_workers(struct gate *gate, const struct listen_address *address,
                               int sockets[static WORKERS_LIMIT],
                               char text[static LISTENER_TEXT_SIZE])
{
    for (size_t i = 0; i < WORKERS_LIMIT; i++)
        sockets[i] = -1;
    if (!address->set || listener_open(address, sockets, gate->config->workers, text))
        return true;
    log_event(gate->log, LOG_LEVEL_ERROR, "cannot listen for clients",
              log_text("host", address->host), log_number("port", address->port),
              log_text("error", strerror(errno)));
    return false;
}

static void close_from(const int sockets[static WORKERS_LIMIT], size_t first)
{
    for (size_t i = first; i < WORKERS_LIMIT && sockets[i] >= 0; i++)
        close(sockets[i]);
}

static size_t start_workers(struct gate *gate, struct worker **workers, struct listen_texts *texts)
{
    const struct config *config = gate->config;
    int clients[WORKERS_LIMIT];
    int challenges[WORKERS_LIMIT];
    if (!listen_for_workers(gate, &config->listen, clients, texts->clients))
        return 0;
    if (!listen_for_workers(gate, &config->http_listen, challenges, texts->challenges)) {
        close_from(clients, 0);
        return 0;
    }
    size_t started = 0;
    for (; started < config->workers; started++) {
        const struct worker_sockets sockets = {clients[started], challenges[started]};
        workers[started] = worker_start(gate, sockets);
        if (workers[started] == NULL)
            break;
    }
    close_from(clients, started + 1);
    close_from(challenges, started + 1);
    return started;
}

static void stop_workers(struct worker **workers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        worker_stop(workers[i]);
    for (size_t i = 0; i < count; i++)
        worker_join(workers[i]);
}

static void read_keypairs(struct gate *gate)
{
    char error[KEYPAIR_ERROR_SIZE];
    if (keypair_store_reload(gate->keypairs, error))
        log_event(gate->log, LOG_LEVEL_INFO, "certificate and key read again",
                  log_text("cert", gate->config->tls_cert));
    else
        log_event(gate->log, LOG_LEVEL_ERROR,
                  "the new certificate and key cannot be used, the old ones stay",
                  log_text("cert", gate->config->tls_cert), log_text("key", gate->config->tls_key),
                  log_text("error", error));
}

static void read_credential(const struct gate *gate)
{
    char error[SERVICE_CREDENTIAL_ERROR_SIZE];
    const char *path = gate->config->service_authorization_file;
    switch (service_credential_read(gate->credential, error)) {
    case SERVICE_CREDENTIAL_CHANGED:
        log_event(gate->log, LOG_LEVEL_INFO, "the gate's own credential has changed",
                  log_text("file", path));
        break;
    case SERVICE_CREDENTIAL_UNREADABLE:
        log_event(gate->log, LOG_LEVEL_ERROR,
                  "the gate's own credential cannot be read again, the old one stays",
                  log_text("file", path), log_text("error", error));
        break;
    case SERVICE_CREDENTIAL_SAME:
        break;
    }
}

/* Asked for by SIGHUP. Whoever sends it may have mended the credential at the server. */
static void reload(struct gate *gate)
{
    if (gate->keypairs != NULL)
        read_keypairs(gate);
    if (gate->credential != NULL) {
        read_credential(gate);
        service_credential_wake(gate->credential);
    }
    if (gate->keypairs == NULL && gate->credential == NULL)
        log_event(gate->log, LOG_LEVEL_INFO, "nothing to read again: TLS is not configured",
                  log_text("signal", strsignal(SIGHUP)));
}

/* What runs between the start and the stop. */
struct service {
    struct gate *gate;
    const sigset_t *signals;
    struct worker **workers;
    size_t worker_count;
    struct notify notify;
    char status[LISTENER_TEXT_SIZE + 32];
};

/* A sign of life, unless a worker is stuck. */
static void feed_watchdog(const struct service *service)
{
    monotonic_time marks[WORKERS_LIMIT];
    for (size_t i = 0; i < service->worker_count; i++)
        marks[i] = worker_mark(service->workers[i]);
    notify_alive(&service->notify, marks, service->worker_count, clock_monotonic());
}

/* Files that nobody tells of: a renewal at night need not send SIGHUP. */
static void follow_files(struct gate *gate)
{
    if (gate->keypairs != NULL && keypair_store_is_stale(gate->keypairs))
        read_keypairs(gate);
    if (gate->credential != NULL && service_credential_is_stale(gate->credential))
        read_credential(gate);
}

/* -1: there is nothing to look at. */
static int64_t look_interval_ms(const struct service *service)
{
    int64_t interval_ms = notify_interval_ms(&service->notify);
    if (service->gate->keypairs == NULL &&
        service->gate->config->service_authorization_file == NULL)
        return interval_ms;
    return interval_ms < 0 || interval_ms > FILES_LOOK_MILLISECONDS ? FILES_LOOK_MILLISECONDS
                                                                    : interval_ms;
}

/* The next signal, or 0 when it is time to look at the workers and the files. */
static int wait_for_signal(const struct service *service)
{
    int64_t interval_ms = look_interval_ms(service);
    const struct timespec interval = {
        .tv_sec = interval_ms / 1000,
        .tv_nsec = interval_ms % 1000 * NANOSECONDS_PER_MILLISECOND,
    };
    int number = interval_ms < 0 ? sigwaitinfo(service->signals, NULL)
                                 : sigtimedwait(service->signals, NULL, &interval);
    return number < 0 ? 0 : number;
}

/* The signal that ends the process. */
static int wait_for_stop(const struct service *service)
{
    for (;;) {
        int number = wait_for_signal(service);
        if (number == SIGHUP) {
            notify_reloading(&service->notify);
            reload(service->gate);
            notify_ready(&service->notify, service->status);
        } else if (number != 0) {
            return number;
        } else {
            follow_files(service->gate);
        }
        feed_watchdog(service);
    }
}

static void serve(struct service *service, const struct listen_texts *texts)
{
    struct gate *gate = service->gate;
    const struct config *config = gate->config;
    log_event(gate->log, LOG_LEVEL_INFO, "ready", log_text("listen", texts->clients),
              log_text("http_listen", texts->challenges[0] != '\0' ? texts->challenges : NULL),
              log_text("admin_listen", texts->admin), log_text("upstream", config->upstream_url),
              log_text("mode", config->hold.observe ? "observe" : "enforce"),
              log_number("workers", config->workers),
              log_number("sweep_milliseconds", sweeper_sweep_interval_ms(config)),
              log_number("survey_milliseconds", sweeper_survey_interval_ms(config)),
              log_text("version", RENEWGATE_VERSION));
    snprintf(service->status, sizeof service->status, "serving clients on %s", texts->clients);
    notify_open(&service->notify);
    notify_ready(&service->notify, service->status);
    int number = wait_for_stop(service);
    notify_stopping(&service->notify);
    notify_close(&service->notify);
    atomic_store(&gate->draining, true);
    log_event(gate->log, LOG_LEVEL_INFO, "stopping", log_text("signal", strsignal(number)),
              log_number("drain_milliseconds", config->drain_timeout_ms));
}

/* Where the server answers a CA's challenges over TLS, if that is set. False after a line. */
static bool open_passthrough(struct gate *gate)
{
    const struct listen_address *server = &gate->config->tls_alpn_upstream;
    if (!server->set)
        return true;
    gate->passthrough =
        passthrough_create(server->host, server->port, gate->files.passages, gate->log);
    if (gate->passthrough == NULL)
        log_event(gate->log, LOG_LEVEL_ERROR, "challenges over TLS cannot be passed on",
                  log_text("error", strerror(errno)));
    return gate->passthrough != NULL;
}

bool service_start_replicas(struct gate *gate)
{
    const struct replica_lock_settings settings = {
        .connection = config_lock_server(gate->config),
        .patience_ms = gate->config->flight_timeout_ms,
        .blind_interval_seconds = gate->config->hold.blind_interval_seconds,
        .clock = &gate->clock,
        .memory = gate->memory,
        .log = gate->log,
        .metrics = gate->metrics,
    };
    if (gate->config->lock_server.address == NULL)
        return true;
    gate->replicas = replica_lock_start(&settings);
    return gate->replicas != NULL;
}

static void tell_change(void *user, const struct queue_change *change)
{
    report_change(user, NULL, change);
}

static void tell_skip(void *user, const struct sweep_skip *skip)
{
    report_skip(user, skip);
}

/* NULL where it has nothing to do, or cannot be started, which the rest does without. */
static struct sweeper *start_sweeper(struct gate *gate)
{
    const struct sweeper_handler handler = {
        .changed = tell_change, .skipped = tell_skip, .user = gate};
    if (sweeper_sweep_interval_ms(gate->config) + sweeper_survey_interval_ms(gate->config) == 0)
        return NULL;
    struct sweeper *sweeper = sweeper_create(gate, false, &handler);
    if (sweeper != NULL && sweeper_start(sweeper))
        return sweeper;
    log_event(gate->log, LOG_LEVEL_ERROR, "sweeps cannot be started",
              log_text("error", strerror(errno)));
    sweeper_destroy(sweeper);
    return NULL;
}

static void stop_sweeper(struct sweeper *sweeper)
{
    if (sweeper == NULL)
        return;
    sweeper_stop(sweeper);
    sweeper_destroy(sweeper);
}

/* For the admin's pages. */
static json_t *explain(void *user, const char *domain)
{
    return explainer_json(user, domain);
}

int service_run(struct gate *gate)
{
    sigset_t signals;
    struct listen_texts texts = {0};
    struct worker *workers[WORKERS_LIMIT];
    block_signals(&signals);
    share_open_files(gate);
    struct explainer *explainer = gate->credential != NULL ? explainer_open(gate) : NULL;
    const struct admin_explainer explains = {.explain = explainer != NULL ? explain : NULL,
                                             .user = explainer};
    struct admin *admin = admin_start(gate, &explains, texts.admin);
    if (admin == NULL) {
        explainer_close(explainer);
        return EXIT_FAILURE;
    }
    size_t started = service_start_replicas(gate) && open_passthrough(gate)
                         ? start_workers(gate, workers, &texts)
                         : 0;
    bool fine = started == gate->config->workers;
    struct service service = {
        .gate = gate, .signals = &signals, .workers = workers, .worker_count = started};
    struct sweeper *sweeper = fine ? start_sweeper(gate) : NULL;
    if (fine)
        serve(&service, &texts);
    stop_sweeper(sweeper);
    stop_workers(workers, started);
    passthrough_destroy(gate->passthrough);
    replica_lock_stop(gate->replicas);
    explainer_stop(explainer);
    admin_stop(admin);
    explainer_close(explainer);
    if (fine)
        log_event(gate->log, LOG_LEVEL_INFO, "stopped", log_number("workers", (int64_t)started));
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
