#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "jmap/create/flight.h"
#include "jmap/facts/memory.h"
#include "jmap/facts/domain_snapshot.h"
#include "proxy/base/budget.h"
#include "proxy/admin/admin.h"
#include "proxy/audit/audit_command.h"
#include "proxy/jobs/alive.h"
#include "proxy/jobs/check.h"
#include "proxy/jobs/explain_command.h"
#include "proxy/jobs/explainer.h"
#include "proxy/base/clock.h"
#include "proxy/server/callers.h"
#include "proxy/telemetry/history.h"
#include "proxy/clients/keypair.h"
#include "proxy/clients/listener.h"
#include "proxy/clients/passthrough.h"
#include "proxy/admin/notify.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/relay/report.h"
#include "proxy/jobs/sweep_command.h"
#include "proxy/jobs/sweeper.h"
#include "proxy/base/version.h"
#include "proxy/server/own_address.h"
#include "proxy/server/service_credential.h"
#include "proxy/relay/worker.h"

#define WORKERS_LIMIT 64
#define EXIT_CONFIGURATION 2
/* How often it is looked whether the gate's own certificate or credential has been renewed. */
#define FILES_LOOK_MILLISECONDS 2000

static void print_help(void)
{
    puts(
        "renewgate " RENEWGATE_VERSION ": a gate for certificate renewals in front of a Stalwart "
        "mail server\n\n"
        "  renewgate                   run until SIGTERM or SIGINT\n"
        "  renewgate sweep             tidy up the queue of all domains once; with --dry-run only\n"
        "                              tell what it would change, with --json a line a change\n"
        "  renewgate audit             read all domains and tell what is wrong, changing nothing;\n"
        "                              --domain NAME, --all, --json, --probe HOST:PORT (over TLS)\n"
        "  renewgate explain DOMAIN    tell what would become of a create for it now, and why;\n"
        "                              --force, --json\n"
        "  renewgate --check           try the configuration, the servers and the credential\n"
        "  renewgate --alive           whether the gate here answers, for health checks\n"
        "  renewgate --help            this text; audit, explain and sweep have one each\n"
        "  renewgate --help-markdown   the variables as a table\n"
        "  renewgate --version         of the gate, and of what it is linked with\n\n"
        "Environment variables (durations: 500ms, 30s, 5m, 1h, 7d; empty counts as not set):\n");
    config_print_help(stdout);
}

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

