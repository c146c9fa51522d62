#ifndef RENEWGATE_JMAP_FACTS_DOMAIN_SNAPSHOT_H
#define RENEWGATE_JMAP_FACTS_DOMAIN_SNAPSHOT_H

/*
 * What the gate saw of each domain when it last looked at it, for people and for metrics. Nothing
 * is decided by it (that is jmap/facts/memory.h), so it may be as old as it says.
 *
 * Shared by all threads; some 220 bytes a domain, and what its last failure said.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/lookup.h"
#include "jmap/wire/object_id.h"
#include "policy/held.h"
#include "policy/standing.h"
#include "policy/wall_time.h"

struct domain_snapshots;

/* A domain's name has at most 255 bytes (RFC 1035, section 2.3.4); a longer one is cut. */
#define DOMAIN_SNAPSHOT_NAME_SIZE 256
/* What is kept of a failure's words. */
#define DOMAIN_SNAPSHOT_FAILURE_SIZE 200

struct domain_snapshot {
    char domain_id[OBJECT_ID_SIZE];
    char task_id[OBJECT_ID_SIZE]; /* the earliest that is Pending or in Retry; or "" */
    bool task_retries;            /* it is in Retry */
    unsigned task_count;          /* how many are Pending or in Retry */
    wall_time task_due;
    wall_time not_before; /* of the newest certificate; WALL_TIME_NEVER where there is none */
    wall_time not_after;
    wall_time renewal_due;
    wall_time refused_until; /* H; WALL_TIME_NEVER where nothing says so */
    enum held_by held_by;    /* what H comes from */
    unsigned failures;       /* since its last certificate */
    wall_time seen;
    const char *name;
    const char *failure; /* why the last order failed; or "" */
};

/* What a look-up found of a domain that is renewable; its texts are borrowed. */
struct domain_snapshot domain_snapshot_of(const struct lookup_domain *found,
                                          const struct held *held, wall_time now);

/* The task that is there now in place of what was: made, or moved to another time. */
void domain_snapshot_set_task(struct domain_snapshot *snapshot, const char *task_id, wall_time due);

/* One more that is there, unless it has Failed. */
void domain_snapshot_add_task(struct domain_snapshot *snapshot, const struct renewal_task *task);

/* Of those that were found only this one is left. */
void domain_snapshot_keep_task(struct domain_snapshot *snapshot, const struct lookup_domain *found,
                               const char *task_id);

/*
 * Whether that task was stuck when it was seen: what has become of it since is not known. 0 seconds
 * stand for the usual time, since it is told even where nothing is done about it.
 */
bool domain_snapshot_is_stuck(const struct domain_snapshot *snapshot, int64_t stuck_after_seconds);

enum standing domain_snapshot_standing(const struct domain_snapshot *snapshot, wall_time now);

/* NULL when memory runs out. */
struct domain_snapshots *domain_snapshots_create(void);

/* NULL is allowed. */
void domain_snapshots_destroy(struct domain_snapshots *snapshots);

/* Replaces what was seen before; texts are copied. Forgets silently when memory runs out. */
void domain_snapshots_store(struct domain_snapshots *snapshots,
                            const struct domain_snapshot *snapshot);

/* The same, unless the domain has been seen later than that. */
void domain_snapshots_store_latest(struct domain_snapshots *snapshots,
                                   const struct domain_snapshot *snapshot);

/* The domain is gone, or its certificates are not the server's business any more. */
void domain_snapshots_forget(struct domain_snapshots *snapshots, const char *domain_id);

/* All that were last seen before. Forgets none when memory runs out. */
void domain_snapshots_forget_before(struct domain_snapshots *snapshots, wall_time since);

/* Where a snapshot's texts are copied to. */
struct domain_snapshot_texts {
    char name[DOMAIN_SNAPSHOT_NAME_SIZE];
    char failure[DOMAIN_SNAPSHOT_FAILURE_SIZE];
};

/* False where the domain has not been seen. The texts of `out` are those of `texts` then. */
bool domain_snapshots_find(struct domain_snapshots *snapshots, const char *domain_id,
                           struct domain_snapshot *out, struct domain_snapshot_texts *texts);

/* All of them, in no useful order, with the table locked: visit() only copies what it needs. */
void domain_snapshots_each(struct domain_snapshots *snapshots,
                           void (*visit)(void *user, const struct domain_snapshot *snapshot),
                           void *user);

#endif
