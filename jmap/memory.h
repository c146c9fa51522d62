#ifndef RENEWGATE_JMAP_MEMORY_H
#define RENEWGATE_JMAP_MEMORY_H

/*
 * What the gate remembers from one create to the next, so that a second look at a domain costs
 * less. Hints only: every one is verified with the server before it counts, but for the last
 * forwarded id, which counts where the server cannot be asked.
 *
 * Shared by all threads; some 200 bytes a domain.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/object_id.h"
#include "policy/wall_time.h"

struct task_memory;

#define MEMORY_TASKS 2
#define HOSTNAME_SIZE 256

struct domain_memory {
    char domain_id[OBJECT_ID_SIZE];
    char task_ids[MEMORY_TASKS][OBJECT_ID_SIZE]; /* live when last seen, earliest first; or "" */
    char certificate_id[OBJECT_ID_SIZE];         /* newest-expiring of the exact set; or "" */
    char forwarded_id[OBJECT_ID_SIZE];           /* the last task that this gate had made; or "" */
    wall_time forwarded_at;
    char refused_id[OBJECT_ID_SIZE]; /* a task that the CA refused without naming a time; or "" */
    wall_time refused_seen;          /* when the gate first saw that */
};

/* NULL when memory runs out. */
struct task_memory *task_memory_create(void);
void task_memory_destroy(struct task_memory *memory);

/* Copies what is remembered of a domain; all empty where nothing is. */
void memory_recall(struct task_memory *memory, const char *domain_id, struct domain_memory *out);

/* Replaces what is remembered of `domain->domain_id`. Forgets silently when memory runs out. */
void memory_store(struct task_memory *memory, const struct domain_memory *domain);

/*
 * A live task of a domain that was seen on the way to something else, as by who reads the whole
 * list. It takes a free place, else that of the later one. Forgets silently when memory runs out.
 */
void memory_note_task(struct task_memory *memory, const char *domain_id, const char *task_id);

/* The same for the newest-expiring certificate with exactly the domain's names. */
void memory_note_certificate(struct task_memory *memory, const char *domain_id,
                             const char *certificate_id);

/* The server's own host name; "" until it is known. */
void memory_recall_hostname(struct task_memory *memory, char hostname[static HOSTNAME_SIZE]);
void memory_store_hostname(struct task_memory *memory, const char *hostname);

#endif
