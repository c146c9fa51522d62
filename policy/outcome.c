#include "policy/outcome.h"

const char *outcome_name(enum outcome outcome)
{
    static const char *const names[] = {
        [OUTCOME_FORWARD] = "forward",   [OUTCOME_SCHEDULE] = "schedule",
        [OUTCOME_EXISTING] = "existing", [OUTCOME_MOVE] = "move",
        [OUTCOME_NO_OP] = "noop",        [OUTCOME_REFUSE] = "refuse",
        [OUTCOME_REJECTED] = "rejected", [OUTCOME_UNKNOWN] = "unknown",
        [OUTCOME_DNS_ONLY] = "dns_only",
    };

    return names[outcome];
}
