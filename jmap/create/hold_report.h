#ifndef RENEWGATE_JMAP_CREATE_HOLD_REPORT_H
#define RENEWGATE_JMAP_CREATE_HOLD_REPORT_H

/*
 * What a hold (jmap/create/hold.h) tells of each of its decisions.
 */

#include <stdbool.h>

#include "policy/outcome.h"
#include "policy/wall_time.h"

/* One decision, for the log and the metrics. Strings are valid during the call only. */
struct hold_report {
    const char *domain_id;
    const char *domain_name; /* NULL where no look-up told it */
    enum outcome outcome;
    const char *why;
    const char *id; /* the answered task's, NULL where there is none */
    bool forwarded; /* the create went to the server as a real one, and was not rejected */
    unsigned row;
    bool observed; /* mode observe: decided, not acted upon */
    wall_time due;
    wall_time renewal_due;
    wall_time refused_until;
    const char *failure; /* why its last order failed, NULL where none did since its certificate */
};

#endif
