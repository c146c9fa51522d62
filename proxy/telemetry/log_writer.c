#include "proxy/telemetry/log_writer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/clock.h"

/* What is queued at most: some thousand lines. */
#define QUEUE_SIZE ((size_t)262144)
#define FLUSH_MILLISECONDS 1000
/* How much longer its end is waited for: write(2) may wait where another process was quicker. */
#define END_SECONDS 1

/*
 * Bytes are counted from the first that ever came: `taken` of them have left the queue, `put` have
 * come into it. Only the thread moves `taken`, and only under the lock, so it may read what lies
 * between them without.
 */
struct log_writer {
    int file;
    int wake; /* an eventfd: there are lines, or it is time to stop */
    struct log_writer_handler handler;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* the thread has ended */
    _Atomic uint64_t put;
    _Atomic uint64_t taken;
    atomic_bool crashing; /* the queue is the crash's to write */
    uint64_t lost;        /* lines that nobody has been told of */
    uint64_t gap_at;      /* where in the queue the first of them is missing */
    bool stopping;
    bool abandoned;         /* its handler may be gone */
    monotonic_time give_up; /* while it stops: until when the file is waited for */
    bool ended;
    pthread_t thread;
    char queue[QUEUE_SIZE];
};

static void copy_out(const struct log_writer *writer, uint64_t from, char *into, size_t len)
{
    size_t start = (size_t)(from % QUEUE_SIZE);
    size_t first = len < QUEUE_SIZE - start ? len : QUEUE_SIZE - start;
    memcpy(into, writer->queue + start, first);
    memcpy(into + first, writer->queue, len - first);
}

static void copy_in(struct log_writer *writer, uint64_t at, const char *bytes, size_t len)
{
    size_t start = (size_t)(at % QUEUE_SIZE);
    size_t first = len < QUEUE_SIZE - start ? len : QUEUE_SIZE - start;
    memcpy(writer->queue + start, bytes, first);
    memcpy(writer->queue, bytes + first, len - first);
}

/* The lines between the two, as many as fit; their length, 0 where there is none. */
static size_t read_lines(const struct log_writer *writer, uint64_t from, uint64_t to,
                         char lines[LOG_LINE_SIZE])
{
    size_t len = to - from < LOG_LINE_SIZE ? (size_t)(to - from) : LOG_LINE_SIZE;
    copy_out(writer, from, lines, len);
    const char *end = memrchr(lines, '\n', len);
    return end == NULL ? 0 : (size_t)(end - lines) + 1;
}

static void log_writer_wake(const struct log_writer *writer)
{
    uint64_t one = 1;
    ssize_t written = write(writer->wake, &one, sizeof one);
    (void)written; /* it would wait where the count is full, at 2^64 - 2 */
}

/* ---- whoever writes ---- */

static void lose(struct log_writer *writer)
{
    if (writer->lost++ == 0)
        writer->gap_at = atomic_load(&writer->put);
    if (!writer->abandoned)
        writer->handler.lost(writer->handler.user);
}

void log_writer_put(struct log_writer *writer, const char *line, size_t len)
{
    pthread_mutex_lock(&writer->lock);
    uint64_t put = atomic_load(&writer->put);
    uint64_t used = put - atomic_load(&writer->taken);
    bool fits = len <= LOG_LINE_SIZE && len <= QUEUE_SIZE - used;
    if (fits) {
        copy_in(writer, put, line, len);
        atomic_store(&writer->put, put + len);
    } else {
        lose(writer);
    }
    pthread_mutex_unlock(&writer->lock);
    if (fits && used == 0)
        log_writer_wake(writer);
}

/* ---- the thread ---- */

static bool is_stopping(struct log_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    bool stopping = writer->stopping;
    pthread_mutex_unlock(&writer->lock);
    return stopping;
}

static void sleep_until_woken(struct log_writer *writer)
{
    uint64_t count;
    ssize_t got = read(writer->wake, &count, sizeof count);
    (void)got;
}

/*
 * Waits until the file takes a line, or has no reader. False where there is no more time to wait.
 */
static bool wait_for_room(struct log_writer *writer)
{
    struct pollfd files[] = {{.fd = writer->file, .events = POLLOUT},
                             {.fd = writer->wake, .events = POLLIN}};
    while (!is_stopping(writer)) {
        if (poll(files, 2, -1) < 0)
            continue;
        if (files[0].revents != 0)
            return true;
        if (files[1].revents != 0)
            sleep_until_woken(writer);
    }
    int64_t left = monotonic_milliseconds_until(clock_monotonic(), writer->give_up);
    return poll(files, 1, (int)left) > 0;
}

/* With one write(2) wherever the file takes them whole. How many bytes it has taken. */
static size_t write_lines(struct log_writer *writer, const char *lines, size_t len)
{
    size_t taken = 0;
    while (taken < len && wait_for_room(writer)) {
        while (atomic_load(&writer->crashing))
            pause();
        ssize_t written = write(writer->file, lines + taken, len - taken);
        if (written < 0 && errno != EINTR && errno != EAGAIN)
            break;
        taken += written > 0 ? (size_t)written : 0;
    }
    return taken;
}

/* Where lines are missing, their number; false where that cannot be written. */
static bool write_lost(struct log_writer *writer)
{
    char line[LOG_LINE_SIZE];
    size_t len = 0;
    pthread_mutex_lock(&writer->lock);
    uint64_t count = writer->gap_at <= atomic_load(&writer->taken) ? writer->lost : 0;
    if (count > 0 && !writer->abandoned)
        len = writer->handler.tell_lost(writer->handler.user, count, line);
    pthread_mutex_unlock(&writer->lock);
    if (len == 0)
        return true;
    if (write_lines(writer, line, len) < len)
        return false;
    pthread_mutex_lock(&writer->lock);
    writer->lost -= count;
    writer->gap_at = atomic_load(&writer->put);
    pthread_mutex_unlock(&writer->lock);
    return true;
}

