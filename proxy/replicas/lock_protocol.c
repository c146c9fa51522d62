#include "proxy/replicas/lock_protocol.h"

#include <hiredis/hiredis.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* More than this without a whole reply is none that was asked for. */
#define UNREAD_LIMIT ((size_t)65536)

/* Both keys have the same hash tag: one part of a cluster has both. */
#define KEY_SIZE 160

/* ---- commands ---- */

/* It may be asked twice, the first time over a connection that broke before the answer. */
static const char take_script[] =
    "if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('pexpire', KEYS[1], ARGV[2]) "
    "elseif not redis.call('set', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return false end "
    "return redis.call('get', KEYS[2]) or ''";

static const char renew_script[] = "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end "
                                   "return redis.call('pexpire', KEYS[1], ARGV[2])";

/* The key goes first: a server without memory for the note still takes the lease back. */
static const char give_script[] =
    "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end "
    "redis.call('del', KEYS[1]) "
    "if ARGV[2] ~= '' then redis.pcall('set', KEYS[2], ARGV[2], 'PX', ARGV[3]) end return 1";

/* It runs out by itself; whoever has it next is to know. */
static const char leave_script[] =
    "if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end "
    "if ARGV[2] ~= '' then redis.pcall('set', KEYS[2], ARGV[2], 'PX', ARGV[3]) end return 1";

static bool append_command(struct buffer *out, int count, const char **words)
{
    char *command = NULL;
    int len = redisFormatCommandArgv(&command, count, words, NULL);
    bool fine = len > 0 && buffer_append(out, command, (size_t)len);
    if (len > 0)
        redisFreeCommand(command);
    return fine;
}

bool lock_command_auth(struct buffer *out, const char *user, const char *password)
{
    if (user != NULL)
        return append_command(out, 3, (const char *[]){"AUTH", user, password});
    return append_command(out, 2, (const char *[]){"AUTH", password});
}

bool lock_command_select(struct buffer *out, unsigned database)
{
    char number[16];
    snprintf(number, sizeof number, "%u", database);
    return append_command(out, 2, (const char *[]){"SELECT", number});
}

/* EVAL with both keys, the token and up to two more arguments. */
static bool append_script(struct buffer *out, const char *script, const struct lock_key *key,
                          const char *first, const char *second)
{
    char lease[KEY_SIZE];
    char note[KEY_SIZE];
    snprintf(lease, sizeof lease, "%s:{%s}:lease", key->prefix, key->name);
    snprintf(note, sizeof note, "%s:{%s}:note", key->prefix, key->name);
    return append_command(
        out, second == NULL ? 7 : 8,
        (const char *[]){"EVAL", script, "2", lease, note, key->token, first, second});
}

bool lock_command_take(struct buffer *out, const struct lock_key *key, int64_t life_ms)
{
    char life[24];
    snprintf(life, sizeof life, "%" PRId64, life_ms);
    return append_script(out, take_script, key, life, NULL);
}

bool lock_command_renew(struct buffer *out, const struct lock_key *key, int64_t life_ms)
{
    char life[24];
    snprintf(life, sizeof life, "%" PRId64, life_ms);
    return append_script(out, renew_script, key, life, NULL);
}

bool lock_command_give(struct buffer *out, const struct lock_key *key, const char *note,
                       int64_t note_life_ms)
{
    char life[24];
    snprintf(life, sizeof life, "%" PRId64, note_life_ms);
    return append_script(out, give_script, key, note, life);
}

bool lock_command_leave(struct buffer *out, const struct lock_key *key, const char *note,
                        int64_t note_life_ms)
{
    char life[24];
    snprintf(life, sizeof life, "%" PRId64, note_life_ms);
    return append_script(out, leave_script, key, note, life);
}

/* ---- replies ---- */

/* hiredis' parser fills this one reply; nothing that a server says is allocated. */
struct lock_reader {
    redisReader *parser;
    struct lock_reply reply;
    size_t unread;
};

/* What hiredis 1.0 changed in its interface. */
#if HIREDIS_MAJOR >= 1
typedef size_t array_size;
#else
typedef int array_size;
#endif

static struct lock_reply *reply_of(const redisReadTask *task)
{
    return &((struct lock_reader *)task->privdata)->reply;
}

/* An error's words may repeat what it was sent, a password too: the first one says which it is. */
static size_t first_word(const char *text, size_t len)
{
    size_t end = 0;
    while (end < len && text[end] >= 'A' && text[end] <= 'Z')
        end++;
    return end;
}

static void *take_text(const redisReadTask *task, char *text, size_t len)
{
    struct lock_reply *reply = reply_of(task);
    bool error = task->type == REDIS_REPLY_ERROR;
    if (error)
        len = first_word(text, len);
    if (len >= sizeof reply->text || memchr(text, '\0', len) != NULL)
        return NULL;
    *reply = (struct lock_reply){.kind = error ? LOCK_REPLY_ERROR : LOCK_REPLY_TEXT};
    memcpy(reply->text, text, len);
    return reply;
}

static void *take_number(const redisReadTask *task, long long number)
{
    struct lock_reply *reply = reply_of(task);
    *reply = (struct lock_reply){.kind = LOCK_REPLY_NUMBER, .number = number};
    return reply;
}

static void *take_nothing(const redisReadTask *task)
{
    struct lock_reply *reply = reply_of(task);
    *reply = (struct lock_reply){.kind = LOCK_REPLY_NOTHING};
    return reply;
}

/* No command here is answered with an array. */
static void *refuse_array(const redisReadTask *task, array_size count)
{
    (void)task;
    (void)count;
    return NULL;
}

static void lock_protocol_keep(void *reply)
{
    (void)reply;
}

static redisReplyObjectFunctions reply_functions = {
    .createString = take_text,
    .createArray = refuse_array,
    .createInteger = take_number,
    .createNil = take_nothing,
    .freeObject = lock_protocol_keep,
};

struct lock_reader *lock_reader_create(void)
{
    struct lock_reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->parser = redisReaderCreateWithFunctions(&reply_functions);
    if (reader->parser == NULL) {
        free(reader);
        return NULL;
    }
    reader->parser->privdata = reader;
    return reader;
}

void lock_reader_destroy(struct lock_reader *reader)
{
    if (reader == NULL)
        return;
    redisReaderFree(reader->parser);
    free(reader);
}

bool lock_reader_feed(struct lock_reader *reader, const char *bytes, size_t len)
{
    reader->unread += len;
    return redisReaderFeed(reader->parser, bytes, len) == REDIS_OK;
}

enum lock_reading lock_reader_next(struct lock_reader *reader, struct lock_reply *out)
{
    void *reply = NULL;
    if (redisReaderGetReply(reader->parser, &reply) != REDIS_OK)
        return LOCK_READING_NONSENSE;
    if (reply == NULL)
        return reader->unread > UNREAD_LIMIT ? LOCK_READING_NONSENSE : LOCK_READING_MORE;
    /* Kinds that only a later protocol has come as something else. */
    if (reply != &reader->reply)
        return LOCK_READING_NONSENSE;
    reader->unread = 0;
    *out = reader->reply;
    return LOCK_READING_REPLY;
}
