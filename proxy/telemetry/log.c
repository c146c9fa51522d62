#include "proxy/telemetry/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/clock.h"
#include "proxy/base/plain_text.h"
#include "proxy/telemetry/log_writer.h"
#include "proxy/telemetry/metrics.h"

#define LINE_SIZE LOG_LINE_SIZE
#define TEXT_LIMIT ((size_t)1024)
/* What a line needs to be ended whatever happened before: a bracket and a line feed. */
#define TAIL_SIZE ((size_t)2)

/* A line being written. What does not fit is left out. */
struct line {
    char bytes[LINE_SIZE];
    size_t len;
};

static const char *const level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
};

static void log_put(struct line *line, const char *bytes, size_t len)
{
    if (len > LINE_SIZE - TAIL_SIZE - line->len)
        len = LINE_SIZE - TAIL_SIZE - line->len;
    memcpy(line->bytes + line->len, bytes, len);
    line->len += len;
}

static void put_text(struct line *line, const char *text)
{
    log_put(line, text, strlen(text));
}

static bool stands_for_itself(char letter)
{
    return letter >= ' ' && letter <= '~' && letter != '"' && letter != '\\';
}

/* How many letters are as they are, up to `most`: nearly all. */
static size_t plain_letters(const char *text, size_t most)
{
    size_t count = 0;
    while (count < most && stands_for_itself(text[count]))
        count++;
    return count;
}

/* Any other, with JSON's escapes; its length. All that is hidden is below U+10000. */
static size_t put_character(struct line *line, const char *text)
{
    struct plain_character character = plain_text_next(text);
    char escape[8];
    if (character.hidden) {
        snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(uint16_t)character.code);
        put_text(line, escape);
    } else if (*text == '"' || *text == '\\') {
        log_put(line, (const char[]){'\\', *text}, 2);
    } else {
        log_put(line, text, character.len);
    }
    return character.len;
}

/* A quoted string, which logfmt readers take as JSON's do. */
static void put_quoted(struct line *line, const char *text)
{
    /* No text may use up the room of the quote that ends it. */
    size_t limit = LINE_SIZE - TAIL_SIZE - 8;
    const char *end = text + strnlen(text, TEXT_LIMIT);
    log_put(line, "\"", 1);
    while (text < end && line->len < limit) {
        size_t left = (size_t)(end - text), room = limit - line->len;
        size_t plain = plain_letters(text, left < room ? left : room);
        log_put(line, text, plain);
        text += plain > 0 ? plain : put_character(line, text);
    }
    log_put(line, "\"", 1);
}

static bool needs_quotes(const char *text)
{
    if (*text == '\0')
        return true;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at <= ' ' || *at >= 0x7f || *at == '"' || *at == '=' || *at == '\\')
            return true;
    }
    return strlen(text) > TEXT_LIMIT;
}

static void put_field(struct line *line, enum log_format format, const struct log_field *field)
{
    const char *text = field->text == NULL && field->stamp[0] != '\0' ? field->stamp : field->text;
    if (field->kind == LOG_KIND_TEXT && text == NULL)
        return;
    /* A field that might be cut is left out whole, so that the line stays readable to machines. */
    size_t before = line->len;
    bool json = format == LOG_FORMAT_JSON;
    put_text(line, json ? ",\"" : " ");
    put_text(line, field->name);
    put_text(line, json ? "\":" : "=");
    char number[24];
    switch (field->kind) {
    case LOG_KIND_TEXT:
        if (json || needs_quotes(text))
            put_quoted(line, text);
        else
            put_text(line, text);
        break;
    case LOG_KIND_NUMBER:
        snprintf(number, sizeof number, "%" PRId64, field->number);
        put_text(line, number);
        break;
    case LOG_KIND_FLAG:
        put_text(line, field->number != 0 ? "true" : "false");
        break;
    }
    if (line->len >= LINE_SIZE - TAIL_SIZE - 1)
        line->len = before;
}

struct log_field log_time(const char *name, wall_time time)
{
    struct log_field field = {.name = name, .kind = LOG_KIND_TEXT};
    if (!wall_time_equal(time, WALL_TIME_NEVER) && !wall_time_equal(time, WALL_TIME_FOREVER))
        wall_time_format(time, field.stamp);
    return field;
}

/* Writes the whole line, with its line feed. */
static void compose(struct line *line, const struct log *log, enum log_level level,
                    const char *message, const struct log_field *fields, size_t count)
{
    bool json = log->format == LOG_FORMAT_JSON;
    char stamp[CLOCK_STAMP_SIZE];
    clock_stamp(stamp);
    line->len = 0;
    put_text(line, json ? "{\"time\":\"" : "time=");
    put_text(line, stamp);
    put_text(line, json ? "\",\"level\":\"" : " level=");
    put_text(line, level_names[level]);
    put_text(line, json ? "\",\"message\":" : " message=");
    put_quoted(line, message);
    for (size_t i = 0; i < count; i++)
        put_field(line, log->format, &fields[i]);
    if (json)
        line->bytes[line->len++] = '}';
    line->bytes[line->len++] = '\n';
}

void log_write(const struct log *log, enum log_level level, const char *message,
               const struct log_field *fields, size_t count)
{
    struct line line;
    if (level > log->level)
        return;
    compose(&line, log, level, message, fields, count);
    if (log->writer != NULL) {
        log_writer_put(log->writer, line.bytes, line.len);
        return;
    }
    /* Nobody is left to tell when standard error itself cannot be written. */
    ssize_t written = write(STDERR_FILENO, line.bytes, line.len);
    (void)written;
}

static size_t tell_lost(void *user, uint64_t count, char text[static LOG_LINE_SIZE])
{
    struct line line;
    const struct log *log = user;
    const struct log_field lines = log_number("lines", (int64_t)count);
    compose(&line, log, LOG_LEVEL_WARN, "log lines are missing here", &lines, 1);
    memcpy(text, line.bytes, line.len);
    return line.len;
}

static void count_lost(void *user)
{
    metrics_count_lost_line(((const struct log *)user)->metrics);
}

bool log_open(struct log *log, struct metrics *metrics)
{
    const struct log_writer_handler handler = {
        .tell_lost = tell_lost, .lost = count_lost, .user = log};
    log->metrics = metrics;
    log->writer = log_writer_start(STDERR_FILENO, &handler);
    if (log->writer != NULL)
        log_writer_flush_on_crash(log->writer);
    return log->writer != NULL;
}

void log_close(struct log *log)
{
    log_writer_stop(log->writer);
    log->writer = NULL;
}