/* Up to where lines are missing, if some are: there their number comes first. */
static uint64_t next_end(struct log_writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    bool gap = writer->lost > 0 && writer->gap_at > atomic_load(&writer->taken);
    uint64_t end = gap ? writer->gap_at : atomic_load(&writer->put);
    pthread_mutex_unlock(&writer->lock);
    return end;
}

/* False where the queue is empty. */
static bool write_next(struct log_writer *writer)
{
    char lines[LOG_LINE_SIZE];
    uint64_t taken = atomic_load(&writer->taken);
    size_t len = read_lines(writer, taken, next_end(writer), lines);
    if (len == 0)
        return false;
    size_t written = write_lost(writer) ? write_lines(writer, lines, len) : 0;
    pthread_mutex_lock(&writer->lock);
    atomic_store(&writer->taken, taken + len);
    for (size_t i = written; i < len; i++) {
        if (lines[i] == '\n')
            lose(writer);
    }
    pthread_mutex_unlock(&writer->lock);
    return true;
}

static void *log_writer_run(void *user)
{
    struct log_writer *writer = user;
    do {
        while (write_next(writer))
            ;
        write_lost(writer);
        if (is_stopping(writer))
            break;
        sleep_until_woken(writer);
    } while (true);
    pthread_mutex_lock(&writer->lock);
    writer->ended = true;
    pthread_cond_signal(&writer->changed);
    pthread_mutex_unlock(&writer->lock);
    return NULL;
}

static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
#define CRASHES (sizeof crashes / sizeof *crashes)

/* Signals are the business of other threads, but for those of its own faults. */
static bool start_thread(struct log_writer *writer)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    for (size_t i = 0; i < CRASHES; i++)
        sigdelset(&blocked, crashes[i]);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    bool started = pthread_create(&writer->thread, NULL, log_writer_run, writer) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

struct log_writer *log_writer_start(int file, const struct log_writer_handler *handler)
{
    pthread_condattr_t attributes;
    struct log_writer *writer = calloc(1, sizeof *writer);
    if (writer == NULL)
        return NULL;
    writer->file = file;
    writer->handler = *handler;
    writer->wake = eventfd(0, EFD_CLOEXEC);
    pthread_mutex_init(&writer->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&writer->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    if (writer->wake >= 0 && start_thread(writer))
        return writer;
    if (writer->wake >= 0)
        close(writer->wake);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
    return NULL;
}

/* ---- the end ---- */

/* What a crash flushes, and what it did before. */
static struct log_writer *_Atomic crashing_writer;
static struct sigaction before_crash[CRASHES];

/* Only what is safe within a signal handler, and without the lock, which may be held. */
static void flush_at_once(struct log_writer *writer)
{
    char lines[LOG_LINE_SIZE];
    atomic_store(&writer->crashing, true);
    struct pollfd file = {.fd = writer->file, .events = POLLOUT};
    uint64_t from = atomic_load(&writer->taken), to = atomic_load(&writer->put);
    size_t len;
    while ((len = read_lines(writer, from, to, lines)) > 0 && poll(&file, 1, 0) > 0 &&
           write(writer->file, lines, len) == (ssize_t)len)
        from += len;
}

/*
 * A fault comes again behind it, to whoever was asked before; what was sent has to be sent again.
 */
static void on_crash(int number, siginfo_t *info, void *context)
{
    (void)context;
    struct log_writer *writer = atomic_exchange(&crashing_writer, NULL);
    for (size_t i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &before_crash[i], NULL);
    if (writer != NULL)
        flush_at_once(writer);
    if (info->si_code <= 0)
        raise(number);
}

void log_writer_flush_on_crash(struct log_writer *writer)
{
    struct sigaction action = {.sa_sigaction = on_crash, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    atomic_store(&crashing_writer, writer);
    for (size_t i = 0; i < CRASHES; i++)
        sigaction(crashes[i], &action, &before_crash[i]);
}

/* True where the thread has ended in time. */
static bool wait_for_end(struct log_writer *writer)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += FLUSH_MILLISECONDS / 1000 + END_SECONDS;
    int late = 0;
    pthread_mutex_lock(&writer->lock);
    while (!writer->ended && late == 0)
        late = pthread_cond_timedwait(&writer->changed, &writer->lock, &until);
    bool ended = writer->ended;
    writer->abandoned = !ended;
    pthread_mutex_unlock(&writer->lock);
    return ended;
}

void log_writer_stop(struct log_writer *writer)
{
    if (writer == NULL)
        return;
    struct log_writer *crashing = writer;
    atomic_compare_exchange_strong(&crashing_writer, &crashing, NULL);
    pthread_mutex_lock(&writer->lock);
    writer->give_up = monotonic_after(clock_monotonic(), FLUSH_MILLISECONDS);
    writer->stopping = true;
    pthread_mutex_unlock(&writer->lock);
    log_writer_wake(writer);
    /* A thread that the file does not let go ends with the process, and what it uses with it. */
    if (!wait_for_end(writer)) {
        pthread_detach(writer->thread);
        return;
    }
    pthread_join(writer->thread, NULL);
    close(writer->wake);
    pthread_cond_destroy(&writer->changed);
    pthread_mutex_destroy(&writer->lock);
    free(writer);
}
