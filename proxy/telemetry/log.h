#ifndef RENEWGATE_PROXY_TELEMETRY_LOG_H
#define RENEWGATE_PROXY_TELEMETRY_LOG_H

/*
 * The gate's own log: one event a line on standard error, as JSON or logfmt. A running gate hands
 * its lines to a writer (proxy/telemetry/log_writer.h), so that no worker waits for whoever reads
 * them.
 *
 *     log_event(log, LOG_LEVEL_INFO, "decision", log_text("domain", id), log_number("row", 4));
 *
 * No credential ever goes into a line: callers pass single values that they know, never header
 * fields or bodies.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/wall_time.h"

struct metrics; /* proxy/telemetry/metrics.h */

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
};

enum log_format {
    LOG_FORMAT_JSON,
    LOG_FORMAT_LOGFMT,
};

struct log_writer;

struct log {
    enum log_level level; /* events above it are left out */
    enum log_format format;
    struct log_writer *writer; /* NULL: each line is written at once, and waits for the file */
    struct metrics *metrics;   /* the writer's */
};

enum log_kind {
    LOG_KIND_TEXT,
    LOG_KIND_NUMBER,
    LOG_KIND_FLAG,
};

/* One name and value. A text of NULL leaves the field out of the line. */
struct log_field {
    const char *name; /* letters, digits, _ */
    enum log_kind kind;
    const char *text;
    int64_t number;
    char
        stamp[WALL_TIME_TEXT_SIZE]; /* a time's text; used when `text` is NULL and this is not "" */
};

static inline struct log_field log_text(const char *name, const char *text)
{
    return (struct log_field){.name = name, .kind = LOG_KIND_TEXT, .text = text};
}

static inline struct log_field log_number(const char *name, int64_t number)
{
    return (struct log_field){.name = name, .kind = LOG_KIND_NUMBER, .number = number};
}

static inline struct log_field log_flag(const char *name, bool flag)
{
    return (struct log_field){.name = name, .kind = LOG_KIND_FLAG, .number = flag};
}

/* The two bounds of wall_time leave the field out. */
struct log_field log_time(const char *name, wall_time time);

/*
 * Text values are cut after a kilobyte, and the line ends before 4096 bytes: pipes take that whole.
 */
void log_write(const struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t count);

/*
 * Gives the log a writer to standard error, which log_close() ends with what is still queued, and a
 * crash too. Lost lines are counted in the metrics. False when memory or threads run out.
 */
bool log_open(struct log *log, struct metrics *metrics);
void log_close(struct log *log);

/* At least one field is given. */
#define log_event(log, level, message, ...)                                                        \
    log_write((log), (level), (message), (const struct log_field[]){__VA_ARGS__},                  \
              sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
