/*
 * The lock of several replicas, each with its own thread and connection, on a real lock server.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "jmap/facts/memory.h"
#include "proxy/config.h"
#include "proxy/replicas/lock_connection.h"
#include "proxy/replicas/replica_lock.h"
#include "proxy/telemetry/metrics.h"

enum {
    REPLICAS = 3,
    THREADS = 6,
    ROUNDS = 50,
};

struct replica {
    struct config config;
    struct metrics metrics;
    struct task_memory *memory;
    struct replica_lock *lock;
};

static struct replica replicas[REPLICAS];
static struct sockaddr_in address = {.sin_family = AF_INET};
static pid_t server;

/* Debian's redis-tools has the server under the name of a checker. */
static void start_server(void)
{
    char port[16];

    snprintf(port, sizeof port, "%u", ntohs(address.sin_port));
    server = fork();
    if (server == 0) {
        execl("/usr/bin/redis-check-rdb", "redis-server", "--bind", "127.0.0.1", "--port", port,
              "--save", "", "--logfile", "/dev/null", (char *)NULL);
        _exit(127);
    }
    for (int status = -1; status != 0;) {
        int file = socket(AF_INET, SOCK_STREAM, 0);
        status = connect(file, (struct sockaddr *)&address, sizeof address);
        close(file);
        assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
    }
}

static void kill_server(void)
{
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
}

static void choose_port(void)
{
    socklen_t len = sizeof address;
    int file = socket(AF_INET, SOCK_STREAM, 0);

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = 0;
    assert_int_equal(bind(file, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(file, (struct sockaddr *)&address, &len), 0);
    close(file);
}

static void start_replica(struct replica *replica)
{
    char url[64];
    char *environment[] = {"RENEWGATE_UPSTREAM_URL=http://127.0.0.1:1", "RENEWGATE_LOG_LEVEL=error",
                           "RENEWGATE_LOCK_TIMEOUT=2s", url, NULL};

    snprintf(url, sizeof url, "RENEWGATE_LOCK_URL=redis://127.0.0.1:%u", ntohs(address.sin_port));
    assert_true(config_read(&replica->config, environment, stderr));
    replica->memory = task_memory_create();
    const struct replica_lock_settings settings = {
        .connection = config_lock_server(&replica->config),
        .patience_ms = replica->config.flight_timeout_ms,
        .blind_interval_seconds = replica->config.hold.blind_interval_seconds,
        .memory = replica->memory,
        .log = &replica->config.log,
        .metrics = &replica->metrics,
    };
    replica->lock = replica_lock_start(&settings);
    assert_non_null(replica->lock);
}

static int set_up(void **state)
{
    (void)state;
    choose_port();
    start_server();
    for (size_t i = 0; i < REPLICAS; i++)
        start_replica(&replicas[i]);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t i = 0; i < REPLICAS; i++) {
        replica_lock_stop(replicas[i].lock);
        task_memory_destroy(replicas[i].memory);
        config_clear(&replicas[i].config);
    }
    kill_server();
    return 0;
}

static void post(void *user)
{
    sem_post(user);
}

/* Tries to take the lease of the sweeps, and waits for what comes of it. */
static struct lease *try_to_sweep(struct replica *replica, enum lease_state *state)
{
    sem_t settled;

    sem_init(&settled, 0, 0);
    struct lease *lease = replica_lock_take(replica->lock, "sweep", post, &settled);
    if (lease != NULL)
        sem_wait(&settled);
    sem_destroy(&settled);
    *state = replica_lock_state(replica->lock, lease);
    return lease;
}

static void one_replica_sweeps(void **state)
{
    struct lease *leases[REPLICAS];
    enum lease_state states[REPLICAS];

    (void)state;
    for (size_t i = 0; i < REPLICAS; i++) {
        leases[i] = try_to_sweep(&replicas[i], &states[i]);
        assert_int_equal(states[i], i == 0 ? LEASE_MINE : LEASE_OTHERS);
    }
    for (size_t i = 0; i < REPLICAS; i++)
        replica_lock_give(replicas[i].lock, leases[i]);
    /* What the first has given, the last gets; the lock server may hear of it a moment later. */
    do {
        leases[2] = try_to_sweep(&replicas[2], &states[2]);
        if (states[2] == LEASE_OTHERS)
            replica_lock_give(replicas[2].lock, leases[2]);
    } while (states[2] == LEASE_OTHERS);
    assert_int_equal(states[2], LEASE_MINE);
    replica_lock_give(replicas[2].lock, leases[2]);
}

