#ifndef RENEWGATE_PROXY_SERVER_SERVICE_CREDENTIAL_H
#define RENEWGATE_PROXY_SERVER_SERVICE_CREDENTIAL_H

/*
 * The gate's own credential, and whether the server still takes it. Who is refused (401) a hundred
 * times a day is banned by the server, so a refused credential rests: for 10 minutes, then one
 * request tries it, and each time that this is refused too it rests twice as long as before, 6
 * hours at most. The operator ends the rest, or a file with another value in it.
 *
 *     service_credential_take()  ->  one request  ->  service_credential_answered()
 *
 * Of requests that are under way together when it begins to be refused, each costs a refusal; from
 * the first answer on none is made. All functions are safe for threads.
 */

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/arena.h"
#include "proxy/base/clock.h"

#define SERVICE_CREDENTIAL_ERROR_SIZE 128

struct service_credential;

/* Whether a text can be an Authorization field: a scheme, a space, a credential. */
bool service_credential_is_valid(const char *text);

/*
 * `value` is copied; `path`, the file that it was read from, is borrowed and may be NULL. NULL when
 * memory runs out.
 */
struct service_credential *service_credential_open(const char *value, const char *path);

/* NULL is allowed. */
void service_credential_close(struct service_credential *credential);

enum service_credential_taken {
    SERVICE_CREDENTIAL_TAKEN,
    SERVICE_CREDENTIAL_RESTS,
    SERVICE_CREDENTIAL_NO_MEMORY,
};

/* For one request that is sent at once: a copy of the value in the arena. */
enum service_credential_taken service_credential_take(struct service_credential *credential,
                                                      monotonic_time now, struct arena *arena,
                                                      const char **value);

/* The same copy, to tell callers apart by and not to be sent. NULL when memory runs out. */
const char *service_credential_name(struct service_credential *credential, struct arena *arena);

enum service_credential_news {
    SERVICE_CREDENTIAL_NO_NEWS,
    SERVICE_CREDENTIAL_REFUSED, /* a rest has begun */
    SERVICE_CREDENTIAL_ACCEPTED /* after a rest */
};

/* The status of the answer to a request with a value that was taken; 0: there was none. */
enum service_credential_news service_credential_answered(struct service_credential *credential,
                                                         const char *value, unsigned status,
                                                         monotonic_time now);

/* Ends a rest. */
void service_credential_wake(struct service_credential *credential);

/*
 * Whether the file is another than the one last read, and has stayed as it is since the last look;
 * whatever writes it is not to be met half-way. Never without a path, nor of a pipe.
 */
bool service_credential_is_stale(struct service_credential *credential);

enum service_credential_reading {
    SERVICE_CREDENTIAL_SAME,
    SERVICE_CREDENTIAL_CHANGED,    /* the new value is in use, and does not rest */
    SERVICE_CREDENTIAL_UNREADABLE, /* the old value stays; `error` says why */
};

/* Reads the file again; without one nothing has changed. */
enum service_credential_reading
service_credential_read(struct service_credential *credential,
                        char error[static SERVICE_CREDENTIAL_ERROR_SIZE]);

/* For people. */
struct service_credential_state {
    bool rests;             /* refused, and not accepted since */
    unsigned refusals;      /* in a row */
    int64_t refused_for_ms; /* since the first of these */
    int64_t rest_left_ms;   /* until a request may try it, at least 0 */
};

struct service_credential_state service_credential_state(struct service_credential *credential,
                                                         monotonic_time now);

#endif
