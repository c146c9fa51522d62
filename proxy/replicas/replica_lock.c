#include "proxy/replicas/replica_lock.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "jmap/facts/memory.h"
#include "proxy/replicas/lease.h"
#include "proxy/replicas/lock_connection.h"
#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/plain_text.h"
#include "proxy/server/server_clock.h"
#include "proxy/telemetry/log.h"
#include "proxy/telemetry/metrics.h"

/* How long after a failure the lock server is tried again: doubling from the first to the last. */
#define FIRST_PAUSE_MILLISECONDS 50
#define LAST_PAUSE_MILLISECONDS 5000

/* How the lock server was lost. */
enum loss {
    LOSS_BROKEN,  /* the connection ended: it may be starting anew */
    LOSS_SILENT,  /* no answer in time */
    LOSS_REFUSED, /* no answer that helps */
};

struct replica_lock {
    struct replica_lock_settings settings;
    struct domain_lock domains;
    pthread_t thread;
    struct loop loop;
    struct mailbox mailbox;
    struct mailbox_message look; /* there is something to ask, or the end has come */
    struct loop_source source;

    pthread_mutex_t mutex; /* over these two */
    struct lease_table *leases;
    bool stopping;

    /* The thread's own from here on. */
    struct lock_connection *connection; /* NULL: the lock server is not in use */
    struct buffer unsent;
    uint32_t watched; /* events of the connection */
    bool told;        /* that it is not in use */
    int64_t pause_ms;
    monotonic_time try_at;
    monotonic_time in_use_since;
    monotonic_time alone_at; /* as the leases have it */
    monotonic_time give_up;  /* when the end waits for the lock server no longer */
};

/* ---- what goes along with a domain's lease ---- */

/* In the place of an id: what the server made of the create is not known. */
#define NO_ANSWER "-"

static wall_time time_now(const struct replica_lock *lock)
{
    return lock->settings.clock != NULL ? server_clock_now(lock->settings.clock) : clock_wall();
}

/* "<id> <seconds>": the last task that any replica had made, and when. */
static void note_taken(void *user, const char *name, const char *note)
{
    const struct replica_lock *lock = user;
    struct domain_memory known;
    char id[OBJECT_ID_SIZE];
    int64_t seconds;
    if (sscanf(note, "%13s %" SCNd64, id, &seconds) != 2)
        return;
    memory_recall(lock->settings.memory, name, &known);
    bool answered = strcmp(id, NO_ANSWER) != 0;
    wall_time *at = answered ? &known.forwarded_at : &known.unanswered_since;
    if (seconds <= at->seconds || (answered && !object_id_parse(id, known.forwarded_id)))
        return;
    wall_time now = time_now(lock);
    *at = (wall_time){seconds < now.seconds ? seconds : now.seconds};
    memory_store(lock->settings.memory, &known);
}

static void note_waits(void *user)
{
    const struct replica_lock *lock = user;
    metrics_count_lock_wait(lock->settings.metrics);
}

/*
 * What the next owner is to know of a domain, and how long it matters; "" where there is nothing.
 */
static int64_t write_note(const struct replica_lock *lock, const char *domain_id,
                          char note[static LEASE_NOTE_SIZE])
{
    struct domain_memory known;
    memory_recall(lock->settings.memory, domain_id, &known);
    bool answered = !wall_time_before(known.forwarded_at, known.unanswered_since);
    wall_time at = answered ? known.forwarded_at : known.unanswered_since;
    const char *id = answered ? known.forwarded_id : NO_ANSWER;
    wall_time until = wall_time_add(at, lock->settings.blind_interval_seconds);
    int64_t left = until.seconds - time_now(lock).seconds;
    note[0] = '\0';
    if (id[0] != '\0' && left > 0)
        snprintf(note, LEASE_NOTE_SIZE, "%s %" PRId64, id, at.seconds);
    return left > 0 ? left * 1000 : 0;
}

/* ---- for the other threads ---- */

static struct lease *take(struct replica_lock *lock, const char *name,
                          const struct lease_terms *terms)
{
    pthread_mutex_lock(&lock->mutex);
    struct lease *lease = lease_take(lock->leases, name, terms, clock_monotonic());
    pthread_mutex_unlock(&lock->mutex);
    if (lease != NULL)
        mailbox_post(&lock->mailbox, &lock->look);
    return lease;
}

