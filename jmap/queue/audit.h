#ifndef RENEWGATE_JMAP_QUEUE_AUDIT_H
#define RENEWGATE_JMAP_QUEUE_AUDIT_H

/*
 * All domains with automatic certificates, read and judged, without I/O and without changing
 * anything:
 *
 *     list    all tasks and domains (jmap/facts/inventory.h)
 *     look    some of the domains at a time: their names, their certificates (jmap/facts/lookup.h)
 *             and what policy/audit.h says of them
 *     texts   where wanted, the PEM text of these certificates
 *
 * What has been told of some domains is freed before the next are looked at.
 */

#include <stdbool.h>
#include <stddef.h>

#include "jmap/facts/lookup.h"
#include "jmap/wire/machine.h"
#include "policy/audit.h"
#include "policy/hold_settings.h"

struct audit;

/* All of it is borrowed during the call only. */
struct audit_domain {
    const struct lookup_domain *found; /* names, certificates */
    const struct renewal_task *tasks;  /* all of them, Failed ones too */
    size_t task_count;
    struct held held;
    struct audit_verdict verdict;
};

/* How far it has come. */
struct audit_progress {
    size_t tasks, domains; /* listed */
    size_t manual;         /* further domains, whose certificates are managed by hand */
    size_t judged;         /* of the domains */
};

/* All borrowed for the audit's lifetime. */
struct audit_context {
    const struct hold_settings *settings;
    struct task_memory *memory;
    const char *only;       /* a domain's name, or NULL for all */
    bool every_certificate; /* of a domain that has a fresh one, too */
    bool remembers;         /* notes in the memory what creates to come can use */
    wall_time (*now)(void *user);
    /* A domain; false when memory runs out. In ascending order of their ids. */
    bool (*judged)(void *user, const struct audit_domain *domain);
    /* The text of a certificate of a domain that was judged before; NULL: the server shows none. */
    void (*text)(void *user, const struct lookup_domain *domain,
                 const struct lookup_certificate *certificate, const char *pem); /* or NULL */
    void *user;
};

/* NULL when memory runs out. */
struct audit *audit_create(const struct audit_context *context);

/* In any state. NULL is allowed. */
void audit_destroy(struct audit *audit);

extern const struct machine audit_machine;

struct audit_progress audit_progress(const struct audit *audit);

/* Why it ended before its end, in words; NULL where it did not. Static. */
const char *audit_error(const struct audit *audit);

#endif
