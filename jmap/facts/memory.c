#include "jmap/facts/memory_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void memory_recall(struct task_memory *memory, const char *domain_id, struct domain_memory *out)
{
    memset(out, 0, sizeof *out);
    strncpy(out->domain_id, domain_id, sizeof out->domain_id - 1);

    pthread_mutex_lock(&memory->lock);
    const struct record *record = record_find(memory, domain_id);
    if (record)
        *out = record->domain;
    pthread_mutex_unlock(&memory->lock);
}

void memory_forget(struct task_memory *memory, const char *domain_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_find(memory, domain_id);
    if (record)
        record_drop(memory, record);
    pthread_mutex_unlock(&memory->lock);
}

void memory_store(struct task_memory *memory, const struct domain_memory *domain)
{
    pthread_mutex_lock(&memory->lock);
    struct record *place = record_of(memory, domain->domain_id);
    if (place)
        place->domain = *domain;
    pthread_mutex_unlock(&memory->lock);
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

void memory_note_task(struct task_memory *memory, const char *domain_id, const char *task_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *place = record_of(memory, domain_id);
    if (place)
        strncpy(place_for(&place->domain, task_id), task_id, OBJECT_ID_SIZE - 1);
    pthread_mutex_unlock(&memory->lock);
}

static void put_listed(struct domain_memory *domain, const char *const *task_ids, size_t count)
{
    const struct domain_memory before = *domain;
    size_t kept = 0;

    memset(domain->task_ids, 0, sizeof domain->task_ids);
    for (; kept < count; kept++)
        strncpy(domain->task_ids[kept], task_ids[kept], OBJECT_ID_SIZE - 1);
    for (size_t i = MEMORY_TASKS; i-- > 0 && kept < MEMORY_TASKS;) {
        bool listed = false;
        for (size_t n = 0; n < count; n++)
            listed |= strcmp(before.task_ids[i], task_ids[n]) == 0;
        if (before.task_ids[i][0] && !listed)
            memcpy(domain->task_ids[kept++], before.task_ids[i], OBJECT_ID_SIZE);
    }
}

void memory_note_listed(struct task_memory *memory, const char *domain_id,
                        const char *const *task_ids, size_t count)
{
    pthread_mutex_lock(&memory->lock);
    struct record *place = record_of(memory, domain_id);
    if (place)
        put_listed(&place->domain, task_ids, count);
    pthread_mutex_unlock(&memory->lock);
}

void memory_forget_task(struct task_memory *memory, const char *domain_id, const char *task_id)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_find(memory, domain_id);
    struct domain_memory *place = record ? &record->domain : NULL;
    size_t kept = 0;
    bool known = false;
    for (size_t i = 0; place && i < MEMORY_TASKS; i++) {
        if (strcmp(place->task_ids[i], task_id) == 0)
            known = true;
        else if (kept++ != i)
            memcpy(place->task_ids[kept - 1], place->task_ids[i], OBJECT_ID_SIZE);
    }
    for (; place && kept < MEMORY_TASKS; kept++)
        place->task_ids[kept][0] = '\0';
    if (place && strcmp(place->forwarded_id, task_id) == 0)
        place->forwarded_id[0] = '\0';
    pthread_mutex_unlock(&memory->lock);
    if (known && memory->told_unreadable)
        memory->told_unreadable(memory->user, domain_id, task_id);
}

void memory_watch_unreadable(struct task_memory *memory,
                             void (*told)(void *user, const char *domain_id, const char *task_id),
                             void *user)
{
    memory->told_unreadable = told;
    memory->user = user;
}

