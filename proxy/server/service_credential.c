#include "proxy/server/service_credential.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "proxy/base/file_version.h"
#include "proxy/base/secret_file.h"

#define FIRST_REST_MILLISECONDS INT64_C(600000)
#define LONGEST_REST_MILLISECONDS INT64_C(21600000)
/* A trial whose answer never came is followed by another after so long. */
#define TRIAL_MILLISECONDS INT64_C(60000)

struct service_credential {
    const char *path; /* NULL: none that is watched */
    pthread_mutex_t lock;
    char *value; /* this and what follows: under the lock */
    struct file_watch watch;
    unsigned refusals; /* in a row; 0: it does not rest */
    bool tried;        /* once more since the last of them */
    monotonic_time first_refused;
    monotonic_time may_try;
};

bool service_credential_is_valid(const char *text)
{
    size_t scheme_len = strcspn(text, " ");
    if (scheme_len == 0 || text[scheme_len] == '\0' || text[scheme_len + 1] == '\0')
        return false;
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        if (*at < ' ' || *at >= 0x7f)
            return false;
    }
    return true;
}

/* A pipe gives what it holds but once. */
static bool is_regular_file(const char *path)
{
    struct stat about;
    return path != NULL && stat(path, &about) == 0 && S_ISREG(about.st_mode);
}

/*
 * It counts as stale at first: nobody knows whether the file was changed between the reading of
 * `value` and this.
 */
struct service_credential *service_credential_open(const char *value, const char *path)
{
    struct service_credential *credential = calloc(1, sizeof *credential);
    if (credential == NULL)
        return NULL;
    credential->value = strdup(value);
    if (credential->value == NULL) {
        free(credential);
        return NULL;
    }
    credential->path = is_regular_file(path) ? path : NULL;
    pthread_mutex_init(&credential->lock, NULL);
    return credential;
}

void service_credential_close(struct service_credential *credential)
{
    if (credential == NULL)
        return;
    pthread_mutex_destroy(&credential->lock);
    free(credential->value);
    free(credential);
}

enum service_credential_taken service_credential_take(struct service_credential *credential,
                                                      monotonic_time now, struct arena *arena,
                                                      const char **value)
{
    enum service_credential_taken taken = SERVICE_CREDENTIAL_RESTS;
    *value = NULL;
    pthread_mutex_lock(&credential->lock);
    if (credential->refusals == 0 || monotonic_reached(credential->may_try, now)) {
        *value = arena_copy(arena, credential->value, strlen(credential->value));
        taken = *value != NULL ? SERVICE_CREDENTIAL_TAKEN : SERVICE_CREDENTIAL_NO_MEMORY;
    }
    if (credential->refusals > 0 && taken == SERVICE_CREDENTIAL_TAKEN) {
        credential->tried = true;
        credential->may_try = monotonic_after(now, TRIAL_MILLISECONDS);
    }
    pthread_mutex_unlock(&credential->lock);
    return taken;
}

const char *service_credential_name(struct service_credential *credential, struct arena *arena)
{
    pthread_mutex_lock(&credential->lock);
    const char *name = arena_copy(arena, credential->value, strlen(credential->value));
    pthread_mutex_unlock(&credential->lock);
    return name;
}

static void begin_rest(struct service_credential *credential, monotonic_time now)
{
    int64_t rest = FIRST_REST_MILLISECONDS;
    for (unsigned i = 0; i < credential->refusals && rest < LONGEST_REST_MILLISECONDS; i++)
        rest *= 2;
    if (rest > LONGEST_REST_MILLISECONDS)
        rest = LONGEST_REST_MILLISECONDS;
    if (credential->refusals == 0)
        credential->first_refused = now;
    credential->refusals++;
    credential->tried = false;
    credential->may_try = monotonic_after(now, rest);
}

/* Whether an answer with that status shows that the server took the credential: it looks at that
 * before its limits. */
static bool shows_accepted(unsigned status)
{
    return status != 0 && status != 401 && status != 429 && status < 500;
}

/* What was under way when a rest began says nothing new. */
enum service_credential_news service_credential_answered(struct service_credential *credential,
                                                         const char *value, unsigned status,
                                                         monotonic_time now)
{
    enum service_credential_news news = SERVICE_CREDENTIAL_NO_NEWS;
    pthread_mutex_lock(&credential->lock);
    bool counts =
        strcmp(value, credential->value) == 0 && (credential->refusals == 0 || credential->tried);
    if (counts && status == 401) {
        begin_rest(credential, now);
        news = SERVICE_CREDENTIAL_REFUSED;
    } else if (counts && credential->refusals > 0 && shows_accepted(status)) {
        credential->refusals = 0;
        news = SERVICE_CREDENTIAL_ACCEPTED;
    }
    pthread_mutex_unlock(&credential->lock);
    return news;
}

void service_credential_wake(struct service_credential *credential)
{
    pthread_mutex_lock(&credential->lock);
    credential->refusals = 0;
    pthread_mutex_unlock(&credential->lock);
}

bool service_credential_is_stale(struct service_credential *credential)
{
    if (credential->path == NULL)
        return false;
    const struct file_version version = file_version_now(credential->path, NULL);
    pthread_mutex_lock(&credential->lock);
    bool stale = file_watch_is_stale(&credential->watch, &version);
    pthread_mutex_unlock(&credential->lock);
    return stale;
}

/* Takes `value` over. */
static enum service_credential_reading replace(struct service_credential *credential, char *value)
{
    if (strcmp(value, credential->value) == 0) {
        free(value);
        return SERVICE_CREDENTIAL_SAME;
    }
    free(credential->value);
    credential->value = value;
    credential->refusals = 0;
    return SERVICE_CREDENTIAL_CHANGED;
}

enum service_credential_reading
service_credential_read(struct service_credential *credential,
                        char error[static SERVICE_CREDENTIAL_ERROR_SIZE])
{
    if (credential->path == NULL)
        return SERVICE_CREDENTIAL_SAME;
    const struct file_version version = file_version_now(credential->path, NULL);
    char *value = secret_file_read(credential->path);
    bool valid = value != NULL && service_credential_is_valid(value);
    if (!valid) {
        snprintf(error, SERVICE_CREDENTIAL_ERROR_SIZE, "%s",
                 value == NULL ? strerror(errno) : "it does not hold an Authorization value");
        free(value);
    }
    pthread_mutex_lock(&credential->lock);
    file_watch_note_read(&credential->watch, &version);
    enum service_credential_reading reading =
        valid ? replace(credential, value) : SERVICE_CREDENTIAL_UNREADABLE;
    pthread_mutex_unlock(&credential->lock);
    return reading;
}

struct service_credential_state service_credential_state(struct service_credential *credential,
                                                         monotonic_time now)
{
    struct service_credential_state state = {0};
    pthread_mutex_lock(&credential->lock);
    if (credential->refusals > 0)
        state = (struct service_credential_state){
            .rests = true,
            .refusals = credential->refusals,
            .refused_for_ms =
                monotonic_elapsed(credential->first_refused, now) / NANOSECONDS_PER_MILLISECOND,
            .rest_left_ms = monotonic_milliseconds_until(now, credential->may_try),
        };
    pthread_mutex_unlock(&credential->lock);
    return state;
}
