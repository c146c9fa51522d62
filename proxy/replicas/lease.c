#include "proxy/replicas/lease.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The delays between tries double from the first to the longest. */
#define FIRST_DELAY_MILLISECONDS 4U
#define DELAY_DOUBLINGS 5U
#define TOKEN_BYTES 16

/* Where a lease stands. */
enum phase {
    PHASE_TAKING, /* asked for; another may have it */
    PHASE_TAKEN,
    PHASE_ALONE,  /* not to be had; its holder goes on without */
    PHASE_LATE,   /* another's for longer than it is waited for */
    PHASE_OTHERS, /* another's */
    PHASE_GIVING, /* its holder is gone; the key is to be removed */
};

/* The command that the lock server has not answered yet. */
enum command {
    COMMAND_NONE,
    COMMAND_TAKE,
    COMMAND_RENEW,
    COMMAND_GIVE,
    COMMAND_LEAVE,
};

struct lease {
    struct lease *next;
    struct lease *next_asked;
    enum phase phase;
    enum command asked;
    struct lease_terms terms; /* the waker is taken out once it was called */
    char name[LEASE_NAME_SIZE];
    char token[2 * TOKEN_BYTES + 1];
    char note[LEASE_NOTE_SIZE];
    int64_t note_life_ms;
    bool left; /* with PHASE_GIVING: the key stays until it ends by itself */
    unsigned tries;
    monotonic_time patience; /* when a wait for another replica ends */
    monotonic_time due;      /* when the lock server is to be asked again */
    monotonic_time asked_at;
    monotonic_time ends; /* the key cannot be this lease's any more; 0: it never was */
};

struct lease_table {
    const char *prefix;
    struct lease_events events;
    bool connected;
    monotonic_time alone_at; /* while disconnected: when nobody waits for a lease any more */
    struct lease *first;
    struct lease *asked; /* oldest command first */
    struct lease **asked_end;
};

struct lease_table *lease_table_create(const char *prefix, const struct lease_events *events)
{
    struct lease_table *table = calloc(1, sizeof *table);
    if (table == NULL)
        return NULL;
    table->prefix = prefix;
    table->events = *events;
    table->asked_end = &table->asked;
    return table;
}

void lease_table_destroy(struct lease_table *table)
{
    if (table == NULL)
        return;
    while (table->first != NULL) {
        struct lease *lease = table->first;
        table->first = lease->next;
        free(lease);
    }
    free(table);
}

/* Unlinks it; no command about it may be under way. */
static void lease_forget(struct lease_table *table, struct lease *lease)
{
    struct lease **link = &table->first;
    while (*link != lease)
        link = &(*link)->next;
    *link = lease->next;
    free(lease);
}

/* ---- for holders ---- */

static void make_token(char token[static 2 * TOKEN_BYTES + 1])
{
    unsigned char bytes[TOKEN_BYTES];
    arc4random_buf(bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof bytes; i++)
        snprintf(token + 2 * i, 3, "%02x", bytes[i]);
}

struct lease *lease_take(struct lease_table *table, const char *name,
                         const struct lease_terms *terms, monotonic_time now)
{
    if (!table->connected && monotonic_reached(table->alone_at, now))
        return NULL;
    struct lease *lease = calloc(1, sizeof *lease);
    if (lease == NULL)
        return NULL;
    lease->phase = PHASE_TAKING;
    lease->terms = *terms;
    lease->patience = monotonic_after(now, terms->patience_ms);
    lease->due = now;
    snprintf(lease->name, sizeof lease->name, "%s", name);
    make_token(lease->token);
    lease->next = table->first;
    table->first = lease;
    return lease;
}

enum lease_state lease_state(const struct lease_table *table, const struct lease *lease,
                             monotonic_time now)
{
    switch (lease->phase) {
    case PHASE_TAKING:
        return LEASE_WAITING;
    case PHASE_TAKEN:
        if (!monotonic_reached(lease->ends, monotonic_after(now, LEASE_MARGIN_MILLISECONDS)))
            return LEASE_MINE;
        return table->connected ? LEASE_OTHERS : LEASE_ALONE;
    case PHASE_ALONE:
        return LEASE_ALONE;
    case PHASE_LATE:
        return LEASE_LATE;
    case PHASE_OTHERS:
    case PHASE_GIVING:
        break;
    }
    return LEASE_OTHERS;
}