void memory_note_renewal(struct task_memory *memory, const char *domain_id,
                         const char *certificate_id, wall_time renewal_due, const char *search_name)
{
    bool fits = strlen(search_name) < SEARCH_NAME_SIZE;

    pthread_mutex_lock(&memory->lock);
    struct record *record = record_of(memory, domain_id);
    struct domain_memory *place = record ? &record->domain : NULL;
    if (place) {
        strncpy(place->certificate_id, certificate_id, OBJECT_ID_SIZE - 1);
        strncpy(place->search_name, fits ? search_name : "", SEARCH_NAME_SIZE - 1);
        place->renewal_due = renewal_due;
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_sought(struct task_memory *memory, const char *domain_id, wall_time renewal_due)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_of(memory, domain_id);
    if (record)
        record->domain.sought_due = renewal_due;
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_certificate(struct task_memory *memory, const struct san_set *names,
                             const struct indexed_certificate *certificate)
{
    struct indexed_certificate noted = *certificate;

    noted.names = san_set_hash(names);
    pthread_mutex_lock(&memory->lock);
    certificate_index_note(&memory->certificates, &noted);
    pthread_mutex_unlock(&memory->lock);
}

bool memory_recall_certificate(struct task_memory *memory, const struct san_set *names,
                               struct indexed_certificate *out)
{
    uint64_t hash = san_set_hash(names);

    pthread_mutex_lock(&memory->lock);
    bool known = certificate_index_find(&memory->certificates, hash, out);
    pthread_mutex_unlock(&memory->lock);
    return known;
}

void memory_forget_certificate(struct task_memory *memory, const struct san_set *names,
                               const char *id)
{
    uint64_t hash = san_set_hash(names);

    pthread_mutex_lock(&memory->lock);
    certificate_index_forget(&memory->certificates, hash, id);
    pthread_mutex_unlock(&memory->lock);
}

/* With the lock held. Where memory runs out nothing is remembered. */
static void keep_setback(struct task_memory *memory, const char *domain_id,
                         const struct setback *reviewed)
{
    struct record *record = record_of(memory, domain_id);

    if (record && !record->setback)
        record->setback = malloc(sizeof *record->setback);
    if (record && record->setback)
        *record->setback = *reviewed;
}

void memory_review(struct task_memory *memory, const char *domain_id,
                   const struct setback_look *look, struct setback *reviewed)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_find(memory, domain_id);
    *reviewed = record && record->setback ? *record->setback : (struct setback){0};
    if (setback_review(reviewed, look)) {
        keep_setback(memory, domain_id, reviewed);
    } else if (record) {
        free(record->setback);
        record->setback = NULL;
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_keep_hold(struct task_memory *memory, const char *domain_id,
                      const struct setback_hold *hold)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_find(memory, domain_id);
    struct setback known = record && record->setback ? *record->setback : (struct setback){0};
    setback_keep(&known, hold);
    keep_setback(memory, domain_id, &known);
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_run(struct task_memory *memory, const char *domain_id, const char *task_id,
                     wall_time due)
{
    pthread_mutex_lock(&memory->lock);
    struct record *record = record_find(memory, domain_id);
    if (record) {
        strncpy(record->domain.runs_id, task_id, OBJECT_ID_SIZE - 1);
        record->domain.runs_at = due;
    }
    pthread_mutex_unlock(&memory->lock);
}

void memory_note_failed_stay(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    memory->failed_stay = true;
    pthread_mutex_unlock(&memory->lock);
}

bool memory_failed_stay(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    bool stay = memory->failed_stay;
    pthread_mutex_unlock(&memory->lock);
    return stay;
}

size_t memory_objects_a_call(struct task_memory *memory)
{
    pthread_mutex_lock(&memory->lock);
    size_t objects = memory->objects_a_call;
    pthread_mutex_unlock(&memory->lock);
    return objects;
}

size_t memory_note_too_many(struct task_memory *memory, size_t refused)
{
    pthread_mutex_lock(&memory->lock);
    if (refused > 1 && refused / 2 < memory->objects_a_call)
        memory->objects_a_call = refused / 2;
    size_t objects = memory->objects_a_call;
    pthread_mutex_unlock(&memory->lock);
    return objects < refused ? objects : 0;
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
