#ifndef RENEWGATE_PROXY_CONFIG_VALUE_H
#define RENEWGATE_PROXY_CONFIG_VALUE_H

/*
 * One variable of the configuration, and how the value of each kind is written.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    KIND_URL,           /* char * */
    KIND_PUBLIC_URL,    /* char *, or "auto" or "off" */
    KIND_PATH,          /* char * */
    KIND_AUTHORIZATION, /* char * */
    KIND_LOCK_URL,      /* struct lock_server */
    KIND_LABEL,         /* char * */
    KIND_HOST,          /* char * */
    KIND_ADDRESS,       /* struct listen_address */
    KIND_PEER,          /* the same, to connect to: neither part may be left out */
    KIND_NETWORKS,      /* struct network_list */
    KIND_CHOICE,        /* an enum: the index of the word */
    KIND_SWITCH,        /* bool: the index of the word */
    KIND_SECONDS,       /* int64_t, seconds */
    KIND_PERIOD,        /* the same, or "off": 0 */
    KIND_MILLISECONDS,  /* int64_t, milliseconds */
    KIND_INTERVAL,      /* the same, or "off": 0 */
    KIND_SIZE,          /* size_t */
    KIND_COUNT,         /* unsigned */
    KIND_WORKERS,       /* unsigned, or "auto" */
    KIND_ISSUE_LIMIT,   /* struct issue_limit */
    KIND_BACKOFF,       /* struct failure_backoff */
};

struct variable {
    const char *name; /* without the prefix */
    enum kind kind;
    bool required;
    bool secret;          /* also as NAME_FILE, and never shown */
    const char *fallback; /* as it would be written; NULL: none */
    const char *allowed;
    const char *help;
    size_t offset;            /* of its member in struct config */
    int64_t least;            /* numbers and durations, in the member's unit */
    int64_t most;             /* the same */
    const char *const *words; /* choices and switches, NULL at the end */
};

/* Reads one value into its member; false where it is not allowed. */
bool config_value_read(const struct variable *variable, const char *text, void *member);

#endif