enum lease_state replica_lock_state(struct replica_lock *lock, const struct lease *lease)
{
    if (lease == NULL)
        return LEASE_ALONE;
    pthread_mutex_lock(&lock->mutex);
    enum lease_state state = lease_state(lock->leases, lease, clock_monotonic());
    pthread_mutex_unlock(&lock->mutex);
    return state;
}

typedef void end_lease(struct lease_table *table, struct lease *lease, const char *note,
                       int64_t note_life_ms, monotonic_time now);

static void give(struct replica_lock *lock, struct lease *lease, end_lease *end, const char *note,
                 int64_t life_ms)
{
    if (lease == NULL)
        return;
    pthread_mutex_lock(&lock->mutex);
    end(lock->leases, lease, note, life_ms, clock_monotonic());
    pthread_mutex_unlock(&lock->mutex);
    mailbox_post(&lock->mailbox, &lock->look);
}

static struct lease *take_domain(void *user, const char *domain_id, void (*wake)(void *wake_user),
                                 void *wake_user)
{
    struct replica_lock *lock = user;
    const struct lease_terms terms = {
        .patience_ms = lock->settings.patience_ms, .wake = wake, .user = wake_user};
    return take(lock, domain_id, &terms);
}

static enum lease_state domain_state(void *user, const struct lease *lease)
{
    return replica_lock_state(user, lease);
}

static void give_domain(void *user, struct lease *lease, const char *domain_id)
{
    char note[LEASE_NOTE_SIZE];
    int64_t life_ms = write_note(user, domain_id, note);
    give(user, lease, lease_give, note, life_ms);
}

static void leave_domain(void *user, struct lease *lease, const char *domain_id)
{
    char note[LEASE_NOTE_SIZE];
    int64_t life_ms = write_note(user, domain_id, note);
    give(user, lease, lease_leave, note, life_ms);
}

const struct domain_lock *replica_lock_domains(const struct replica_lock *lock)
{
    return lock == NULL ? NULL : &lock->domains;
}

struct lease *replica_lock_take(struct replica_lock *lock, const char *work,
                                void (*wake)(void *user), void *user)
{
    const struct lease_terms terms = {.once = true, .wake = wake, .user = user};
    char name[LEASE_NAME_SIZE];
    /* No domain's id begins like this. */
    snprintf(name, sizeof name, "#%s", work);
    return take(lock, name, &terms);
}

void replica_lock_give(struct replica_lock *lock, struct lease *lease)
{
    give(lock, lease, lease_give, "", 0);
}

/* ---- the connection ---- */

static void watch(struct replica_lock *lock)
{
    uint32_t events = lock->unsent.len > 0 ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (events != lock->watched)
        loop_change(&lock->loop, lock_connection_file(lock->connection), events, &lock->source);
    lock->watched = events;
}

/* One line at the change, and none for each try that fails after it. */
static void tell_lost(struct replica_lock *lock, const char *error)
{
    if (lock->told)
        return;
    lock->told = true;
    log_event(lock->settings.log, LOG_LEVEL_WARN,
              "the lock server is not in use: this replica decides alone",
              log_text("server", lock->settings.connection.server->address),
              log_text("error", error));
}

static void tell_in_use(struct replica_lock *lock)
{
    lock->told = false;
    log_event(lock->settings.log, LOG_LEVEL_INFO, "the lock server is in use",
              log_text("server", lock->settings.connection.server->address));
}

static void pause_longer(struct replica_lock *lock, monotonic_time now)
{
    lock->try_at = monotonic_after(now, lock->pause_ms);
    lock->pause_ms *= 2;
    if (lock->pause_ms > LAST_PAUSE_MILLISECONDS)
        lock->pause_ms = LAST_PAUSE_MILLISECONDS;
}

/*
 * Replicas that went on alone in the same moment would decide at the same time, so each waits for a
 * time of its own. Nobody waits for a server that is there and does not serve.
 */
static monotonic_time alone_at(const struct replica_lock *lock, enum loss loss, monotonic_time now)
{
    uint32_t half = (uint32_t)lock->settings.connection.timeout_ms / 2;
    return loss == LOSS_BROKEN ? monotonic_after(now, half + arc4random_uniform(half + 1)) : now;
}

