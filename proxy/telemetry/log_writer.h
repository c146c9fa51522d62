#ifndef RENEWGATE_PROXY_TELEMETRY_LOG_WRITER_H
#define RENEWGATE_PROXY_TELEMETRY_LOG_WRITER_H

/*
 * Lines on their way to a file that may be full, slow, never read or gone: a queue of bounded size,
 * and a thread that empties it. Whoever writes a line never waits for the file. A line for which
 * there is no room, or which the file does not take, is lost and counted, and the count is written
 * in its place once there is room again.
 *
 * The file may be shared with other processes, so its flags stay as they are: the thread waits
 * until it can be written, and writes whole lines with one write(2), as many as a pipe takes whole,
 * so that lines of several processes do not mix in it.
 */

#include <stddef.h>
#include <stdint.h>

/* Of a line, with its line feed: pipes take that whole (PIPE_BUF), be it one line or several. */
#define LOG_LINE_SIZE ((size_t)4096)

struct log_writer;

/* Called by any thread, one at a time; none of them may write a line. */
struct log_writer_handler {
    /* Writes the line that tells of `count` lost ones; returns its length. */
    size_t (*tell_lost)(void *user, uint64_t count, char line[static LOG_LINE_SIZE]);
    /* One more line is lost. */
    void (*lost)(void *user);
    void *user;
};

/* `file` is borrowed. NULL when memory or threads run out. */
struct log_writer *log_writer_start(int file, const struct log_writer_handler *handler);

/* A line with its line feed, and no other. Never waits; may be called by any thread. */
void log_writer_put(struct log_writer *writer, const char *line, size_t len);

/*
 * Gives what is queued a second to be written, and ends. Nobody may be writing any more. NULL is
 * allowed.
 */
void log_writer_stop(struct log_writer *writer);

/*
 * Should the process crash (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT) from now on, what is queued
 * is written first, as far as the file takes it at once; the lines that the thread is just writing
 * may then come twice. One writer a process.
 */
void log_writer_flush_on_crash(struct log_writer *writer);

#endif
