#ifndef RENEWGATE_POLICY_AUDIT_H
#define RENEWGATE_POLICY_AUDIT_H

/*
 * What is to be said of a domain with automatic certificates: what is wrong with it, how badly,
 * what the gate would do for it, and all that in words. Facts in, verdict out.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/decide.h"
#include "policy/held.h"
#include "policy/issuer.h"

enum audit_severity {
    AUDIT_FINE,
    AUDIT_NOTE,      /* worth knowing */
    AUDIT_ATTENTION, /* needs a person, or the gate */
    AUDIT_URGENT,    /* needs one now: clients see it, or will before anything is done about it */
};

/* The worst first, which is the order in which they are told. */
enum audit_kind {
    AUDIT_EXPIRED,
    AUDIT_NONE,
    AUDIT_NO_PROVIDER,
    AUDIT_SERVED, /* by TLS, something else than what is stored */
    AUDIT_TOO_LATE,
    AUDIT_NO_TASK,
    AUDIT_STAGING, /* its certificate is one for tests */
    AUDIT_REFUSED,
    AUDIT_FAILING,
    AUDIT_STUCK,
    AUDIT_TWINS,
    AUDIT_DAMAGED, /* a stored certificate's text */
    AUDIT_LATE,
    AUDIT_OTHER_CA, /* its certificate is another CA's than its provider's */
    AUDIT_DUPLICATES,
    AUDIT_LIMIT,
    AUDIT_NOT_DUE,
    AUDIT_KINDS,
};

/* A stored certificate with exactly the domain's names. */
struct audit_certificate {
    wall_time begins, ends;
    wall_time renewal_due;
    const char *issuer;
    bool other_ca; /* it does not count against the limit of the CA that is asked now */
};

struct audit_facts {
    wall_time now;
    bool has_provider;     /* the ACME provider that the domain names exists */
    const char *directory; /* that one's; or NULL */
    const struct audit_certificate *certificates;
    size_t certificate_count;
    const struct renewal_task *tasks; /* all of the domain's, Failed ones too */
    size_t task_count;
    const struct renewal_task *follower; /* a live DNS task that will end with a renewal, or NULL */
    size_t spent; /* of the Failed ones, how many say what a newer one says */
    struct issue_limit issue_limit;
    struct decision_settings settings; /* where no task counts as stuck it is told all the same */
    struct held held;                  /* by the same tasks, and all that is known beside them */
    wall_time not_before;              /* the account's pace: see policy/upkeep.h */
};

/* What a sweep would change. */
struct audit_sweep {
    size_t removed; /* tasks that wait or are due beside another, or are stuck */
    size_t twins;   /* of those, without the stuck ones */
    size_t cleared; /* Failed tasks that only say that none was due, or what a newer one says */
    bool moved;     /* the one that stays is written anew */
    bool scheduled; /* a renewal that was lost is queued again */
    wall_time due;  /* with `moved` and `scheduled`: for when */
};

struct audit_verdict {
    wall_time now;
    enum audit_severity severity;              /* that of the worst finding */
    enum audit_severity findings[AUDIT_KINDS]; /* AUDIT_FINE: not found */
    size_t stored;                             /* certificates */
    size_t duplicates;                         /* of these, issued while another was fresh */
    size_t recent;                             /* issued within the CA's window */
    struct issue_limit issue_limit;
    size_t live, failed, not_due;  /* tasks: failed without those that only say not due */
    size_t stuck;                  /* of the live ones */
    size_t failures;               /* for other reasons than a refusal, since the last success */
    const char *reason;            /* the latest of these, borrowed from its task; or NULL */
    enum issuer_standing standing; /* of the newest certificate's issuer */
    const char *issuer;            /* that one, borrowed from its certificate; or NULL */
    const char *ca;                /* the provider's, where it is well known; or NULL; static */
    wall_time newest_expiry;       /* the four: WALL_TIME_NEVER where there is none */
    wall_time renewal_due;
    wall_time next_due;       /* of the earliest live task */
    wall_time refused_until;  /* by the CA, where that is to come */
    struct decision decision; /* of a create now; its id is borrowed from a task */
    struct audit_sweep sweep;
};

/* False when memory runs out. */
bool audit_judge(const struct audit_facts *facts, struct audit_verdict *verdict);

/* What a listener of TLS serves for a name, the worst last. */
enum audit_served {
    AUDIT_SERVED_NEWEST,
    AUDIT_SERVED_NOTHING, /* it does not answer, or not with TLS */
    AUDIT_SERVED_OLDER,   /* another of the stored ones */
    AUDIT_SERVED_UNKNOWN, /* one that is not stored */
    AUDIT_SERVED_EXPIRED,
    AUDIT_SERVED_OTHER_NAME,
    AUDIT_SERVED_SELF_SIGNED,
};

/* "newest", "older" and so on: the JSON's word. */
const char *audit_served_name(enum audit_served served);

/* The same as a sentence's end, behind the name that was asked for. */
const char *audit_served_words(enum audit_served served);

/* Adds what one of the domain's names was served. */
void audit_add_served(struct audit_verdict *verdict, enum audit_served served);

/* Adds that a stored certificate's text is not what its object says. */
void audit_add_damaged(struct audit_verdict *verdict);

/* "expired", "no_task" and so on: the JSON's word. */
const char *audit_kind_name(enum audit_kind kind);

/* "fine", "note", "attention", "urgent". */
const char *audit_severity_name(enum audit_severity severity);

#define AUDIT_WORDS_SIZE 200

/* A finding as a short sentence; may hold bytes of the server's, which can be any. */
void audit_words(const struct audit_verdict *verdict, enum audit_kind kind,
                 char words[static AUDIT_WORDS_SIZE]);

/* What a sweep would change, in words; "" for nothing. */
void audit_sweep_words(const struct audit_verdict *verdict, char words[static AUDIT_WORDS_SIZE]);

/* How long, rounded down: "3 d", "47 h", "12 min", "5 s". Never negative. */
#define AUDIT_SPAN_SIZE 24
void audit_span(wall_time from, wall_time to, char text[static AUDIT_SPAN_SIZE]);

#endif