static void lose(struct replica_lock *lock, enum loss loss, const char *error)
{
    monotonic_time now = clock_monotonic();
    metrics_count_lock_failure(lock->settings.metrics);
    metrics_set_lock_in_use(lock->settings.metrics, false);
    loop_forget(&lock->loop, lock_connection_file(lock->connection));
    lock_connection_close(lock->connection);
    lock->connection = NULL;
    buffer_clear(&lock->unsent);
    pthread_mutex_lock(&lock->mutex);
    lock->alone_at = alone_at(lock, loss, now);
    lease_table_lost(lock->leases, now, lock->alone_at);
    pthread_mutex_unlock(&lock->mutex);
    /* One that is lost again soon after it was back is tried less and less often. */
    if (monotonic_reached(monotonic_after(lock->in_use_since, LAST_PAUSE_MILLISECONDS), now))
        lock->pause_ms = FIRST_PAUSE_MILLISECONDS;
    pause_longer(lock, now);
    tell_lost(lock, error);
}

/* While it blocks here, holds that wait for a lease do so too, so it is kept short for them. */
static void try_to_connect(struct replica_lock *lock)
{
    struct lock_connection_settings settings = lock->settings.connection;
    int64_t left = monotonic_milliseconds_until(clock_monotonic(), lock->alone_at);
    char error[LOCK_ERROR_SIZE];
    if (left > 0)
        settings.timeout_ms = left;
    lock->connection = lock_connection_open(&settings, error);
    bool watched =
        lock->connection != NULL &&
        loop_watch(&lock->loop, lock_connection_file(lock->connection), EPOLLIN, &lock->source);
    if (!watched) {
        tell_lost(lock, lock->connection == NULL ? error : strerror(errno));
        lock_connection_close(lock->connection);
        lock->connection = NULL;
        metrics_count_lock_failure(lock->settings.metrics);
        metrics_set_lock_in_use(lock->settings.metrics, false);
        pause_longer(lock, clock_monotonic());
        return;
    }
    lock->watched = EPOLLIN;
    lock->in_use_since = clock_monotonic();
    metrics_set_lock_in_use(lock->settings.metrics, true);
    pthread_mutex_lock(&lock->mutex);
    lease_table_connected(lock->leases);
    pthread_mutex_unlock(&lock->mutex);
    tell_in_use(lock);
}

/* ---- the thread ---- */

static void replica_lock_ask(struct replica_lock *lock)
{
    char error[LOCK_ERROR_SIZE];
    pthread_mutex_lock(&lock->mutex);
    bool written = lease_table_write(lock->leases, clock_monotonic(), &lock->unsent);
    pthread_mutex_unlock(&lock->mutex);
    if (!written)
        lose(lock, LOSS_REFUSED, "out of memory");
    else if (lock->connection == NULL)
        return;
    else if (lock_connection_send(lock->connection, &lock->unsent, error))
        watch(lock);
    else
        lose(lock, LOSS_BROKEN, error);
}

static bool take_reply(struct replica_lock *lock, const struct lock_reply *reply)
{
    pthread_mutex_lock(&lock->mutex);
    bool fits = lease_table_read(lock->leases, reply, clock_monotonic());
    pthread_mutex_unlock(&lock->mutex);
    return fits;
}

static void on_readable(void *user, uint32_t events)
{
    struct replica_lock *lock = user;
    struct lock_reply reply;
    char error[LOCK_ERROR_SIZE];
    enum lock_receipt receipt;
    (void)events;
    while ((receipt = lock_connection_receive(lock->connection, &reply, error)) ==
           LOCK_RECEIPT_REPLY) {
        if (take_reply(lock, &reply))
            continue;
        snprintf(error, sizeof error, "it answers: %s",
                 reply.kind == LOCK_REPLY_ERROR ? reply.text : "what was not asked");
        lose(lock, LOSS_REFUSED, error);
        return;
    }
    if (receipt != LOCK_RECEIPT_LATER)
        lose(lock, receipt == LOCK_RECEIPT_BROKEN ? LOSS_BROKEN : LOSS_REFUSED, error);
}

static void on_look(void *user)
{
    (void)user; /* waking the thread is all */
}

/* When the oldest command is answered too late. */
static monotonic_time patience_end(const struct replica_lock *lock)
{
    return monotonic_after(lease_table_asked(lock->leases), lock->settings.connection.timeout_ms);
}

static int wait_milliseconds(struct replica_lock *lock)
{
    monotonic_time until = lock->connection == NULL ? lock->try_at : MONOTONIC_NEVER;
    until = monotonic_earlier(until, lock->give_up);
    pthread_mutex_lock(&lock->mutex);
    until = monotonic_earlier(until, lease_table_due(lock->leases));
    until = monotonic_earlier(until, patience_end(lock));
    pthread_mutex_unlock(&lock->mutex);
    int64_t milliseconds = monotonic_milliseconds_until(clock_monotonic(), until);
    return milliseconds > INT_MAX ? INT_MAX : (int)milliseconds;
}