static struct lock_reply say(struct lock_connection *connection, bool written,
                             struct buffer *command)
{
    struct lock_reply reply = {.kind = LOCK_REPLY_ERROR};
    char error[LOCK_ERROR_SIZE];
    enum lock_receipt receipt;

    assert_true(written);
    assert_true(lock_connection_send(connection, command, error));
    assert_int_equal(command->len, 0);
    do {
        receipt = lock_connection_receive(connection, &reply, error);
    } while (receipt == LOCK_RECEIPT_LATER);
    assert_int_equal(receipt, LOCK_RECEIPT_REPLY);
    return reply;
}

static void only_its_owner_renews_and_gives_a_lease(void **state)
{
    static const struct lock_key own = {"renewgate", "b", "own"},
                                 other = {"renewgate", "b", "other"};
    const struct lock_connection_settings settings = {
        .server = &replicas[0].config.lock_server, .prefix = "renewgate", .timeout_ms = 10000};
    char error[LOCK_ERROR_SIZE];
    struct buffer out = BUFFER_EMPTY;
    struct lock_connection *connection = lock_connection_open(&settings, error);

    (void)state;
    assert_non_null(connection);
    assert_string_equal(say(connection, lock_command_take(&out, &own, 60000), &out).text, "");
    assert_int_equal(say(connection, lock_command_take(&out, &other, 60000), &out).kind,
                     LOCK_REPLY_NOTHING);
    /* Asked again over a new connection. */
    assert_int_equal(say(connection, lock_command_take(&out, &own, 60000), &out).kind,
                     LOCK_REPLY_TEXT);
    assert_int_equal(say(connection, lock_command_renew(&out, &other, 60000), &out).number, 0);
    assert_int_equal(say(connection, lock_command_renew(&out, &own, 60000), &out).number, 1);
    assert_int_equal(say(connection, lock_command_give(&out, &other, "jp9 9", 60000), &out).number,
                     0);
    assert_int_equal(say(connection, lock_command_give(&out, &own, "jp1 17", 60000), &out).number,
                     1);
    assert_string_equal(say(connection, lock_command_take(&out, &other, 60000), &out).text,
                        "jp1 17");
    assert_int_equal(say(connection, lock_command_give(&out, &own, "", 0), &out).number, 0);
    lock_connection_close(connection);
    buffer_clear(&out);
}

static atomic_int owners;
static atomic_bool overlapped;

static void *own_a_domain(void *user)
{
    const struct domain_lock *lock = replica_lock_domains(((struct replica *)user)->lock);
    sem_t settled;

    sem_init(&settled, 0, 0);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct lease *lease = lock->take(lock->user, "b", post, &settled);
        if (round % 5 != 0) {
            sem_wait(&settled);
            if (lock->state(lock->user, lease) != LEASE_MINE || atomic_fetch_add(&owners, 1) != 0)
                atomic_store(&overlapped, true);
            sched_yield();
            atomic_fetch_sub(&owners, 1);
        }
        lock->give(lock->user, lease, "b");
        while (sem_trywait(&settled) == 0)
            ;
    }
    sem_destroy(&settled);
    return NULL;
}

static void a_domain_has_one_owner_at_a_time(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, own_a_domain, &replicas[i % REPLICAS]),
                         0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&overlapped));
}

static void without_the_lock_server_every_replica_is_alone(void **state)
{
    enum lease_state states[REPLICAS];

    (void)state;
    kill_server();
    for (size_t i = 0; i < REPLICAS; i++) {
        struct lease *lease = try_to_sweep(&replicas[i], &states[i]);
        assert_int_equal(states[i], LEASE_ALONE);
        replica_lock_give(replicas[i].lock, lease);
    }
    start_server();
    for (enum lease_state one = LEASE_ALONE; one == LEASE_ALONE;) {
        struct lease *lease = try_to_sweep(&replicas[0], &one);
        replica_lock_give(replicas[0].lock, lease);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_replica_sweeps, set_up, tear_down),
        cmocka_unit_test_setup_teardown(only_its_owner_renews_and_gives_a_lease, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_domain_has_one_owner_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_the_lock_server_every_replica_is_alone, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
