#include "jmap/memory.h"

#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct task_memory {
    pthread_mutex_t lock;
    void *domains; /* tsearch(3) tree of struct domain_memory */
    char hostname[HOSTNAME_SIZE];
};

static int domain_compare(const void *a, const void *b)
{
    const struct domain_memory *x = a, *y = b;

    return strcmp(x->domain_id, y->domain_id);
}

struct task_memory *task_memory_create(void)
{
    struct task_memory *memory = calloc(1, sizeof *memory);

    if (memory && pthread_mutex_init(&memory->lock, NULL) != 0) {
        free(memory);
        return NULL;
    }
    return memory;
}

void task_memory_destroy(struct task_memory *memory)
{
    if (!memory)
        return;
    tdestroy(memory->domains, free);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

void memory_recall(struct task_memory *memory, const char *domain_id, struct domain_memory *out)
{
    memset(out, 0, sizeof *out);
    strncpy(out->domain_id, domain_id, sizeof out->domain_id - 1);

    pthread_mutex_lock(&memory->lock);
    struct domain_memory **found = tfind(out, &memory->domains, domain_compare);
    if (found)
        *out = **found;
    pthread_mutex_unlock(&memory->lock);
}

void memory_store(struct task_memory *memory, const struct domain_memory *domain)
{
    struct domain_memory *fresh = malloc(sizeof *fresh);
    if (!fresh)
        return;
    *fresh = *domain;

    pthread_mutex_lock(&memory->lock);
    struct domain_memory **found = tsearch(fresh, &memory->domains, domain_compare);
    if (found && *found != fresh)
        **found = *domain;
    bool kept = found && *found == fresh;
    pthread_mutex_unlock(&memory->lock);
    if (!kept)
        free(fresh);
}

/* Where the task belongs; its own place if it is known already. */
static char *place_for(struct domain_memory *domain, const char *task_id)
{
    for (size_t i = 0; i + 1 < MEMORY_TASKS; i++) {
        if (!domain->task_ids[i][0] || strcmp(domain->task_ids[i], task_id) == 0)
            return domain->task_ids[i];
    }
    return domain->task_ids[MEMORY_TASKS - 1];
}

/* What is remembered of a domain, made where nothing is; NULL when memory runs out. Locked. */
static struct domain_memory *entry_of(struct task_memory *memory, const char *domain_id)
{
    struct domain_memory *fresh = calloc(1, sizeof *fresh);
    if (!fresh)
        return NULL;
    strncpy(fresh->domain_id, domain_id, OBJECT_ID_SIZE - 1);

    struct domain_memory **found = tsearch(fresh, &memory->domains, domain_compare);
    struct domain_memory *entry = found ? *found : NULL;
    if (entry != fresh)
        free(fresh);
    return entry;
}

void memory_note_task(struct task_memory *memory, const char *domain_id, const char *task_id)
{
    pthread_mutex_lock(&memory->lock);
    struct domain_memory *entry = entry_of(memory, domain_id);
    if (entry)
        strncpy(place_for(entry, task_id), task_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_certificate(struct task_memory *memory, const char *domain_id,
                             const char *certificate_id)
{
    pthread_mutex_lock(&memory->lock);
    struct domain_memory *entry = entry_of(memory, domain_id);
    if (entry)
        strncpy(entry->certificate_id, certificate_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_unlock(&memory->lock);
}

void memory_recall_hostname(struct task_memory *memory, char hostname[static HOSTNAME_SIZE])
{
    pthread_mutex_lock(&memory->lock);
    memcpy(hostname, memory->hostname, HOSTNAME_SIZE);
    pthread_mutex_unlock(&memory->lock);
}

void memory_store_hostname(struct task_memory *memory, const char *hostname)
{
    pthread_mutex_lock(&memory->lock);
    snprintf(memory->hostname, HOSTNAME_SIZE, "%s", hostname);
    pthread_mutex_unlock(&memory->lock);
}