void lease_give(struct lease_table *table, struct lease *lease, const char *note,
                int64_t note_life_ms, monotonic_time now)
{
    lease->terms.wake = NULL;
    if (lease->asked == COMMAND_NONE && monotonic_reached(lease->ends, now)) {
        lease_forget(table, lease);
        return;
    }
    lease->phase = PHASE_GIVING;
    lease->due = now;
    lease->note_life_ms = note_life_ms;
    snprintf(lease->note, sizeof lease->note, "%s", note);
}

void lease_leave(struct lease_table *table, struct lease *lease, const char *note,
                 int64_t note_life_ms, monotonic_time now)
{
    lease->left = true;
    lease_give(table, lease, note, note_life_ms, now);
}

static void lease_settle(struct lease *lease, enum phase phase)
{
    void (*wake)(void *user) = lease->terms.wake;
    lease->phase = phase;
    lease->due = MONOTONIC_NEVER;
    lease->terms.wake = NULL;
    if (wake != NULL)
        wake(lease->terms.user);
}

/* ---- what is asked ---- */

static bool write_command(struct lease_table *table, struct lease *lease, enum command command,
                          struct buffer *out)
{
    const struct lock_key key = {table->prefix, lease->name, lease->token};
    switch (command) {
    case COMMAND_NONE:
        return true;
    case COMMAND_TAKE:
        return lock_command_take(out, &key, LEASE_LIFE_MILLISECONDS);
    case COMMAND_RENEW:
        return lock_command_renew(out, &key, LEASE_LIFE_MILLISECONDS);
    case COMMAND_GIVE:
        return lock_command_give(out, &key, lease->note, lease->note_life_ms);
    case COMMAND_LEAVE:
        return lock_command_leave(out, &key, lease->note, lease->note_life_ms);
    }
    return false;
}

static bool lease_ask(struct lease_table *table, struct lease *lease, enum command command,
                      monotonic_time now, struct buffer *out)
{
    if (!write_command(table, lease, command, out))
        return false;
    lease->asked = command;
    lease->asked_at = now;
    lease->next_asked = NULL;
    *table->asked_end = lease;
    table->asked_end = &lease->next_asked;
    return true;
}

static enum command next_command(const struct lease *lease)
{
    switch (lease->phase) {
    case PHASE_TAKING:
        return COMMAND_TAKE;
    case PHASE_TAKEN:
        return COMMAND_RENEW;
    case PHASE_GIVING:
        return lease->left ? COMMAND_LEAVE : COMMAND_GIVE;
    case PHASE_ALONE:
    case PHASE_LATE:
    case PHASE_OTHERS:
        break;
    }
    return COMMAND_NONE;
}

static void end_waits(struct lease_table *table)
{
    for (struct lease *lease = table->first; lease != NULL; lease = lease->next) {
        if (lease->phase == PHASE_TAKING)
            lease_settle(lease, PHASE_ALONE);
    }
}

bool lease_table_write(struct lease_table *table, monotonic_time now, struct buffer *out)
{
    if (!table->connected) {
        if (monotonic_reached(table->alone_at, now))
            end_waits(table);
        return true;
    }
    for (struct lease *lease = table->first; lease != NULL; lease = lease->next) {
        if (lease->asked != COMMAND_NONE || !monotonic_reached(lease->due, now))
            continue;
        if (lease->phase == PHASE_TAKING && lease->tries > 0 &&
            monotonic_reached(lease->patience, now)) {
            lease_settle(lease, PHASE_LATE);
            continue;
        }
        if (!lease_ask(table, lease, next_command(lease), now, out))
            return false;
    }
    return true;
}

monotonic_time lease_table_due(const struct lease_table *table)
{
    monotonic_time due = MONOTONIC_NEVER;
    for (const struct lease *lease = table->first; lease != NULL; lease = lease->next) {
        if (table->connected && lease->asked == COMMAND_NONE)
            due = monotonic_earlier(due, lease->due);
        else if (!table->connected && lease->phase == PHASE_TAKING)
            due = table->alone_at;
    }
    return due;
}

