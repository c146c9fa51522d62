#ifndef RENEWGATE_JMAP_FACTS_SIGHTING_H
#define RENEWGATE_JMAP_FACTS_SIGHTING_H

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

struct sightings;

/* A domain's name has at most 255 bytes (RFC 1035, section 2.3.4); a longer one is cut. */
#define SIGHTING_NAME_SIZE 256
/* What is kept of a failure's words. */
#define SIGHTING_FAILURE_SIZE 200

struct sighting {
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
struct sighting sighting_of(const struct lookup_domain *found, const struct held *held,
                            wall_time now);

/* The task that is there now in place of what was: made, or moved to another time. */
void sighting_set_task(struct sighting *sighting, const char *task_id, wall_time due);

/* One more that is there, unless it has Failed. */
void sighting_add_task(struct sighting *sighting, const struct renewal_task *task);

/* Of those that were found only this one is left. */
void sighting_keep_task(struct sighting *sighting, const struct lookup_domain *found,
                        const char *task_id);

/*
 * Whether that task was stuck when it was seen: what has become of it since is not known. 0 seconds
 * stand for the usual time, since it is told even where nothing is done about it.
 */
bool sighting_is_stuck(const struct sighting *sighting, int64_t stuck_after_seconds);

enum standing sighting_standing(const struct sighting *sighting, wall_time now);

/* NULL when memory runs out. */
struct sightings *sightings_create(void);

/* NULL is allowed. */
void sightings_destroy(struct sightings *sightings);

/* Replaces what was seen before; texts are copied. Forgets silently when memory runs out. */
void sightings_store(struct sightings *sightings, const struct sighting *sighting);

/* The same, unless the domain has been seen later than that. */
void sightings_store_latest(struct sightings *sightings, const struct sighting *sighting);

/* The domain is gone, or its certificates are not the server's business any more. */
void sightings_forget(struct sightings *sightings, const char *domain_id);

/* All that were last seen before. Forgets none when memory runs out. */
void sightings_forget_before(struct sightings *sightings, wall_time since);

/* Where a sighting's texts are copied to. */
struct sighting_texts {
    char name[SIGHTING_NAME_SIZE];
    char failure[SIGHTING_FAILURE_SIZE];
};

/* False where the domain has not been seen. The texts of `out` are those of `texts` then. */
bool sightings_find(struct sightings *sightings, const char *domain_id, struct sighting *out,
                    struct sighting_texts *texts);

/* All of them, in no useful order, with the table locked: visit() only copies what it needs. */
void sightings_each(struct sightings *sightings,
                    void (*visit)(void *user, const struct sighting *sighting), void *user);

#endif
