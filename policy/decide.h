#ifndef RENEWGATE_POLICY_DECIDE_H
#define RENEWGATE_POLICY_DECIDE_H

/*
 * The decision table: what becomes of one held create. Facts in, decision out; the rows are
 * numbered as in docs/decisions.md. Sweeps do not read it: they have the plan of policy/upkeep.h.
 */

#include <stdbool.h>
#include <stddef.h>

#include "policy/held.h"
#include "policy/outcome.h"
#include "policy/refusal.h"
#include "policy/renewal_task.h"
#include "policy/wall_time.h"

enum not_due_mode {
    NOT_DUE_NOOP,
    NOT_DUE_SCHEDULE,
};

enum lookup_failure_mode {
    LOOKUP_FAILURE_FORWARD,
    LOOKUP_FAILURE_REFUSE,
};

/* What the operator has set that the table is read with; copied whole wherever it is. */
struct decision_settings {
    enum not_due_mode not_due;
    enum lookup_failure_mode on_lookup_failure;
    int64_t stuck_after_seconds; /* 0: no task is stuck */
};

struct decision_facts {
    wall_time now;
    wall_time asked;       /* the create's due time; `now` where it names none or one in the past */
    bool forced;           /* Renewgate-Force: 1, and allowed */
    bool looked_up;        /* the look-ups succeeded; else only `now` and the blind ones count */
    bool renewable;        /* the domain exists and its certificates are managed automatically */
    wall_time renewal_due; /* R; WALL_TIME_NEVER where no certificate has the exact set */
    wall_time refused_until;             /* H; WALL_TIME_NEVER where nothing says so */
    enum held_by held_by;                /* what H comes from */
    const struct renewal_task *tasks;    /* less those that the same request destroys or rewrites */
    size_t task_count;                   /* Failed ones are passed over, as are stuck ones */
    const struct renewal_task *follower; /* a live DNS task that will end with a renewal, or NULL */
    bool ends_dns_task;                  /* what is asked for is to follow a DNS task, too */
    const char *blind_id;  /* a task this gate forwarded blindly within the interval, or NULL */
    bool blind_unanswered; /* a create was forwarded within the interval, and its answer lost */
    struct decision_settings settings;
};

/*
 * The facts are filled by these two alone, whoever reads the table: who forgets one does not
 * compile. The first is all that is known where the look-ups failed, but for what is blind.
 */
struct decision_facts decision_begin(const struct decision_settings *settings, wall_time now,
                                     wall_time asked, bool forced);

/* Adds what was found of the domain. */
void decision_add_domain(struct decision_facts *facts, bool renewable, wall_time renewal_due,
                         wall_time refused_until, enum held_by held_by,
                         const struct renewal_task *tasks, size_t task_count,
                         const struct renewal_task *follower);

struct decision {
    enum outcome outcome;
    unsigned
        row; /* for logs and pages alone: of the table; 8 also for a domain that is not renewable */
    const char *id;  /* EXISTING and MOVE: borrowed from the facts; else NULL */
    wall_time due;   /* SCHEDULE and MOVE: the new time; EXISTING: the task's; else NEVER */
    const char *why; /* a short sentence for the log; static */
    /* What a row means to who acts upon it. */
    bool orders;       /* an order comes of it: at `due`, or with FORWARD as soon as asked for */
    bool held;         /* nothing is to be asked of the CA before `due` */
    bool next_renewal; /* the task is to run no later than the fresh certificate needs it */
};

struct decision decide(const struct decision_facts *facts);

/* One row, as it was read. Static text: what has to be so for it to fit. */
struct decision_step {
    unsigned row;
    const char *asks;
    bool fits;
};

/* The entries of rows[] in decide.c: some rows of the table are several questions. */
#define DECISION_STEPS 14

/* How the table was read: from its top to the row that fits, which is the last. */
struct decision_trace {
    struct decision_step steps[DECISION_STEPS];
    size_t count;
};

/* decide(), with the way to the decision. */
struct decision decide_by_rows(const struct decision_facts *facts, struct decision_trace *trace);

#endif
