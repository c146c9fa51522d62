#ifndef RENEWGATE_JMAP_FACTS_MEMORY_H
#define RENEWGATE_JMAP_FACTS_MEMORY_H

/*
 * What the gate remembers from one create to the next, so that a second look at a domain costs
 * less. Hints only: every one is verified with the server before it counts, but for the last
 * forwarded id, which counts where the server cannot be asked.
 *
 * Shared by all threads; some 340 bytes for each of 131,072 domains, and 50 to 110 for each
 * of the million certificates that last longest of all that were seen. Beyond that many domains,
 * the one that was of no use for the longest time is forgotten.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/certificate_index.h"
#include "jmap/wire/object_id.h"
#include "policy/san_set.h"
#include "policy/account_limit.h"
#include "policy/issue_history.h"
#include "policy/setback.h"
#include "policy/wall_time.h"

struct task_memory;

#define MEMORY_DOMAINS ((size_t)1 << 17)
#define MEMORY_TASKS 2
#define HOSTNAME_SIZE 256

/* Longer names are not remembered: they cost a look-up more, and all others less room. */
#define SEARCH_NAME_SIZE 64

struct domain_memory {
    char domain_id[OBJECT_ID_SIZE];
    char task_ids[MEMORY_TASKS][OBJECT_ID_SIZE]; /* live when last seen, then Failed; or "" */
    char certificate_id[OBJECT_ID_SIZE];         /* newest-expiring of the exact set; or "" */
    wall_time renewal_due;              /* that one's; WALL_TIME_NEVER where there is none */
    char search_name[SEARCH_NAME_SIZE]; /* what certificates of the domain are found by; or "" */
    char forwarded_id[OBJECT_ID_SIZE];  /* the last task that this gate had made; or "" */
    wall_time forwarded_at;
    wall_time unanswered_since;   /* when a create went out whose answer is not known; or NEVER */
    char runs_id[OBJECT_ID_SIZE]; /* the earliest of its live tasks, when last seen; or "" */
    wall_time runs_at;            /* when that is due */
    wall_time sought_due; /* R, around which its queued renewal was looked for in vain; or 0 */
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

/* The domain is gone, or its certificates are not the server's business any more. */
void memory_forget(struct task_memory *memory, const char *domain_id);

/*
 * A live task of a domain that was seen on the way to something else, or made. It takes a free
 * place, else that of the later one. Forgets silently when memory runs out.
 */
void memory_note_task(struct task_memory *memory, const char *domain_id, const char *task_id);

/*
 * Up to MEMORY_TASKS live tasks of a domain, as whoever reads the whole list finds them. Of those
 * that were known the later one stays where there is room: it may be newer than the list. Likewise.
 */
void memory_note_listed(struct task_memory *memory, const char *domain_id,
                        const char *const *task_ids, size_t count);

/*
 * A task that the server cannot read for anyone (jmap/facts/lookup_hints.c): it is no hint any
 * more, and whoever watches is told.
 */
void memory_forget_task(struct task_memory *memory, const char *domain_id, const char *task_id);

/* Before there are other threads; `told` may be called from any. */
void memory_watch_unreadable(struct task_memory *memory,
                             void (*told)(void *user, const char *domain_id, const char *task_id),
                             void *user);

/* The newest-expiring certificate with the exact set, when it is due, and what it is found by. */
void memory_note_renewal(struct task_memory *memory, const char *domain_id,
                         const char *certificate_id, wall_time renewal_due,
                         const char *search_name);

/* Around that time the domain's queued renewal was looked for, and not seen. */
void memory_note_sought(struct task_memory *memory, const char *domain_id, wall_time renewal_due);

/*
 * The certificates that have a set of names, whoever's they are: of those that were seen the one
 * that ends last. `names` of an indexed_certificate need not be set.
 */
void memory_note_certificate(struct task_memory *memory, const struct san_set *names,
                             const struct indexed_certificate *certificate);
bool memory_recall_certificate(struct task_memory *memory, const struct san_set *names,
                               struct indexed_certificate *out);
void memory_forget_certificate(struct task_memory *memory, const struct san_set *names,
                               const char *id);

/*
 * Reviews a domain's tasks by what is remembered of its refusals and failures (policy/setback.h),
 * and remembers what is to be; `reviewed` is what is known then.
 */
void memory_review(struct task_memory *memory, const char *domain_id,
                   const struct setback_look *look, struct setback *reviewed);

/* See setback_keep(). */
void memory_keep_hold(struct task_memory *memory, const char *domain_id,
                      const struct setback_hold *hold);

/*
 * Reviews when the CA has issued for a domain (policy/issue_history.h), and remembers it; what is
 * missing in the look is copied. How many these are. Where memory runs out none is remembered.
 */
size_t memory_review_issues(struct task_memory *memory, const char *domain_id,
                            const struct issue_look *look,
                            struct issue missing[static ISSUE_HISTORY_MAX]);

/* The earliest of a domain's live tasks, or "", and when it is due. */
void memory_note_run(struct task_memory *memory, const char *domain_id, const char *task_id,
                     wall_time due);

/*
 * Where one stands: what is read from the server from now on is not older than what is known now of
 * times that were taken.
 */
uint64_t memory_moment(struct task_memory *memory);

/*
 * What a look has shown of a domain's orders, for the limit of its provider's account, beside those
 * that memory_review_issues() knows: the time of the last one, and when its earliest task is due;
 * WALL_TIME_NEVER where there is none. Replaces what was noted before, but for a time that was
 * taken since the `moment` before it was read.
 */
void memory_note_orders(struct task_memory *memory, const char *domain_id, const char *provider_id,
                        wall_time ordered, wall_time queued, wall_time now, uint64_t moment);

/*
 * A task that was seen on the way to something else. `provider_id` is NULL where it is not known
 * whose domain it is; then it counts if that was seen before.
 */
void memory_note_queued(struct task_memory *memory, const char *domain_id, const char *provider_id,
                        wall_time queued, wall_time now, uint64_t moment);

/*
 * The first time, no earlier than `from`, for the domain's next order beside all others of its
 * provider's account. The time is taken: it counts as queued for then. Unlike what is remembered
 * else this is no hint, so whoever has taken one, in the domain's flight, gives it back or keeps
 * it.
 */
wall_time memory_take_time(struct task_memory *memory, const char *domain_id,
                           const char *provider_id, struct issue_limit limit, wall_time from,
                           wall_time now);

/* The same time, which is not taken. */
wall_time memory_foresee_time(struct task_memory *memory, const char *domain_id,
                              const char *provider_id, struct issue_limit limit, wall_time from,
                              wall_time now);

/* No task was made for then, or moved there: the domain's is due when it was before. */
void memory_give_time(struct task_memory *memory, const char *domain_id);

/* One was, or may have been. */
void memory_keep_time(struct task_memory *memory, const char *domain_id);

/* The server destroys no Failed tasks (v0.16.5): none is to be asked for again. */
void memory_note_failed_stay(struct task_memory *memory);
bool memory_failed_stay(struct task_memory *memory);

/*
 * How many objects the server takes in one get or set (maxObjectsInGet and maxObjectsInSet of RFC
 * 8620, which its operator sets): OBJECTS_A_CALL until it has refused so many. Then half as many,
 * and never more again. Gives what it is by then, unless that is no fewer: 0.
 */
#define OBJECTS_A_CALL ((size_t)500)
size_t memory_objects_a_call(struct task_memory *memory);
size_t memory_note_too_many(struct task_memory *memory, size_t refused);

/* The server's own host name; "" until it is known. */
void memory_recall_hostname(struct task_memory *memory, char hostname[static HOSTNAME_SIZE]);
void memory_store_hostname(struct task_memory *memory, const char *hostname);

#endif