/* After what has come was read: a reply that waits here is not late. */
static void judge_patience(struct replica_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    bool late = monotonic_reached(patience_end(lock), clock_monotonic());
    pthread_mutex_unlock(&lock->mutex);
    if (late)
        lose(lock, LOSS_SILENT, "it did not answer in time");
}

/* True when all is given back, or cannot be. */
static bool finished(struct replica_lock *lock)
{
    pthread_mutex_lock(&lock->mutex);
    bool stopping = lock->stopping;
    bool empty = lease_table_is_empty(lock->leases);
    pthread_mutex_unlock(&lock->mutex);
    if (!stopping)
        return false;
    monotonic_time now = clock_monotonic();
    if (lock->give_up.nanoseconds == MONOTONIC_NEVER.nanoseconds)
        lock->give_up = monotonic_after(now, lock->settings.connection.timeout_ms);
    return empty || lock->connection == NULL || monotonic_reached(lock->give_up, now);
}

static void *replica_lock_run(void *user)
{
    struct replica_lock *lock = user;
    while (!finished(lock)) {
        if (lock->connection == NULL && monotonic_reached(lock->try_at, clock_monotonic()))
            try_to_connect(lock);
        replica_lock_ask(lock);
        loop_wait(&lock->loop, wait_milliseconds(lock));
        if (lock->connection != NULL)
            judge_patience(lock);
    }
    return NULL;
}

/* ---- beginning and end ---- */

static void destroy(struct replica_lock *lock)
{
    lock_connection_close(lock->connection);
    buffer_clear(&lock->unsent);
    lease_table_destroy(lock->leases);
    mailbox_close(&lock->mailbox);
    loop_close(&lock->loop);
    pthread_mutex_destroy(&lock->mutex);
    free(lock);
}

static struct replica_lock *create(const struct replica_lock_settings *settings)
{
    struct replica_lock *lock = calloc(1, sizeof *lock);
    if (lock == NULL)
        return NULL;
    lock->settings = *settings;
    lock->domains = (struct domain_lock){
        .take = take_domain,
        .state = domain_state,
        .give = give_domain,
        .leave = leave_domain,
        .user = lock,
    };
    lock->look = (struct mailbox_message){.open = on_look, .user = lock};
    lock->source = (struct loop_source){.ready = on_readable, .user = lock};
    lock->pause_ms = FIRST_PAUSE_MILLISECONDS;
    lock->give_up = MONOTONIC_NEVER;
    lock->loop.epoll = -1;
    lock->mailbox.event = -1;
    pthread_mutex_init(&lock->mutex, NULL);
    lock->leases = lease_table_create(
        settings->connection.prefix,
        &(struct lease_events){.taken = note_taken, .waits = note_waits, .user = lock});
    return lock;
}

struct replica_lock *replica_lock_start(const struct replica_lock_settings *settings)
{
    struct replica_lock *lock = create(settings);
    if (lock != NULL && lock->leases != NULL && loop_open(&lock->loop) &&
        mailbox_open(&lock->mailbox, &lock->loop)) {
        try_to_connect(lock);
        errno = pthread_create(&lock->thread, NULL, replica_lock_run, lock);
        if (errno == 0)
            return lock;
    }
    log_event(settings->log, LOG_LEVEL_ERROR, "the lock shared by replicas cannot be started",
              log_text("error", strerror(errno)));
    if (lock != NULL)
        destroy(lock);
    return NULL;
}

void replica_lock_stop(struct replica_lock *lock)
{
    if (lock == NULL)
        return;
    pthread_mutex_lock(&lock->mutex);
    lock->stopping = true;
    pthread_mutex_unlock(&lock->mutex);
    mailbox_post(&lock->mailbox, &lock->look);
    pthread_join(lock->thread, NULL);
    destroy(lock);
}

bool replica_lock_check(const struct lock_connection_settings *settings, FILE *out)
{
    char error[LOCK_ERROR_SIZE];
    if (settings->server->address == NULL)
        return true;
    struct lock_connection *connection = lock_connection_open(settings, error);
    fprintf(out, "lock server: %s can%s be used", settings->server->address,
            connection == NULL ? "not" : "");
    if (connection == NULL) {
        fputs(": ", out);
        plain_text_print(out, error, 0);
    }
    fputc('\n', out);
    lock_connection_close(connection);
    return connection != NULL;
}