monotonic_time lease_table_asked(const struct lease_table *table)
{
    return table->asked == NULL ? MONOTONIC_NEVER : table->asked->asked_at;
}

bool lease_table_is_empty(const struct lease_table *table)
{
    return table->first == NULL;
}

/* ---- what is answered ---- */

/* The lock server counts from when it got the command, so later than this: its end comes later. */
static void extend(struct lease *lease)
{
    lease->ends = monotonic_after(lease->asked_at, LEASE_LIFE_MILLISECONDS);
    lease->due = monotonic_after(lease->asked_at, LEASE_RENEWAL_MILLISECONDS);
}

static int64_t random_delay(unsigned tries)
{
    unsigned doublings = tries < DELAY_DOUBLINGS ? tries : DELAY_DOUBLINGS;
    unsigned delay = FIRST_DELAY_MILLISECONDS << doublings;
    return delay / 2 + arc4random_uniform(delay / 2 + 1);
}

static void read_refusal(struct lease_table *table, struct lease *lease, monotonic_time now)
{
    if (lease->terms.once) {
        lease_settle(lease, PHASE_OTHERS);
        return;
    }
    if (lease->tries == 0)
        table->events.waits(table->events.user);
    lease->due = monotonic_after(now, random_delay(lease->tries));
    lease->tries++;
}

/* The holder of a lease that is being given has left while it was still being taken. */
static bool read_take(struct lease_table *table, struct lease *lease,
                      const struct lock_reply *reply, monotonic_time now)
{
    bool giving = lease->phase == PHASE_GIVING;
    if (reply->kind == LOCK_REPLY_TEXT) {
        extend(lease);
        if (giving) {
            lease->due = now;
            return true;
        }
        table->events.taken(table->events.user, lease->name, reply->text);
        monotonic_time renewal = lease->due;
        lease_settle(lease, PHASE_TAKEN);
        lease->due = renewal;
        return true;
    }
    if (reply->kind != LOCK_REPLY_NOTHING)
        return false;
    if (giving)
        lease_forget(table, lease);
    else
        read_refusal(table, lease, now);
    return true;
}

static bool read_renewal(struct lease *lease, const struct lock_reply *reply)
{
    if (reply->kind != LOCK_REPLY_NUMBER)
        return false;
    if (lease->phase == PHASE_GIVING)
        return true;
    if (reply->number == 1)
        extend(lease);
    else
        lease_settle(lease, PHASE_OTHERS);
    return true;
}

bool lease_table_read(struct lease_table *table, const struct lock_reply *reply, monotonic_time now)
{
    struct lease *lease = table->asked;
    if (lease == NULL || reply->kind == LOCK_REPLY_ERROR)
        return false;
    enum command command = lease->asked;
    table->asked = lease->next_asked;
    if (table->asked == NULL)
        table->asked_end = &table->asked;
    lease->asked = COMMAND_NONE;
    switch (command) {
    case COMMAND_TAKE:
        return read_take(table, lease, reply, now);
    case COMMAND_RENEW:
        return read_renewal(lease, reply);
    case COMMAND_GIVE:
    case COMMAND_LEAVE:
        lease_forget(table, lease);
        return reply->kind == LOCK_REPLY_NUMBER;
    case COMMAND_NONE:
        break;
    }
    return false;
}

/* ---- the connection ---- */

void lease_table_connected(struct lease_table *table)
{
    table->connected = true;
}

/* What was asked may have been done, and is asked again once the connection is back. */
static void ask_again(struct lease *lease, monotonic_time now)
{
    if (lease->asked == COMMAND_TAKE)
        lease->ends = monotonic_after(lease->asked_at, LEASE_LIFE_MILLISECONDS);
    lease->asked = COMMAND_NONE;
    if (next_command(lease) != COMMAND_NONE)
        lease->due = now;
}

void lease_table_lost(struct lease_table *table, monotonic_time now, monotonic_time alone_at)
{
    struct lease *next;
    table->connected = false;
    table->alone_at = alone_at;
    table->asked = NULL;
    table->asked_end = &table->asked;
    for (struct lease *lease = table->first; lease != NULL; lease = next) {
        next = lease->next;
        ask_again(lease, now);
        if (lease->phase == PHASE_GIVING && monotonic_reached(lease->ends, now))
            lease_forget(table, lease);
    }
}
