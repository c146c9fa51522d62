#ifndef RENEWGATE_PROXY_REPLICAS_LOCK_PROTOCOL_H
#define RENEWGATE_PROXY_REPLICAS_LOCK_PROTOCOL_H

/*
 * What is said to a lock server (Redis or Valkey), and how its replies read; bytes only.
 *
 * A lease is one key that holds its owner's token and ends by itself. Beside it lies a note for
 * whoever takes the lease next. Taking is SET with NX; renewing and giving compare the token first,
 * which only a script can do in one step. Scripts are sent whole, so a server that has forgotten
 * them after a restart makes no difference.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buffer.h"

#define LOCK_TEXT_SIZE 128

enum lock_reply_kind {
    LOCK_REPLY_TEXT,
    LOCK_REPLY_NUMBER,
    LOCK_REPLY_NOTHING,
    LOCK_REPLY_ERROR, /* text: its first word, such as OOM */
};

struct lock_reply {
    enum lock_reply_kind kind;
    int64_t number;
    char text[LOCK_TEXT_SIZE];
};

/* Which key a command is about: names are short, without braces. */
struct lock_key {
    const char *prefix;
    const char *name;
    const char *token; /* the owner's */
};

/* Commands, appended; false when memory runs out. */

/* `user` may be NULL. Answered with a text. */
bool lock_command_auth(struct buffer *out, const char *user, const char *password);

/* Answered with a text. */
bool lock_command_select(struct buffer *out, unsigned database);

/* Answered with the note (or an empty text), or with nothing where another token has the key. */
bool lock_command_take(struct buffer *out, const struct lock_key *key, int64_t life_ms);

/* Answered with 1, or with 0 where the key is not the token's any more. */
bool lock_command_renew(struct buffer *out, const struct lock_key *key, int64_t life_ms);

/* Leaves a note too, if it is not ""; answered as lock_command_renew(). */
bool lock_command_give(struct buffer *out, const struct lock_key *key, const char *note,
                       int64_t note_life_ms);

/* Leaves the note, and the key to end by itself; answered likewise. */
bool lock_command_leave(struct buffer *out, const struct lock_key *key, const char *note,
                        int64_t note_life_ms);

/* Reading replies: feed bytes as they come, then take replies until there is none. */

struct lock_reader;

/* NULL when memory runs out. */
struct lock_reader *lock_reader_create(void);
void lock_reader_destroy(struct lock_reader *reader);

/* False when memory runs out. */
bool lock_reader_feed(struct lock_reader *reader, const char *bytes, size_t len);

enum lock_reading {
    LOCK_READING_REPLY,    /* in `out` */
    LOCK_READING_MORE,     /* bytes are needed first */
    LOCK_READING_NONSENSE, /* no lock server speaks like this; nothing can be read any more */
};

enum lock_reading lock_reader_next(struct lock_reader *reader, struct lock_reply *out);

#endif
