#include "proxy/server/callers.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A digest says in which set it belongs; of each set's few the oldest makes room. */
#define SETS 1024
#define WAYS 4
#define DIGEST_SIZE 16
#define LIFE_MILLISECONDS 3600000

struct caller_entry {
    unsigned char digest[DIGEST_SIZE];
    monotonic_time until; /* 0: free */
};

struct callers {
    pthread_mutex_t lock;
    unsigned char key[32];
    struct caller_entry entries[SETS][WAYS];
};

struct callers *callers_create(void)
{
    struct callers *callers = calloc(1, sizeof *callers);
    if (callers == NULL)
        return NULL;
    if (RAND_bytes(callers->key, sizeof callers->key) == 1 &&
        pthread_mutex_init(&callers->lock, NULL) == 0)
        return callers;
    free(callers);
    return NULL;
}

void callers_destroy(struct callers *callers)
{
    if (callers == NULL)
        return;
    pthread_mutex_destroy(&callers->lock);
    free(callers);
}

/* False where it cannot be made: the credential is then nobody's. */
static bool digest(const struct callers *callers, const char *credential,
                   unsigned char out[static DIGEST_SIZE])
{
    unsigned char whole[EVP_MAX_MD_SIZE];
    if (credential == NULL ||
        HMAC(EVP_sha256(), callers->key, sizeof callers->key, (const unsigned char *)credential,
             strlen(credential), whole, NULL) == NULL)
        return false;
    memcpy(out, whole, DIGEST_SIZE);
    return true;
}

static struct caller_entry *set_of(struct callers *callers,
                                   const unsigned char key[static DIGEST_SIZE])
{
    return callers->entries[(key[0] | key[1] << 8) % SETS];
}

static struct caller_entry *callers_find(struct caller_entry *set, const unsigned char *key)
{
    for (size_t i = 0; i < WAYS; i++) {
        if (memcmp(set[i].digest, key, DIGEST_SIZE) == 0)
            return &set[i];
    }
    return NULL;
}

static struct caller_entry *oldest(struct caller_entry *set)
{
    struct caller_entry *entry = set;
    for (size_t i = 1; i < WAYS; i++) {
        if (set[i].until.nanoseconds < entry->until.nanoseconds)
            entry = &set[i];
    }
    return entry;
}

bool callers_know(struct callers *callers, const char *credential, monotonic_time now)
{
    unsigned char key[DIGEST_SIZE];
    if (!digest(callers, credential, key))
        return false;
    pthread_mutex_lock(&callers->lock);
    const struct caller_entry *entry = callers_find(set_of(callers, key), key);
    bool known = entry != NULL && !monotonic_reached(entry->until, now);
    pthread_mutex_unlock(&callers->lock);
    return known;
}

void callers_note(struct callers *callers, const char *credential, bool may_create,
                  monotonic_time now)
{
    unsigned char key[DIGEST_SIZE];
    if (!digest(callers, credential, key))
        return;
    pthread_mutex_lock(&callers->lock);
    struct caller_entry *set = set_of(callers, key);
    struct caller_entry *entry = callers_find(set, key);
    if (may_create) {
        entry = entry == NULL ? oldest(set) : entry;
        memcpy(entry->digest, key, DIGEST_SIZE);
        entry->until = monotonic_after(now, LIFE_MILLISECONDS);
    } else if (entry != NULL) {
        *entry = (struct caller_entry){.until = {0}};
    }
    pthread_mutex_unlock(&callers->lock);
}