/* Asked for by SIGHUP. Whoever sends it may have mended the credential at the server. */
static void reload(struct gate *gate)
{
    if (gate->keypairs != NULL)
        read_keypairs(gate);
    if (gate->credential != NULL) {
        report_credential_read(gate);
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
        report_credential_read(gate);
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

/* Where the server answers a CA's challenges over TLS, if that is set. */
static bool open_passthrough(struct gate *gate)
{
    const struct listen_address *server = &gate->config->tls_alpn_upstream;
    if (!server->set)
        return true;
    gate->passthrough =
        passthrough_create(server->host, server->port, gate->files.passages, gate->log);
    return gate->passthrough != NULL;
}

static bool start_replicas(struct gate *gate)
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

/* Between signals: starts everything, waits, ends everything in the opposite order. */
static int main_run(struct gate *gate, const sigset_t *signals)
{
    struct listen_texts texts = {0};
    struct worker *workers[WORKERS_LIMIT];
    share_open_files(gate);
    struct explainer *explainer = gate->credential != NULL ? explainer_open(gate) : NULL;
    const struct admin_explainer explains = {.explain = explainer != NULL ? explain : NULL,
                                             .user = explainer};
    struct admin *admin = admin_start(gate, &explains, texts.admin);
    if (admin == NULL) {
        explainer_close(explainer);
        return EXIT_FAILURE;
    }
    size_t started =
        start_replicas(gate) && open_passthrough(gate) ? start_workers(gate, workers, &texts) : 0;
    bool fine = started == gate->config->workers;
    struct service service = {
        .gate = gate, .signals = signals, .workers = workers, .worker_count = started};
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

/* What it printed is all that there is to it. */
static int run_sweep(struct gate *gate, const struct sweep_options *options)
{
    signal(SIGPIPE, SIG_IGN);
    int status = start_replicas(gate) ? sweep_command(gate, options, stdout, stderr) : EXIT_FAILURE;
    replica_lock_stop(gate->replicas);
    return status;
}

enum command_kind {
    COMMAND_SERVE,
    COMMAND_ALIVE,
    COMMAND_CHECK,
    COMMAND_SWEEP,
    COMMAND_AUDIT,
    COMMAND_EXPLAIN,
    COMMAND_USAGE,
};

/* What the command line asks for. */
struct command {
    enum command_kind kind;
    struct sweep_options sweep;
    struct audit_options audit;
    struct explain_options explain;
    const char *usage; /* what is to be printed, and nothing done */
};

static int run_command(struct gate *gate, const struct command *command)
{
    sigset_t signals;
    switch (command->kind) {
    case COMMAND_ALIVE:
        return alive_run(gate->config, stderr);
    case COMMAND_CHECK:
        return check_run(gate->config, stdout);
    case COMMAND_SWEEP:
        return run_sweep(gate, &command->sweep);
    case COMMAND_AUDIT:
        signal(SIGPIPE, SIG_IGN);
        return audit_command(gate, &command->audit, stdout, stderr);
    case COMMAND_EXPLAIN:
        signal(SIGPIPE, SIG_IGN);
        return explain_command(gate, &command->explain, stdout, stderr);
    case COMMAND_SERVE:
    case COMMAND_USAGE:
        break;
    }
    block_signals(&signals);
    return main_run(gate, &signals);
}

/* Large blocks are maps of their own, so that each is the system's again once it is freed. */
static void give_memory_back(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

static int run_gate(const struct config *config, struct keypair_store *keypairs,
                    const struct command *command)
{
    struct metrics metrics = {0};
    struct log log = config->log;
    struct budget budget;
    char own_address[NETWORK_ADDRESS_TEXT_SIZE] = "";
    struct gate gate = {
        .config = config,
        .own_address = own_address,
        .log = &log,
        .metrics = &metrics,
        .budget = &budget,
        .flights = flight_table_create(),
        .callers = callers_create(),
        .memory = task_memory_create(),
        .snapshots = domain_snapshots_create(),
        .history = history_create(),
        .started = clock_wall(),
        .keypairs = keypairs,
    };
    if (config->service_authorization != NULL) {
        own_address_find(config->upstream_url, own_address);
        gate.credential = service_credential_open(config->service_authorization,
                                                  config->service_authorization_file);
    }
    if (gate.memory != NULL)
        memory_watch_unreadable(gate.memory, report_unreadable_task, &gate);
    int status = EXIT_FAILURE;
    give_memory_back();
    if (budget_init(&budget, config->max_buffered) && gate.flights != NULL &&
        gate.callers != NULL && gate.memory != NULL && gate.snapshots != NULL &&
        gate.history != NULL &&
        (gate.credential != NULL || config->service_authorization == NULL) &&
        (command->kind != COMMAND_SERVE || log_open(&log, &metrics)))
        status = run_command(&gate, command);
    else
        fputs("renewgate: out of memory\n", stderr);
    service_credential_close(gate.credential);
    log_close(&log);
    history_destroy(gate.history);
    domain_snapshots_destroy(gate.snapshots);
    task_memory_destroy(gate.memory);
    callers_destroy(gate.callers);
    flight_table_destroy(gate.flights);
    return status;
}

/* False with a line on standard error. `keypairs` stays NULL without TLS. */
static bool open_keypairs(const struct config *config, struct keypair_store **keypairs)
{
    char error[KEYPAIR_ERROR_SIZE];
    *keypairs = NULL;
    if (config->tls_cert == NULL)
        return true;
    *keypairs = keypair_store_open(config->tls_cert, config->tls_key, error);
    if (*keypairs == NULL)
        fprintf(stderr,
                "renewgate: RENEWGATE_TLS_CERT=\"%s\" and RENEWGATE_TLS_KEY=\"%s\" cannot be used "
                "(%s); allowed is: a certificate and its own key\n",
                config->tls_cert, config->tls_key, error);
    return *keypairs != NULL;
}

static void print_version(void)
{
    version_print(stdout);
}

static void print_reference(void)
{
    config_print_reference(stdout);
}

/* Those that need no configuration. True when it was one. */
static bool print_about(int count, const char *option)
{
    static const struct {
        const char *option;
        void (*print)(void);
    } all[] = {
        {"--help", print_help},
        {"--help-markdown", print_reference},
        {"--version", print_version},
    };
    for (size_t i = 0; count == 2 && i < sizeof all / sizeof *all; i++) {
        if (strcmp(option, all[i].option) == 0) {
            all[i].print();
            return true;
        }
    }
    return false;
}

static bool read_none(struct command *command, int count, char **arguments)
{
    (void)command;
    (void)arguments;
    return count == 0;
}

static bool read_sweep(struct command *command, int count, char **arguments)
{
    return sweep_options_read(&command->sweep, count, arguments);
}

static bool read_audit(struct command *command, int count, char **arguments)
{
    return audit_options_read(&command->audit, count, arguments);
}

static bool read_explain(struct command *command, int count, char **arguments)
{
    return explain_options_read(&command->explain, count, arguments);
}

/* False where the command line is not understood. */
static bool read_command(struct command *command, int count, char **arguments)
{
    static const struct {
        const char *name;
        enum command_kind kind;
        bool (*read)(struct command *command, int count, char **arguments); /* what follows it */
        const char *usage;
    } all[] = {
        {"--alive", COMMAND_ALIVE, read_none, NULL},
        {"--check", COMMAND_CHECK, read_none, NULL},
        {"audit", COMMAND_AUDIT, read_audit, audit_usage},
        {"explain", COMMAND_EXPLAIN, read_explain, explain_usage},
        {"sweep", COMMAND_SWEEP, read_sweep, sweep_usage},
    };
    *command = (struct command){.kind = COMMAND_SERVE};
    for (size_t i = 0; count > 1 && i < sizeof all / sizeof *all; i++) {
        if (strcmp(arguments[1], all[i].name) != 0)
            continue;
        command->kind = all[i].kind;
        if (count == 3 && all[i].usage != NULL && strcmp(arguments[2], "--help") == 0) {
            command->kind = COMMAND_USAGE;
            command->usage = all[i].usage;
            return true;
        }
        return all[i].read(command, count - 2, arguments + 2);
    }
    return count < 2;
}

static void print_not_understood(int count, char **arguments)
{
    fputs("renewgate: \"", stderr);
    for (int i = 1; i < count; i++)
        fprintf(stderr, "%s%s", i > 1 ? " " : "", arguments[i]);
    fputs("\" is not understood; see renewgate --help\n", stderr);
}

/*
 * Whatever is opened first would else become standard input, output or error, and a client's
 * connection would get the log. False where even that cannot be had.
 */
static bool open_standard_files(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", O_RDWR) != file)
            return false;
    }
    return true;
}

int main(int count, char **arguments)
{
    if (!open_standard_files())
        return EXIT_FAILURE;
    struct command command;
    if (print_about(count, count > 1 ? arguments[1] : ""))
        return EXIT_SUCCESS;
    if (!read_command(&command, count, arguments)) {
        print_not_understood(count, arguments);
        return EXIT_CONFIGURATION;
    }
    if (command.kind == COMMAND_USAGE) {
        fputs(command.usage, stdout);
        return EXIT_SUCCESS;
    }
    struct config config;
    if (!config_read(&config, environ, stderr))
        return EXIT_CONFIGURATION;
    struct keypair_store *keypairs;
    int status = EXIT_CONFIGURATION;
    if (open_keypairs(&config, &keypairs)) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
        status = run_gate(&config, keypairs, &command);
        curl_global_cleanup();
    }
    keypair_store_close(keypairs);
    config_clear(&config);
    return status;
}
