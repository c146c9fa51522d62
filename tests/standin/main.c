/*
 * stalwart-standin: a Stalwart for tests. Two versions of its API, its task queue and the CA behind
 * it, with the defects that each version has.
 */
#include "tests/standin/bans.h"
#include "tests/standin/control.h"
#include "tests/standin/http.h"
#include "tests/standin/runner.h"
#include "tests/standin/store.h"
#include "tests/standin/traffic.h"
#include "tests/standin/websocket.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct options {
    enum version version;
    const char *listen, *control, *state;
};

static bool usage(void)
{
    fputs("usage: stalwart-standin --version-like v0.16.5|v0.16.18 --listen 127.0.0.1:PORT\n"
          "                        --control 127.0.0.1:PORT [--state FILE.json]\n",
          stderr);
    return false;
}

static bool read_options(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {
        {"version-like", required_argument, NULL, 'v'},
        {"listen", required_argument, NULL, 'l'},
        {"control", required_argument, NULL, 'c'},
        {"state", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    *options = (struct options){
        .version = VERSION_0_16_18, .listen = "127.0.0.1:0", .control = "127.0.0.1:0"};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'v':
            if (strcmp(optarg, "v0.16.5") != 0 && strcmp(optarg, "v0.16.18") != 0)
                return usage();
            options->version = optarg[6] == '5' ? VERSION_0_16_5 : VERSION_0_16_18;
            break;
        case 'l':
            options->listen = optarg;
            break;
        case 'c':
            options->control = optarg;
            break;
        case 's':
            options->state = optarg;
            break;
        default:
            return usage();
        }
    }
    return optind == argc || usage();
}

static bool load_file(const char *path)
{
    json_error_t where;
    json_t *state = json_load_file(path, 0, &where);
    const char *error = where.text;
    bool good = state && store_load(state, &error);
    if (!good)
        fprintf(stderr, "stalwart-standin: cannot take the state in %s: %s\n", path, error);
    json_decref(state);
    return good;
}

int main(int argc, char **argv)
{
    struct options options;
    struct listener api = {
        .max_body = LISTENER_BODY_MAX, .answer = http_answer, .admits = bans_admit};
    struct listener control = {.answer = control_answer};
    sigset_t signals;
    int caught;
    if (!read_options(argc, argv, &options))
        return 2;
    /* Before any thread, so that all of them leave these to this one. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    srandom((unsigned)time(NULL));

    store_init(options.version);
    if (options.state && !load_file(options.state))
        return 1;
    runner_start();
    if (!listener_start(&api, options.listen) || !listener_start(&control, options.control))
        return 1;
    printf("ready listen=%u control=%u\n", api.port, control.port);
    fflush(stdout);

    sigwait(&signals, &caught);
    pthread_mutex_lock(&store.lock);
    store.stopping = true;
    pthread_cond_broadcast(&store.changed);
    pthread_mutex_unlock(&store.lock);
    runner_stop();
    listener_stop(&api);
    listener_stop(&control);
    faults_clear();
    traffic_clear();
    websocket_free();
    store_free();
    return 0;
}
