#include <curl/curl.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "jmap/create/flight.h"
#include "jmap/facts/domain_snapshot.h"
#include "jmap/facts/memory.h"
#include "proxy/audit/audit_command.h"
#include "proxy/base/budget.h"
#include "proxy/base/clock.h"
#include "proxy/base/version.h"
#include "proxy/clients/keypair.h"
#include "proxy/jobs/alive.h"
#include "proxy/jobs/check.h"
#include "proxy/jobs/explain_command.h"
#include "proxy/jobs/sweep_command.h"
#include "proxy/relay/report.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/server/callers.h"
#include "proxy/server/own_address.h"
#include "proxy/server/service_credential.h"
#include "proxy/service.h"
#include "proxy/telemetry/history.h"

#define EXIT_CONFIGURATION 2

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

/* What it printed is all that there is to it. */
static int run_sweep(struct gate *gate, const struct sweep_options *options)
{
    signal(SIGPIPE, SIG_IGN);
    int status =
        service_start_replicas(gate) ? sweep_command(gate, options, stdout, stderr) : EXIT_FAILURE;
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
    switch (command->kind) {
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
    case COMMAND_ALIVE:
    case COMMAND_USAGE:
        break;
    }
    return service_run(gate);
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
    own_address_find(config->upstream_url, own_address);
    if (config->service_authorization != NULL)
        gate.credential = service_credential_open(config->service_authorization,
                                                  config->service_authorization_file);
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

static int run_alive(void)
{
    struct listen_address admin;
    if (!config_read_admin(&admin, environ, stderr))
        return EXIT_CONFIGURATION;
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int status = alive_run(&admin, stderr);
    curl_global_cleanup();
    return status;
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
    if (command.kind == COMMAND_ALIVE)
        return run_alive();
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
