#ifndef RENEWGATE_POLICY_OUTCOME_H
#define RENEWGATE_POLICY_OUTCOME_H

/*
 * What becomes of a held create: what is decided (policy/decide.h), and what the server then made
 * of it. The log, the metrics and the status page tell it in one word each.
 */

enum outcome {
    OUTCOME_FORWARD,  /* the create goes on as it is */
    OUTCOME_SCHEDULE, /* the create goes on with `due` in place of its own time */
    OUTCOME_EXISTING, /* answered with `task` (or `blind_id` in row 9) */
    OUTCOME_MOVE,     /* `task` is moved to `due` and answered */
    OUTCOME_NO_OP,    /* answered with an id that never existed */
    OUTCOME_REFUSE,   /* answered with the server's serverUnavailable */

    /* Never decided. */
    OUTCOME_REJECTED, /* the server had an error for it */
    OUTCOME_UNKNOWN,  /* the server's answer was lost */

    OUTCOMES,
    OUTCOME_DNS_ONLY = OUTCOMES, /* of a DNS task, which is not counted: made without its renewal */
};

/* "forward", "schedule", "existing" and so on; static. */
const char *outcome_name(enum outcome outcome);

#endif
